"""The operator crashes, or loses its connection, at every single write: what follows ends as if nothing had been.

One round of five users is played again and again, each time with trouble at another write, before or after it took
effect. Whoever goes on, a fresh operator or the same one, must come to the same end.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from kubelet import SUCCESS, End, Worker, naming
from periodic_sync.api.durations import MINUTE
from periodic_sync.kube.client import KubeClient
from turns_support import Bench, Operator, new_bench
from watched_client import Crash

USERS = ("u1", "u2", "u3", "u4", "u5")
POLICY = {"batchSize": 2, "jobs": {"batchesPerJob": 2, "maxConcurrentBatches": 10}}
AT_ONCE = 24
"""Rounds played side by side: most of a round is waiting for the Job controller."""

PAUSE_SECONDS = 0.3


@dataclass(frozen=True)
class Trouble:
    """What goes wrong at the write of that kind and number, from 1 on. Numbers of all kinds together would shift
    with how soon the Job controller tells of what ended."""

    fault: str
    kind: str = ""
    number: int = 0

    def plan(self) -> Callable[[int, str], str]:
        seen = Counter[str]()

        def at(_: int, kind: str) -> str:
            seen[kind] += 1
            return self.fault if (kind, seen[kind]) == (self.kind, self.number) else ""

        return at

    @property
    def worker(self) -> Worker:
        if self.fault == "crash-after" and self.kind == "DELETE batch file":
            return lambda users: SUCCESS  # see the last test
        return fails_once("u5")


async def round_with(client: KubeClient, trouble: Trouble) -> list[str]:
    """Play one round, and check its end. Returns: the first operator's writes."""
    async with new_bench(client) as bench:
        bench.kubelet.worker = trouble.worker
        await bench.apply(POLICY)
        await bench.register(active=USERS, inactive=["gone"])
        first = bench.operator(trouble.plan())
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
    not_well = {
        user_id: state for user_id, state in states.items() if not state.last_synced or state.failures or state.returns
    }
    assert not not_well
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


async def test_trouble_at_every_write(client: KubeClient) -> None:
    """A crash before a write is one after the write before."""
    kinds = Counter(await round_with(client, Trouble("none")))
    troubles = [
        Trouble(fault, kind, number)
        for fault in ("crash-after", "lost", "unanswered")
        for kind, count in kinds.items()
        for number in range(1, count + 1)
    ]
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(trouble: Trouble) -> str:
        async with limit:
            try:
                await round_with(client, trouble)
            except (AssertionError, TimeoutError) as error:
                return f"{trouble}: {type(error).__name__} {error}"
        return ""

    told = [text for text in await asyncio.gather(*map(one, troubles)) if text]
    assert not told, "\n".join(told)


async def test_failures_are_counted_though_the_operator_crashed_after_deleting_the_batch_file(bench: Bench) -> None:
    bench.kubelet.worker = fails_once("u1")
    await bench.apply()
    await bench.register(active=["u1", "u2"])
    with pytest.raises(Crash):
        await bench.run(bench.operator(Trouble("crash-after", "DELETE batch file", 1).plan()))
    await bench.run(bench.operator())
    totals = (await bench.ledger()).totals
    assert (sum(totals.synced.values()), sum(totals.failed.values())) == (1, 1)
