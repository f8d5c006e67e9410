"""The operator as a process of its own, against a real API server: from its start to its end.

It serves the test's namespace alone, since other tests may use the same API server. The end-to-end tests serve all.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cluster_support import ROOT
from periodic_sync.kube.resources import SYNC_POLICIES
from turns_support import NAME, Bench, until

PATIENCE = 60  # seconds until a process that should have ended is called hung; nothing is measured by it


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class OperatorProcess:
    """`periodic-sync operator`, its log in a file."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self.kubeconfig = kubeconfig
        self.log = log
        self.port = free_port()
        self.process: Process

    async def start(self, *options: str) -> None:
        command = [sys.executable, "-m", "periodic_sync.cli.main", "operator"]
        given = ["--kubeconfig", str(self.kubeconfig), "--port", str(self.port), "--worker-image", "worker:1", *options]
        with self.log.open("w") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, *given, env=environment(), stdout=log, stderr=STDOUT
            )

    async def is_healthy(self) -> bool:
        assert self.process.returncode is None, "the operator ended"
        with suppress(aiohttp.ClientConnectionError):
            address = f"http://127.0.0.1:{self.port}/healthz"
            async with aiohttp.ClientSession() as session, session.get(address) as answer:
                return (answer.status, await answer.text()) == (200, "ok\n")
        return False

    async def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    def lines(self) -> list[dict[str, Any]]:
        """The log, of which every line must be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def messages(self) -> list[str]:
        return [str(line["message"]) for line in self.lines()]

    async def says(self, message: str) -> None:
        async def said() -> bool:
            assert self.process.returncode is None, "the operator ended"
            # A line that is being written may be there only in part.
            return f'"message": "{message}"' in self.log.read_text()

        await until(said)


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KUBE")}
    return {**kept, "PYTHONPATH": str(ROOT / "operator"), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
async def operator(api_server: Path, tmp_path: Path) -> AsyncIterator[OperatorProcess]:
    """Not yet started. Its log is shown where the test fails."""
    made = OperatorProcess(api_server, tmp_path / "operator.log")
    yield made
    with suppress(ProcessLookupError):
        made.process.kill()
    await made.process.wait()
    print(made.log.read_text())


async def has_job(bench: Bench) -> bool:
    return bool(await bench.jobs())


def all_synced(bench: Bench, count: int) -> Callable[[], Any]:
    """Whether the status says that so many were, while the kubelet does its work."""

    async def met() -> bool:
        await bench.kubelet.start()
        await bench.kubelet.end()
        return (await bench.status()).get("usersSynced") == count

    return met


async def test_from_a_policy_that_is_applied_to_the_end(operator: OperatorProcess, bench: Bench) -> None:
    await operator.start("--namespace", bench.namespace)
    await until(operator.is_healthy)
    await bench.register(active=["u1", "u2"], inactive=["u3"])
    await bench.apply()
    await until(lambda: has_job(bench))
    await until(all_synced(bench, 2))
    assert await operator.is_healthy()
    assert bench.kubelet.synced == {"u1": 1, "u2": 1}
    assert await operator.end() == 0
    told = operator.messages()
    story = [
        "operator started",
        "initialised",
        "running check",
        "scheduling batch",
        "batch done",
        "stopping",
        "stopped",
    ]
    assert [message for message in told if message in story and told.count(message) == 1] == [
        message for message in story if told.count(message) == 1
    ]
    assert set(story) <= set(told)
    assert "0xwallet" not in operator.log.read_text()
    assert not [line for line in operator.lines() if line["level"] in ("error", "critical")]


async def test_what_was_there_before_it_started_is_taken_up(operator: OperatorProcess, bench: Bench) -> None:
    await bench.register(active=["u1"])
    await bench.apply()
    await bench.operator().turn()
    await operator.start("--namespace", bench.namespace)
    await until(all_synced(bench, 1))
    await bench.register(active=["u2"])
    await until(all_synced(bench, 2))
    assert bench.kubelet.synced == {"u1": 1, "u2": 1}


async def test_a_policy_comes_goes_and_comes_again(operator: OperatorProcess, bench: Bench) -> None:
    await bench.register(active=["u1"])
    await operator.start("--namespace", bench.namespace)
    await bench.apply()
    await until(all_synced(bench, 1))
    await bench.client.delete(SYNC_POLICIES, bench.namespace, NAME)
    await operator.says("policy is no longer scheduled")
    await bench.apply()
    await until(all_synced(bench, 1))
    assert bench.kubelet.synced == {"u1": 2}


async def test_a_policy_that_can_t_be_scheduled_stops_no_other(operator: OperatorProcess, bench: Bench) -> None:
    await bench.register(active=["u1"])
    await operator.start("--namespace", bench.namespace)
    bad = {"metadata": {"name": "bad"}, "spec": {"store": {"configMap": {"name": "x"}}, "worker": {"image": "w"}}}
    bad |= {"apiVersion": "sync.moonx.farm/v1alpha1", "kind": "SyncPolicy"}
    await bench.client.create(SYNC_POLICIES, bench.namespace, bad)
    await bench.apply()
    await until(lambda: has_job(bench))
    assert await operator.is_healthy()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_well(operator: OperatorProcess, bench: Bench, number: int) -> None:
    await operator.start("--namespace", bench.namespace, "--log-format", "text")
    await until(operator.is_healthy)
    assert await operator.end(number) == 0
    assert "stopped" in operator.log.read_text()


async def test_without_an_api_server_it_waits_and_a_signal_ends_it(operator: OperatorProcess, bench: Bench) -> None:
    kubeconfig = operator.log.parent / "kubeconfig"
    address = bench.client.api.configuration.host
    kubeconfig.write_text(operator.kubeconfig.read_text().replace(address, f"https://127.0.0.1:{free_port()}"))
    operator.kubeconfig = kubeconfig
    await operator.start("--namespace", bench.namespace)
    await operator.says("the list of SyncPolicies can't be read")
    assert await operator.is_healthy()
    assert await operator.end() == 0


async def test_a_kubeconfig_that_is_not_there_is_told(operator: OperatorProcess) -> None:
    operator.kubeconfig = operator.log.parent / "nowhere"
    await operator.start()
    async with asyncio.timeout(PATIENCE):
        assert await operator.process.wait() != 0
    assert "nowhere" in operator.log.read_text()
