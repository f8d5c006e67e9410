"""What users in Redis cost, beside bare scripts that make the same reads and writes.

    python -m benchmarks.redis_store [--users 1000000] [--active 100000]

Starts a redis-server of its own on loopback and ends it. Times are compared within one run, taken in turns; the least
of each counts, since what else a machine does only adds.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from redis.asyncio import Redis

from benchmarks.redis_server import running_redis
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.ledger import Intervals, Ledger
from periodic_sync.core.outcomes import Ending, Outcome
from periodic_sync.core.plan import Plan, plan_for, with_cohorts
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import UserRecord
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.records import RedisRecords
from periodic_sync.stores.redis.store import RedisStore
from periodic_sync.stores.redis.urls import parse_url

T = TypeVar("T")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
DUE = 1_000
ROUNDS = 12
PLANS = 100


@dataclass(frozen=True)
class Server:
    url: str
    redis: Redis

    async def memory(self) -> int:
        return int((await self.redis.info("memory"))["used_memory"])


def records(count: int, active: int, now: int, *, first: int = 0) -> Iterator[UserRecord]:
    """`active` of them in the last hours, the others days ago."""
    dice = random.Random(first)
    for number in range(first, first + count):
        ago = dice.randrange(12 * HOUR) if number - first < active else 2 * DAY + dice.randrange(30 * DAY)
        yield UserRecord(f"user-{number:08d}", f"0x{dice.getrandbits(160):040x}", now - ago)


def spec_of(batch_size: int = 10) -> SyncPolicySpec:
    """Room for 1,000 users in one plan."""
    return SyncPolicySpec.model_validate(
        {
            "store": {"redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": "bench:"}},
            "worker": {"image": "worker"},
            "intervals": {"marketHours": "10m", "offHours": "10m"},
            "batchSize": batch_size,
            "jobs": {"maxConcurrentBatches": DUE // batch_size},
        }
    )


@dataclass
class Scheduler:
    """One policy's planning and settling, as the controller does it."""

    store: RedisStore
    spec: SyncPolicySpec
    claim: int = 0

    async def plan(self, now: int) -> Plan:
        intervals = Intervals(self.spec.intervals.market_hours, self.spec.intervals.off_hours, self.spec.market_hours)
        ledger = Ledger(generation=1, enabled=True, intervals=intervals, cohorts_at=now)
        await self.store.read(now)
        tick, cohorts = with_cohorts(Tick(self.spec, ledger, now), 0)
        return plan_for(await self.store.population(tick), tick, cohorts)

    async def settle(self, user_ids: Sequence[str], at: int, now: int) -> None:
        self.claim = max(self.claim + 1, now)
        await self.store.apply([Outcome(each, Ending.SYNCED, self.claim, at, now, 10) for each in user_ids])


async def least(work: Sequence[Callable[[], Awaitable[object]]], rounds: int = ROUNDS) -> list[float]:
    """The least seconds of each, done in turns."""
    best = [float("inf")] * len(work)
    for _ in range(rounds):
        for number, each in enumerate(work):
            began = time.perf_counter()
            await each()
            best[number] = min(best[number], time.perf_counter() - began)
    return best


async def imports(server: Server, count: int) -> None:
    """A bare redis-py pipeline of the same writes, and the bulk import."""
    now = _now()
    connection = Connection(parse_url(server.url))
    known = list(records(count, count // 10, now))

    async def bare() -> None:
        await server.redis.flushall()
        for part in _parts(known, 1_000):
            pipeline = server.redis.pipeline(transaction=False)
            for record in part:
                pipeline.hset(f"bench:u:{record.user_id}", mapping={"wallet": record.wallet})
                pipeline.zadd("bench:seen", {record.user_id: record.last_active})
            await pipeline.execute()

    async def ours() -> None:
        await server.redis.flushall()
        await RedisRecords(connection, prefix="bench:").register(known)

    bare_seconds, our_seconds = await least([bare, ours], rounds=3)
    print(
        f"| bulk import of {count:,} users | {count / our_seconds:,.0f} users/s | {count / bare_seconds:,.0f} users/s "
        f"| {bare_seconds / our_seconds:.2f} times as fast |"
    )
    await connection.close()


async def rounds(server: Server, users: int, active: int) -> None:
    """1,000 due of them: planned and settled; and the same by a bare script."""
    now = _now()
    connection = Connection(parse_url(server.url))
    await server.redis.flushall()
    empty = await server.memory()
    owner = _owner
    scheduler = Scheduler(RedisStore(connection, prefix="bench:", owner=owner), spec_of())
    application = RedisRecords(connection, prefix="bench:")
    for part in _parts(records(users, active, now), 50_000):
        await application.register(part)
    busy = [f"user-{number:08d}" for number in range(active)]
    await scheduler.plan(now)
    for ids in _parts(busy, 5_000):
        await scheduler.settle(ids, now, now)
    full = await server.memory()
    print(f"| memory of a user, {users:,} of whom {active:,} active | {(full - empty) / users:.0f} B | | |")
    await _compare(server, scheduler, busy, now)
    await connection.close()


async def _compare(server: Server, scheduler: Scheduler, busy: list[str], now: int) -> None:
    due_at, moment = now - 11 * MINUTE, now + 1
    due = busy[:DUE]
    await _fill_bare(server, busy, now)

    async def make_due() -> None:
        """The same users are due again, by a claim that lies back."""
        await scheduler.settle(due, due_at, moment)
        await server.redis.zadd("bare:due", dict.fromkeys(due, due_at))

    async def ours() -> None:
        made = await scheduler.plan(moment)
        assert made.counters.claimed >= DUE, made.counters
        await scheduler.settle(due, moment, moment)

    async def bare() -> None:
        found = await server.redis.zrangebyscore("bare:due", 0, moment - 10 * MINUTE, start=0, num=DUE)
        assert len(found) == DUE
        pipeline = server.redis.pipeline(transaction=False)
        ids = [str(each, "ascii") for each in found]  # type: ignore[arg-type]
        for each in ids:
            pipeline.hmget(f"bare:u:{each}", ["wallet", "seen", "synced"])
        await pipeline.execute()
        pipeline = server.redis.pipeline(transaction=False)
        for each in ids:
            pipeline.hset(f"bare:u:{each}", mapping={"synced": moment})
            pipeline.zadd("bare:due", {each: moment})
        await pipeline.execute()

    best = [float("inf")] * 2
    for _ in range(ROUNDS):
        await make_due()
        for number, work in enumerate((ours, bare)):
            began = time.perf_counter()
            await work()
            best[number] = min(best[number], time.perf_counter() - began)
    print(
        f"| planning and settling {DUE:,} due users | {1000 * best[0]:.1f} ms | {1000 * best[1]:.1f} ms "
        f"| {best[0] / best[1]:.2f} times the time |"
    )


async def _fill_bare(server: Server, busy: list[str], now: int) -> None:
    for part in _parts(busy, 5_000):
        pipeline = server.redis.pipeline(transaction=False)
        for each in part:
            pipeline.zadd("bare:due", {each: now})
            pipeline.hset(f"bare:u:{each}", mapping={"wallet": f"0x{each:0>40}", "seen": now, "synced": now})
        await pipeline.execute()


async def idle(server: Server, few: int, many: int) -> None:
    """A tick with nothing due, with few and with many dormant users."""
    now = _now()
    connection = Connection(parse_url(server.url))
    schedulers, memory = [], list[float]()
    await server.redis.flushall()
    for name, count in (("few:", few), ("many:", many)):
        application = RedisRecords(connection, prefix=name)
        for part in _parts(records(count, 0, now), 50_000):
            await application.register(part)
        schedulers.append(Scheduler(RedisStore(connection, prefix=name, owner=_owner), spec_of()))
        await schedulers[-1].plan(now)
        memory.append(await _resident_planner(server.url, name))
    seconds = await least([lambda each=each: each.plan(now) for each in schedulers], rounds=200)  # type: ignore[misc]
    print(
        f"| a tick with nothing due, {many:,} dormant users, beside {few:,} | {1000 * seconds[1]:.2f} ms "
        f"| {1000 * seconds[0]:.2f} ms | {seconds[1] / seconds[0]:.2f} times the time |"
    )
    print(
        f"| resident memory of a process that plans on them | {memory[1]:.1f} MiB | {memory[0]:.1f} MiB "
        f"| {memory[1] / memory[0]:.2f} times as much |"
    )
    await connection.close()


async def idle_with(server: Server, active: int) -> None:
    """A tick with nothing due and all active, with large batches and with small ones."""
    now = _now()
    connection = Connection(parse_url(server.url))
    await server.redis.flushall()
    application = RedisRecords(connection, prefix="idle:")
    for part in _parts(records(active, active, now), 50_000):
        await application.register(part)
    schedulers = [
        Scheduler(RedisStore(connection, prefix="idle:", owner=_owner), spec_of(size)) for size in (1_000, 10)
    ]
    for each in schedulers:
        await each.plan(now)
    for number, ids in enumerate(_parts((f"user-{number:08d}" for number in range(active)), 5_000)):
        await schedulers[0].settle(ids, now - number * 8 * MINUTE * 5_000 // active, now)
    made = await schedulers[0].plan(now)
    assert made.counters.due == 0, made.counters
    large, small = await least([lambda each=each: each.plan(now) for each in schedulers], rounds=100)  # type: ignore[misc]
    print(
        f"| a tick with nothing due, {active:,} active users and `batchSize: 1000`, beside 10 | {1000 * large:.2f} ms "
        f"| {1000 * small:.2f} ms | {large / small:.2f} times the time |"
    )
    await connection.close()


async def _owner() -> str:
    return "cluster/namespace/policy"


def _parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while part := list(islice(left, size)):
        yield part


def _now() -> int:
    return time.time_ns() // 1_000_000 // 1000 * 1000


async def _resident_planner(url: str, prefix: str) -> float:
    """MiB of a process of its own, after many plans."""
    command = [sys.executable, "-m", "benchmarks.redis_store", "--plan-on", url, prefix]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return float(said)


async def plan_on(url: str, prefix: str) -> None:
    """Plan often."""
    connection = Connection(parse_url(url))
    scheduler = Scheduler(RedisStore(connection, prefix=prefix, owner=_owner), spec_of())
    for _ in range(PLANS):
        await scheduler.plan(_now())
    await connection.close()


def _resident() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


@asynccontextmanager
async def _server() -> AsyncIterator[Server]:
    async with running_redis() as url:
        redis = Redis.from_url(url)
        try:
            yield Server(url, redis)
        finally:
            await redis.aclose()


async def run(users: int, active: int, imported: int) -> None:
    print("| what | this product | bare | ratio |\n| --- | --- | --- | --- |")
    async with _server() as server:
        await idle(server, 1_000, users)
        await idle_with(server, active)
        await imports(server, imported)
        await rounds(server, users, active)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--active", type=int, default=100_000)
    parser.add_argument("--imported", type=int, default=200_000)
    parser.add_argument("--plan-on", nargs=2, metavar=("URL", "PREFIX"), help="used by the benchmark itself")
    given = parser.parse_args()
    if given.plan_on:
        asyncio.run(plan_on(*given.plan_on))
        print(_resident())
        return
    asyncio.run(run(given.users, given.active, given.imported))


if __name__ == "__main__":
    main()
