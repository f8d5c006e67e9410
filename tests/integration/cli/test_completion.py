"""What shells and kubectl complete: words of the program, and names from a real API server."""

import asyncio
import socket
import time
from pathlib import Path

import pytest
import yaml

from cli_support import with_commands
from turns_support import Bench

Environment = dict[str, str]


@pytest.fixture
async def environment(bench: Bench, api_server: Path, tmp_path: Path) -> Environment:
    """Both commands and kubectl, a policy, and a home of its own."""
    await bench.apply()
    home = tmp_path / "home"
    home.mkdir()
    return {**with_commands(tmp_path / "bin"), "KUBECONFIG": str(api_server), "HOME": str(home)}


async def bash(script: str, environment: Environment) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash", "--norc", "-euo", "pipefail", "-c", script, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def by_kubectl(environment: Environment, *words: str) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    return (await bash(f"kubectl_complete-syncpolicy {quoted}", environment)).splitlines()


async def test_bash_completes_by_the_script_that_is_installed(environment: Environment, bench: Bench) -> None:
    await bash("periodic-sync --install-completion; true", environment)
    home = Path(environment["HOME"])
    assert (home / ".bash_completions" / "periodic-sync.sh").is_file()
    script = """
        source "$HOME/.bash_completions/periodic-sync.sh"
        COMP_WORDS=({words}); COMP_CWORD={at}
        _periodic_sync_completion periodic-sync
        echo "${{COMPREPLY[@]}}"
    """
    assert await bash(script.format(words="periodic-sync pau", at=1), environment) == "pause\n"
    words = f"periodic-sync pause -n {bench.namespace} port"
    assert await bash(script.format(words=words, at=4), environment) == "portfolios\n"


async def test_zsh_is_given_what_it_evaluates(environment: Environment, bench: Bench) -> None:
    script = await bash("_PERIODIC_SYNC_COMPLETE=source_zsh periodic-sync", environment)
    assert script.lstrip().startswith("#compdef periodic-sync")
    asked = {
        **environment,
        "_PERIODIC_SYNC_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": f"periodic-sync check -n {bench.namespace} port",
    }
    assert '"portfolios"' in await bash("periodic-sync", asked)


async def test_kubectl_completes_the_plugin(environment: Environment, bench: Bench) -> None:
    async def asked(words: str) -> list[str]:
        found = await bash(f"kubectl __complete syncpolicy {words} 2> /dev/null", environment)
        return [line.partition("\t")[0] for line in found.splitlines()]

    assert await asked("pau") == ["pause", ":4"]
    assert await asked(f"pause -n {bench.namespace} ''") == ["portfolios", ":4"]


async def test_namespaces_are_completed(environment: Environment, bench: Bench) -> None:
    assert await by_kubectl(environment, "status", "-n", bench.namespace[:-2]) == [bench.namespace, ":4"]


async def test_options_and_files(environment: Environment) -> None:
    assert await by_kubectl(environment, "status", "-o", "") == ["table", "json", "yaml", ":4"]
    assert await by_kubectl(environment, "lint", "") == [":0"]
    assert "--kubeconfig" in "\n".join(await by_kubectl(environment, "status", "--kube"))


def server_at(kubeconfig: str, port: int) -> str:
    """The same kubeconfig with another server."""
    given = yaml.safe_load(Path(kubeconfig).read_text())
    given["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    return yaml.safe_dump(given)


async def test_it_is_silent_on_trouble_and_soon_done(environment: Environment, tmp_path: Path) -> None:
    for trouble in ("/nowhere", str(tmp_path)):
        assert await by_kubectl({**environment, "KUBECONFIG": trouble}, "pause", "") == [":4"]
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        config = tmp_path / "deaf"
        config.write_text(server_at(environment["KUBECONFIG"], deaf.getsockname()[1]))
        began = time.monotonic()
        assert await by_kubectl({**environment, "KUBECONFIG": str(config)}, "pause", "") == [":4"]
        assert 1.5 < time.monotonic() - began < 15


async def test_the_plugin_says_who_completes_it(environment: Environment) -> None:
    said = await bash("kubectl syncpolicy --install-completion || true", environment)
    assert "kubectl completes this itself" in said
