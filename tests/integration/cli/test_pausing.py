"""`periodic-sync pause` and `resume` on a real API server, with the operator's turns made by the test."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli_support import Ended, periodic_sync
from periodic_sync.kube.client import KubeClient
from turns_support import NAME, Bench, new_bench


@pytest.fixture
async def bench(client: KubeClient) -> AsyncIterator[Bench]:
    async with new_bench(client) as bench:
        await bench.apply()
        yield bench


async def answered(bench: Bench, api_server: Path, *arguments: str) -> Ended:
    """A command's end, with an operator that has its turns meanwhile."""
    operator = bench.operator()
    command = asyncio.create_task(periodic_sync(*arguments, "-n", bench.namespace, kubeconfig=api_server))
    while not command.done():
        await operator.retried_turn()
    return await command


async def test_a_policy_is_paused_and_resumed_once_the_operator_has_said_so(bench: Bench, api_server: Path) -> None:
    assert await answered(bench, api_server, "pause", NAME) == Ended(0, f"{NAME} is paused\n", "")
    assert (await bench.status())["enabled"] is False
    assert await answered(bench, api_server, "resume", NAME) == Ended(0, f"{NAME} is enabled\n", "")
    assert (await bench.status())["enabled"] is True


async def test_without_an_operator_it_says_what_is_missing(bench: Bench, api_server: Path) -> None:
    code, out, err = await periodic_sync(
        "pause", NAME, "-n", bench.namespace, "--timeout", "500ms", kubeconfig=api_server
    )
    assert (code, out) == (1, "")
    assert "spec.enabled is false now, and the operator has not acknowledged it yet: is it running?" in err


async def test_a_policy_that_does_not_exist_is_named(bench: Bench, api_server: Path) -> None:
    code, _, err = await periodic_sync("pause", "other", "-n", bench.namespace, kubeconfig=api_server)
    assert code == 1
    assert err.startswith(f"periodic-sync pause: There is no SyncPolicy other in namespace {bench.namespace}: ")
