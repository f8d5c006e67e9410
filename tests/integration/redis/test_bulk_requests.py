"""Requests for many users, while others meddle with the store: they end, and not before everyone was served."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from periodic_sync.core.ledger import Scope
from periodic_sync.core.plan import Plan, plan_for
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import UserRecord, UserState
from periodic_sync.stores.redis import reading
from periodic_sync.stores.redis.commands import Argument, Script
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.keys import QUEUE as QUEUE_KEY
from periodic_sync.stores.redis.scripts import LOOK, QUEUE
from periodic_sync.stores.redis.store import RedisStore
from periodic_sync.stores.redis.upkeep import END
from periodic_sync.stores.redis.urls import parse_url
from redis_bench import RedisBench
from redis_interrupted import Interrupted
from redis_plans import difference, planned, requesting
from redis_support import Server
from scheduling import NOON, ledger_of, policy

REQUESTED = requesting(policy(), Scope.ALL, NOON)


@pytest.fixture
async def bench(shared_server: Server) -> AsyncIterator[RedisBench]:
    connection = Connection(parse_url(shared_server.url))
    bench = RedisBench(connection)
    await bench.fill((UserRecord(f"u{n}", "0x1", NOON), UserState(NOON, 5, 5)) for n in range(3))
    yield bench
    await connection.close()


async def plan_of(store: RedisStore, tick: Tick) -> Plan:
    await store.read(tick.now)
    return plan_for(await store.population(tick), tick, None)


async def test_nobody_waits_for_a_user_who_is_removed_as_the_walk_comes_by(bench: RedisBench) -> None:
    meddling = Interrupted(bench.commands, QUEUE, "u1", lambda: bench.remove("u1"))
    await plan_of(RedisBench(meddling, bench.prefix).open(), REQUESTED)
    assert meddling.has_happened
    assert (await planned(bench, REQUESTED)).counters.requested == 2


async def test_a_queue_that_another_operator_drops_was_not_served(bench: RedisBench) -> None:
    async def drop() -> None:
        """By an operator that has read the ledger before the request was in it, and the store since."""
        await plan_of(bench.open(), Tick(REQUESTED.spec, ledger_of(REQUESTED.spec), NOON))

    await planned(bench, REQUESTED)
    meddling = Interrupted(bench.commands, LOOK, QUEUE_KEY, drop)
    made = await plan_of(RedisBench(meddling, bench.prefix).open(), REQUESTED)
    assert meddling.has_happened
    assert made.counters.requested == 3
    assert (await planned(bench, REQUESTED)).counters.requested == 3


async def test_a_long_queue_is_dropped_in_short_scripts(bench: RedisBench, monkeypatch: pytest.MonkeyPatch) -> None:
    await planned(bench, REQUESTED)
    monkeypatch.setattr(reading, "AT_ONCE", 1)
    run, keys_of_scripts = bench.commands.run, list[int]()

    async def noted(script: Script, keys: Sequence[str | bytes], args: Sequence[Argument] = ()) -> Any:
        keys_of_scripts.append(len(keys))
        return await run(script, keys, args)

    monkeypatch.setattr(bench.commands, "run", noted)
    tick = Tick(REQUESTED.spec, ledger_of(REQUESTED.spec), NOON)
    assert not await difference(bench, tick)
    assert max(keys_of_scripts) == len(bench.keys.shared) + 1


async def test_whoever_a_crash_leaves_on_the_shelf_of_the_queued_is_put_back(bench: RedisBench) -> None:
    await planned(bench, REQUESTED)
    await bench.commands.run(QUEUE, bench.keys.shared, ("", 0, "", END))
    assert not await difference(bench, Tick(REQUESTED.spec, ledger_of(REQUESTED.spec), NOON))
