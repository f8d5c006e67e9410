"""The operator crashes, or loses its connection, at every single write: what follows ends as if nothing had been.

One round of five users is played again and again, each time with trouble at another write, before or after it took
effect. Whoever goes on, a fresh operator or the same one, must come to the same end.
"""

import asyncio

import pytest

from kubelet import SUCCESS, End, Worker, naming
from periodic_sync.api.durations import MINUTE
from periodic_sync.kube.client import KubeClient
from turns_support import Bench, Operator, new_bench
from watched_client import Crash

USERS = ("u1", "u2", "u3", "u4", "u5")
POLICY = {"batchSize": 2, "jobs": {"batchesPerJob": 2, "maxConcurrentBatches": 10}}
AT_ONCE = 16
"""Rounds played side by side: most of a round is waiting for the Job controller."""

PAUSE_SECONDS = 0.3


async def round_with_trouble(client: KubeClient, number: int, fault: str) -> list[str]:
    """Play one round with trouble at that write, and check its end. Returns: the first operator's writes."""
    async with new_bench(client) as bench:
        bench.kubelet.worker = fails_once("u5")
        await bench.apply(POLICY)
        await bench.register(active=USERS, inactive=["gone"])
        first = bench.operator(lambda at, kind: fault if at == number else "")
        last = first
        try:
            await bench.run(first, one_by_one=True, pause=PAUSE_SECONDS)
        except Crash:
            last = bench.operator()
            await bench.run(last, one_by_one=True, pause=PAUSE_SECONDS)
        first.client.plan = lambda at, kind: ""
        writes = first.client.writes[:]
        await check_the_end(bench, last)
        return writes


async def check_the_end(bench: Bench, operator: Operator) -> None:
    bench.now += 2 * MINUTE  # a proposal that nobody claimed is swept by then, and a back-off is over
    await operator.retried_turn()
    await bench.run(operator, pause=PAUSE_SECONDS)
    await operator.retried_turn()
    ledger = await bench.ledger()
    assert ledger.jobs == ()
    assert await bench.batch_files() == set()
    states = await bench.states()
    assert states.keys() == set(USERS)
    assert all(state.last_synced and not state.failures and not state.returns for state in states.values())
    failed = sum((bench.kubelet.started - bench.kubelet.synced).values())
    assert bench.kubelet.synced == dict.fromkeys(USERS, 1), "somebody was synced again, or never"
    assert (sum(ledger.totals.synced.values()), sum(ledger.totals.failed.values())) == (len(USERS), failed)
    bench.now += MINUTE
    await operator.retried_turn()
    status = await bench.status()
    assert (status["usersSynced"], status["usersFailed"], status["inFlightUsers"], status["activeJobs"]) == (
        len(USERS),
        failed,
        0,
        0,
    )
    jobs = await bench.jobs()
    assert all(job["status"].get("conditions") for job in jobs), "a Job is left that never finished"


def fails_once(user_id: str) -> Worker:
    """A worker that names this user as failed, the first time."""
    seen: list[str] = []

    def work(users: list[str]) -> End:
        if user_id in users and not seen:
            seen.append(user_id)
            return naming(user_id)
        return SUCCESS

    return work


@pytest.mark.parametrize("fault", ["crash-after", "lost", "unanswered"])
async def test_trouble_at_every_write(client: KubeClient, fault: str) -> None:
    """A crash before a write is one after the write before."""
    writes = await round_with_trouble(client, -1, "")
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        async with limit:
            try:
                await round_with_trouble(client, number, fault)
            except (AssertionError, TimeoutError) as error:
                return f"{fault} at write {number}, {writes[number]}: {type(error).__name__} {error}"
        return ""

    told = [text for text in await asyncio.gather(*(one(number) for number in range(len(writes)))) if text]
    assert not told, "\n".join(told)
