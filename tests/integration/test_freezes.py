"""Leaders are frozen for longer than their Lease, at moments of chance in a busy run, and then go on where they were.

The long run is the same with other numbers, pairs of operators x freezes of each x seconds:

    PERIODIC_SYNC_FREEZES=1x10x60 python -m pytest tests/integration/test_freezes.py -s

What really ran is known from elsewhere than the operators: the kubelet of these tests fails when a user is in two
batches at once, and the witness recounts.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from live.api import Api, proxied
from live.counting import claims, recount, shortest_gap
from live.witness import Witness
from operator_pair import Pair, said, started
from periodic_sync.kube.connect import connected
from turns_support import NAME, Bench, new_bench, until

PAIRS, ROUNDS, SECONDS = (int(part) for part in os.environ.get("PERIODIC_SYNC_FREEZES", "2x1x13").split("x"))
SEED = 20261124
PROMISE_SECONDS = 20.0
USERS = [f"u{number:02d}" for number in range(40)]
INTERVAL = 2.0
BUSY = {
    "intervals": {"marketHours": "2s", "offHours": "2s", "userMinimum": "1s"},
    "batchSize": 5,
    "jobs": {"batchesPerJob": 2, "maxConcurrentBatches": 6},
}


@pytest.fixture(scope="module")
def api(api_server: Path) -> Iterator[Api]:
    with proxied(api_server) as found:
        yield found


@contextmanager
def witnessed(api: Api, namespace: str) -> Iterator[Witness]:
    witness = Witness(api, namespace).start()
    try:
        yield witness
    finally:
        witness.stop()


@asynccontextmanager
async def kubelet_at_work(bench: Bench, chance: random.Random) -> AsyncIterator[None]:
    """Pods start and end, as long as the block runs. Raises: AssertionError where a user is in two batches at once."""

    async def work() -> None:
        while True:
            await bench.kubelet.start()
            await asyncio.sleep(chance.uniform(0, 0.3))
            await bench.kubelet.end(chance.randrange(8))

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        working.cancel()
        [outcome] = await asyncio.gather(working, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError), outcome


async def freeze_leader(pair: Pair, chance: random.Random) -> tuple[float, float]:
    """Freeze it, let it go on, and see it step down. Returns: after how many seconds the other one claimed, and how
    long it took to step down."""
    leader, other = await pair.leader_first()
    await asyncio.sleep(chance.uniform(0, 2))  # the moment is the experiment
    began = time.time()
    with leader.frozen():
        await asyncio.sleep(SECONDS)  # and so is its length
        thawed = time.time()
    await until(said(leader, "no longer leading", thawed))
    await until(said(other, "scheduling batch", began))
    assert await leader.is_healthy()
    took = other.said_at("scheduling batch", began)[0] - began
    stopped = leader.said_at("no longer leading", thawed)[0] - thawed
    print(f"frozen for {SECONDS} s: the other claims after {took:.2f} s, steps down {stopped:.2f} s after it went on")
    return took, stopped


def is_busy(bench: Bench) -> Callable[[], object]:
    """Whether the first round is over, and the second under way."""

    async def works() -> bool:
        return bench.kubelet.synced.total() > len(USERS)

    return works


def at_rest(bench: Bench) -> Callable[[], object]:
    async def rests() -> bool:
        status = await bench.status()
        state = status["enabled"], status["inFlightUsers"], status["activeJobs"]
        return state == (False, 0, 0) and not (await bench.ledger()).jobs and not await bench.batch_files()

    return rests


async def freeze_again_and_again(
    pair: Pair, witness: Witness, chance: random.Random
) -> tuple[list[tuple[float, float]], int]:
    bench = pair.bench
    async with kubelet_at_work(bench, chance):
        await until(is_busy(bench))
        took = [await freeze_leader(pair, chance) for _ in range(ROUNDS)]
        await bench.edit(spec={"enabled": False})
        await until(at_rest(bench), seconds=180)
    status, counted = await bench.status(), recount(witness, NAME)
    synced = bench.kubelet.synced.total()
    print(f"{synced} syncs, recounted {counted}; shortest gap {shortest_gap(claims(witness, NAME)):.2f} s")
    assert (status["usersSynced"], status["usersFailed"]) == (counted.synced, counted.failed) == (synced, 0)
    assert shortest_gap(claims(witness, NAME)) >= 0.9 * INTERVAL
    assert set(bench.kubelet.synced) == set(USERS)
    return took, synced


@pytest.mark.timeout(300 + ROUNDS * (SECONDS + 30))
async def test_frozen_leaders_step_down_when_they_go_on_and_nothing_is_done_twice(
    api_server: Path, crd: None, api: Api, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connected(str(api_server)))
        runs = []
        for number in range(PAIRS):
            bench = await stack.enter_async_context(new_bench(client))
            witness = stack.enter_context(witnessed(api, bench.namespace))
            await bench.register(active=USERS)
            await bench.apply(BUSY)
            folder = tmp_path / str(number)
            folder.mkdir()
            pair = await stack.enter_async_context(started(bench, api_server, folder))
            runs.append(freeze_again_and_again(pair, witness, random.Random(SEED + number)))
        ended = await asyncio.gather(*runs)
    claims_after, steps_down_after = zip(*(each for took, _ in ended for each in took), strict=True)
    frozen = f"{PAIRS * ROUNDS} leaders frozen for {SECONDS} s, {sum(synced for _, synced in ended)} syncs"
    record_property(
        frozen, f"others claim after {max(claims_after):.2f} s, they step down in {max(steps_down_after):.2f} s"
    )
    assert max(claims_after) < PROMISE_SECONDS
