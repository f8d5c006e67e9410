"""Half of what is to be done never harms: full memory, operators that end in the middle, and others that go on."""

from collections.abc import AsyncIterator

import pytest

from periodic_sync.api.durations import HOUR
from periodic_sync.core.plan import Plan, plan_for
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.keys import DUE
from periodic_sync.stores.redis.scripts import FLOOR, INDEX
from periodic_sync.stores.redis.urls import parse_url
from redis_bench import RedisBench
from redis_interrupted import Interrupted
from redis_support import Server
from scheduling import NOON, ledger_of, policy


@pytest.fixture
async def bench(server: Server) -> AsyncIterator[RedisBench]:
    connection = Connection(parse_url(server.url))
    yield RedisBench(connection)
    await connection.close()


async def plan_with_threshold(bench: RedisBench, active: str) -> Plan:
    spec = policy(thresholds={"active": active}, enabled=False)
    tick, store = Tick(spec, ledger_of(spec), NOON), bench.open()
    await store.read(NOON)
    return plan_for(await store.population(tick), tick, None)


async def test_what_another_operator_leaves_to_index_is_not_taken_for_done(bench: RedisBench) -> None:
    await bench.fill((UserRecord(f"u{n}", "0x1", NOON - n * HOUR // 4), NEVER_SYNCED) for n in range(200))
    await plan_with_threshold(bench, "24h")
    lower, back = NOON - 48 * HOUR, NOON - 24 * HOUR

    async def move_back_and_end() -> None:
        await bench.commands.run(FLOOR, bench.keys.shared, (lower, back))

    meddling = Interrupted(bench.commands, INDEX, lower, move_back_and_end)
    await plan_with_threshold(RedisBench(meddling, bench.prefix), "48h")
    assert meddling.has_happened
    await plan_with_threshold(bench, "24h")
    due = bench.keys.shared[DUE - 1]
    assert await bench.commands.read(bench.keys.meta, [("ZCARD", due)]) == [97]


async def test_full_memory_takes_no_registrations_and_nothing_from_users(bench: RedisBench, server: Server) -> None:
    await bench.records.register([UserRecord("u1", "0x1", NOON, interval=2 * HOUR, time_zone="Asia/Tokyo")])
    await server.command("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreNotReady, match="memory is full"):
        await bench.records.register([UserRecord("u1", "0x2", NOON)])
    await server.command("CONFIG", "SET", "maxmemory", "0")
    assert (await bench.records.get(["u1"]))["u1"].record == UserRecord("u1", "0x1", NOON, 2 * HOUR, "Asia/Tokyo")
