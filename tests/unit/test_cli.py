"""The command line as people and manifests type it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from periodic_sync import __version__
from periodic_sync.cli import main as cli
from periodic_sync.controller import operator


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[operator.Options]]:
    """What the operator was started with, in place of starting it."""
    calls: list[operator.Options] = []

    async def run(options: operator.Options) -> int:
        calls.append(options)
        return 3

    monkeypatch.setattr(operator, "run", run)
    before = signal.getsignal(signal.SIGTERM)
    yield calls
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        pytest.param([], operator.Options(), id="nothing: the defaults of both sides are the same"),
        pytest.param(["--namespace", "shop"], operator.Options(namespace="shop"), id="one namespace"),
        pytest.param(["--host", "0.0.0.0", "--port", "9000"], operator.Options(host="0.0.0.0", port=9000), id="probe"),
        pytest.param(
            ["--kubeconfig", "/k", "--worker-image", "w:1", "--log-format", "text", "--log-level", "debug"],
            operator.Options(kubeconfig="/k", worker_image="w:1", log_format="text", log_level="debug"),
            id="all else",
        ),
        pytest.param(["--no-leader-election"], operator.Options(leader_election=False), id="no election"),
        pytest.param(["--lease-namespace", "ops"], operator.Options(lease_namespace="ops"), id="another Lease"),
    ],
)
def test_operator(started: list[operator.Options], arguments: list[str], options: operator.Options) -> None:
    assert cli.main(["operator", *arguments]) == 3
    assert started == [options]


def test_a_signal_ends_it_also_before_it_has_started(
    started: list[operator.Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(_: operator.Options) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return 3

    monkeypatch.setattr(operator, "run", run)
    assert cli.main(["operator"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["nonsense"], "No such command 'nonsense'", id="an unknown command"),
        pytest.param(["operator", "--port", "http"], "Invalid value for '--port'", id="a port that is none"),
        pytest.param(["operator", "--log-format", "xml"], "'xml' is not one of", id="an unknown format"),
        pytest.param(["pause"], "Missing argument 'POLICY'", id="no policy"),
        pytest.param(["pause", "p", "--timeout", "soon"], "'soon' is not a duration", id="a duration that is none"),
    ],
)
def test_a_mistake_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert cli.main(arguments) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_without_a_command_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "Keep the data of a product's active users fresh." in "".join(capsys.readouterr())


def test_the_lines_of_help_are_as_long_as_the_terminal_has_room_and_not_as_in_the_source(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["simulate", "--help"]) == 0
    assert "so that intervals and batch size can be chosen before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "own_namespace", "lease"),
    [
        pytest.param(operator.Options(), "ops", ("ops", "periodic-sync"), id="in its pod's own namespace"),
        pytest.param(
            operator.Options(lease_namespace="leases"), "ops", ("leases", "periodic-sync"), id="where it was told"
        ),
        pytest.param(
            operator.Options(namespace="shop"),
            "ops",
            ("ops", "periodic-sync-shop"),
            id="of those who serve one namespace",
        ),
        pytest.param(operator.Options(namespace="shop"), "", ("shop", "periodic-sync-shop"), id="outside of a pod"),
    ],
)
def test_where_the_lease_is(options: operator.Options, own_namespace: str, lease: tuple[str, str]) -> None:
    assert operator.lease_of(options, own_namespace) == lease


def test_a_lease_without_a_namespace_is_a_mistake_that_is_told() -> None:
    with pytest.raises(SystemExit, match=r"--lease-namespace or in POD_NAMESPACE.*--no-leader-election"):
        operator.lease_of(operator.Options(), "")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_help_needs_neither_kopf_nor_the_kubernetes_client() -> None:
    """Which take the better part of a second to import."""
    code = (
        "import sys, periodic_sync.cli.main as m; m.main(['--help']); "
        "print(sys.modules.keys() & {'kopf', 'kubernetes'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_client_library_needs_neither_unless_it_is_used() -> None:
    code = "import sys, periodic_sync.client; print(sys.modules.keys() & {'kopf', 'kubernetes', 'rich'})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert done.stdout.strip() == "set()"


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(sys.path)}


def test_neither_the_operator_nor_the_worker_carries_the_http_apis_framework_about() -> None:
    code = (
        "import sys; import periodic_sync.cli.main, periodic_sync.controller.operator, periodic_sync.worker.main; "
        "sys.exit(' '.join({'fastapi', 'starlette', 'uvicorn'} & sys.modules.keys()) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": "operator"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no certificate"),
        pytest.param(["--tls-cert-file", "c"], id="no key"),
        pytest.param(["--tls-cert-file", "c", "--tls-key-file", "k", "--insecure-http"], id="both ways"),
        pytest.param(["--insecure-http", "--max-connections", "0"], id="no connections"),
    ],
)
def test_the_http_api_does_not_start_on_options_that_do_not_go_together(arguments: list[str]) -> None:
    assert cli.main(["server", *arguments]) == 2
