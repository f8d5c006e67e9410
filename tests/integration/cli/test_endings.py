"""How commands end when they can't do what was asked, are stopped by hand, or nobody reads on."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
import yaml

from cli_support import periodic_sync
from cluster_support import ROOT, Kubectl
from periodic_sync.api.errors import NotFoundError
from periodic_sync.api.names import REQUESTED_AT_ANNOTATION
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import SYNC_POLICIES, Resource
from turns_support import NAME, until

from .conftest import Place

COMMAND = [sys.executable, "-m", "periodic_sync.cli.main"]


def environment(place: Place) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "KUBECONFIG": str(place.api_server)}


@pytest.fixture
def nobody(on_config_maps: Place, tmp_path: Path) -> Path:
    """The kubeconfig of an account without any rights."""
    kubectl = Kubectl(on_config_maps.api_server, on_config_maps.bench.namespace)
    kubectl("create", "serviceaccount", "nobody")
    config = yaml.safe_load(on_config_maps.api_server.read_text())
    config["users"] = [{"name": "nobody", "user": {"token": kubectl("create", "token", "nobody").strip()}}]
    config["contexts"][0]["context"]["user"] = "nobody"
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


async def test_a_right_that_is_lacking_is_named(on_config_maps: Place, nobody: Path) -> None:
    place = on_config_maps
    await place.apply()
    await place.register("u1")
    for arguments, verb in ((["status"], "list"), (["why", NAME, "u1"], "get"), (["pause", NAME], "get")):
        done = await periodic_sync(*arguments, "-n", place.bench.namespace, kubeconfig=nobody)
        said = f"may not {verb} syncpolicies.sync.moonx.farm in namespace {place.bench.namespace}: it takes that right"
        assert (done.code, done.out) == (1, "")
        assert said in done.err
    kubectl = Kubectl(place.api_server, place.bench.namespace)
    kubectl("create", "role", "looks", "--verb=get,list", "--resource=syncpolicies.sync.moonx.farm")
    kubectl("create", "rolebinding", "looks", "--role=looks", f"--serviceaccount={place.bench.namespace}:nobody")

    async def sees() -> bool:
        done = await periodic_sync("status", "-n", place.bench.namespace, kubeconfig=nobody)
        return done.code == 0 and "who waits is not known: " in done.out

    await until(sees)


async def test_a_cluster_without_the_crd_is_told(client: KubeClient, on_config_maps: Place) -> None:
    """A kind that the API server does not know is answered with a page, and an object that is missing with a word."""
    await on_config_maps.apply()
    with pytest.raises(NotFoundError) as unknown_kind:
        await client.list(Resource("/apis/none.moonx.farm/v1", "things"), None)
    with pytest.raises(NotFoundError) as missing:
        await client.get(SYNC_POLICIES, on_config_maps.bench.namespace, "other")
    assert (unknown_kind.value.reason, missing.value.reason) == ("", "NotFound")


async def test_a_stop_by_hand_is_one_line(on_config_maps: Place) -> None:
    place = on_config_maps
    await place.apply()
    await place.register("u1")
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "sync",
        NAME,
        "u1",
        "--wait",
        "-n",
        place.bench.namespace,
        env=environment(place),
        stdout=PIPE,
        stderr=PIPE,
    )

    async def is_asked() -> bool:
        body = await place.bench.client.get(SYNC_POLICIES, place.bench.namespace, NAME)
        return REQUESTED_AT_ANNOTATION in (body["metadata"].get("annotations") or {})

    await until(is_asked)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err == b"periodic-sync sync: stopped waiting; what was asked for goes on\n"


async def test_nobody_reads_on(on_config_maps: Place) -> None:
    place = on_config_maps
    await place.apply()
    await place.register(*(f"user-{number:050d}" for number in range(2000)))
    shell = f"{' '.join(COMMAND)} export {NAME} -n {place.bench.namespace} | head -n 1"
    done = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", shell], env=environment(place), capture_output=True, text=True, check=False
    )
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


async def test_the_tree_is_watched_until_it_is_stopped(on_config_maps: Place) -> None:
    place = on_config_maps
    await place.apply()
    await place.register("u1")
    await place.bench.run(place.bench.operator())
    terminal, inside = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("status", NAME, "--watch", "-n", place.bench.namespace),
        env={**environment(place), "COLUMNS": "100", "LINES": "40", "TERM": "xterm"},
        stdin=inside,
        stdout=inside,
        stderr=inside,
    )
    os.close(inside)
    shown = ""

    async def has_shown(words: str) -> None:
        nonlocal shown
        async with asyncio.timeout(30):
            while words not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown):
                shown += (await asyncio.to_thread(os.read, terminal, 65536)).decode(errors="replace")

    await has_shown("1 synced")
    await place.bench.edit(spec={"enabled": False})
    await has_shown("paused, ")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
    os.close(terminal)
