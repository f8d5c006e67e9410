"""Two operator processes and one API server: who leads, and how soon another does."""

import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from operator_pair import Pair, said, started
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from periodic_sync.kube.resources import LEASES
from turns_support import new_bench, until
from wire import Wire, wired

PROMISE_SECONDS = 20.0
LEASE_SECONDS = 12.0

Measure = Callable[[str, object], None]


@pytest.fixture(scope="module")
async def client(api_server: Path, crd: None) -> AsyncIterator[KubeClient]:
    async with connected(str(api_server)) as client:
        yield client


@pytest.fixture(scope="module")
async def way(api_server: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Wire, Path]]:
    """From both operators to the API server, and the kubeconfig that leads there."""
    async with wired(api_server, tmp_path_factory.mktemp("wire")) as found:
        yield found


@pytest.fixture
def wire(way: tuple[Wire, Path]) -> Wire:
    return way[0]


@pytest.fixture(scope="module")
async def both(
    client: KubeClient, way: tuple[Wire, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """With a policy of a few users."""
    async with new_bench(client) as bench:
        await bench.register(active=["u1"])
        await bench.apply()
        async with started(bench, way[1], tmp_path_factory.mktemp("pair")) as pair:
            yield pair


@pytest.fixture
async def pair(both: Pair, wire: Wire) -> Pair:
    """Both run, and one of them leads."""
    wire.mend()
    await both.restore()
    return both


async def test_a_lease_that_is_deleted_is_made_again_and_one_goes_on_leading(pair: Pair) -> None:
    bench = pair.bench
    await bench.client.delete(LEASES, bench.namespace, pair.lease)

    async def is_led_by_its_holder_alone() -> bool:
        leader, other = await pair.leader_first()
        return await pair.is_led() and (leader.leads, other.leads) == (True, False)

    await until(is_led_by_its_holder_alone)
    leader, _ = await pair.leader_first()
    began = time.time()
    await bench.register(active=["u2"])
    await until(said(leader, "scheduling batch", began))


async def test_stopped_the_leader_gives_its_lease_back_after_its_last_turn_and_is_succeeded_at_once(
    pair: Pair, record_property: Measure
) -> None:
    leader, other = await pair.leader_first()
    began = time.time()
    assert await leader.end() == 0
    takeover = await pair.takeover(other, began)
    record_property("takeover after SIGTERM", str(takeover))
    told = leader.messages()
    order = ["stopping", "policy is no longer scheduled", "the Lease is released", "stopped"]
    assert [message for message in told if message in order] == order
    [released], leading = leader.said_at("the Lease is released"), other.said_at("leading", began)
    # At once: far from what waiting for the end of the Lease would have taken.
    assert leading[0] - released < LEASE_SECONDS / 3
    assert takeover.claims < PROMISE_SECONDS


async def test_killed_the_leader_is_succeeded_within_twenty_seconds_by_one_that_was_healthy_all_along(
    pair: Pair, record_property: Measure
) -> None:
    leader, other = await pair.leader_first()
    assert await other.is_healthy()
    assert "scheduling batch" not in other.messages()
    began = time.time()
    await leader.kill()
    takeover = await pair.takeover(other, began)
    record_property("takeover after SIGKILL", str(takeover))
    assert takeover.claims < PROMISE_SECONDS
    assert await other.is_healthy()


async def test_without_an_answer_from_the_api_server_nobody_leads_and_afterwards_one_does(
    pair: Pair, wire: Wire, record_property: Measure
) -> None:
    leader, other = await pair.leader_first()
    cut = time.time()
    wire.cut()
    await until(said(leader, "no longer leading", cut))
    stopped = leader.said_at("no longer leading", cut)[0] - cut
    record_property("without an answer from the API server", f"stops leading after {stopped:.2f} s")
    assert stopped < LEASE_SECONDS
    await until(said(leader, "policy is no longer scheduled", cut))
    assert leader.said_at("policy is no longer scheduled", cut)[0] - cut < LEASE_SECONDS
    assert all([await operator.is_healthy() for operator in pair.operators])
    mended = time.time()
    wire.mend()
    await pair.bench.register(active=["u-after-the-outage"])

    async def one_schedules_and_tells_of_the_outage() -> bool:
        told = [
            message
            for each in (leader, other)
            for message in ("scheduling batch", "scheduling goes on")
            if each.said_at(message, mended)
        ]
        return len(told) == 2

    await until(one_schedules_and_tells_of_the_outage, seconds=PROMISE_SECONDS)
    for operator in pair.operators:
        assert await operator.end(signal.SIGTERM) == 0
