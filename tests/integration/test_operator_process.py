"""The operator as a process of its own, against a real API server: from its start to its end.

It serves the test's namespace alone, since other tests may use the same API server. The end-to-end tests serve all.
"""

import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from operator_process import OperatorProcess, free_port
from periodic_sync.kube.resources import SYNC_POLICIES
from turns_support import NAME, Bench, until


@pytest.fixture
async def operator(api_server: Path, tmp_path: Path) -> AsyncIterator[OperatorProcess]:
    """Not yet started. Its log is shown where the test fails."""
    made = OperatorProcess(api_server, tmp_path / "operator.log")
    yield made
    await made.kill()
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
    await operator.says("the Lease is out of reach, trying again")
    assert await operator.is_healthy()
    assert await operator.end() == 0


async def test_a_kubeconfig_that_is_not_there_is_told(operator: OperatorProcess) -> None:
    operator.kubeconfig = operator.log.parent / "nowhere"
    await operator.start("--lease-namespace", "default")
    assert await operator.ended() != 0
    assert "nowhere" in operator.log.read_text()
