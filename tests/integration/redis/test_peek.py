"""A look from outside at the users in Redis sees who waits as the operator does, and writes nothing."""

from collections.abc import AsyncIterator

import pytest

from dice import situations
from periodic_sync.api.durations import HOUR, SECOND
from periodic_sync.api.names import Priority
from periodic_sync.core.ledger import Scope
from periodic_sync.core.plan import Population
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.inspection.waiting import of_all, of_population
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.keys import Keys
from periodic_sync.stores.redis.meta import look_at_store, owner_of
from periodic_sync.stores.redis.peek import peek
from periodic_sync.stores.redis.urls import parse_url
from redis_bench import RedisBench
from redis_plans import everyone, planned, requesting
from redis_support import Server
from scheduling import NOON, policy, tick_of


@pytest.fixture
async def bench(shared_server: Server) -> AsyncIterator[RedisBench]:
    connection = Connection(parse_url(shared_server.url))
    yield RedisBench(connection)
    await connection.close()


async def changes(server: Server) -> object:
    """What grows with every write."""
    info = await server.info("persistence")
    return info["rdb_changes_since_last_save"], (await server.info("replication"))["master_repl_offset"]


async def seen(bench: RedisBench, tick: Tick, *, most: int) -> Population:
    found = await peek(bench.commands, bench.keys, tick, most=most)
    assert found is not None
    return found


async def test_who_waits_is_counted_as_the_operator_counts(bench: RedisBench, shared_server: Server) -> None:
    waited = 0
    for number, (users, tick) in enumerate(situations(60)):
        here = RedisBench(bench.commands)
        await here.fill(users)
        await planned(here, tick)  # everybody is in their place
        before = await changes(shared_server)
        found = of_population(await seen(here, tick, most=1000), tick)
        assert await changes(shared_server) == before, number
        expected = of_all(users, tick)
        assert sum(found.by_priority.values()) == sum(expected.by_priority.values()), number
        if tick.request is None:
            assert found.by_priority == expected.by_priority, number
        assert found.longest == expected.longest, number
        waited += sum(expected.by_priority.values())
    assert waited > 100


async def test_of_many_only_the_most_urgent_are_read(bench: RedisBench) -> None:
    users = [(UserRecord(f"u{n}", "w", NOON), UserState(NOON - 2 * HOUR - n * SECOND, 5, 5)) for n in range(500)]
    users += [(UserRecord(f"n{n}", "w", NOON), NEVER_SYNCED) for n in range(20)]
    await bench.fill(users)
    tick = tick_of(policy())
    assert await peek(bench.commands, bench.keys, tick, most=50) is None
    await planned(bench, tick)
    population = await seen(bench, tick, most=50)
    assert len(population.users) < 150
    found = of_population(population, tick)
    assert (found.by_priority[Priority.HIGH], found.longest) == (520, of_all(users, tick).longest)


@pytest.mark.parametrize("scope", [Scope.ALL, Scope.ACTIVE])
async def test_users_whom_a_request_has_not_come_to_count_as_waiting(bench: RedisBench, scope: Scope) -> None:
    users = [(UserRecord(f"u{n}", "w", NOON), UserState(NOON - SECOND, 5, 5)) for n in range(30)]
    await bench.fill(users)
    await planned(bench, tick_of(policy()))
    population = await seen(bench, requesting(policy(), scope, NOON), most=50)
    assert population.census is not None
    assert population.census.requested == 30


async def test_a_look_makes_no_store_and_takes_none(bench: RedisBench) -> None:
    keys = Keys("nobody:")
    assert (await look_at_store(bench.commands, keys)).users == 0
    assert await owner_of(bench.commands, keys) == ""
    assert await bench.commands.read(keys.meta, [("EXISTS", keys.meta)]) == [0]
    await bench.fill([(UserRecord("u1", "w", NOON), NEVER_SYNCED)])
    await look_at_store(bench.commands, bench.keys)
    assert await owner_of(bench.commands, bench.keys) == ""
    assert len(await everyone(bench)) == 1


async def test_a_store_of_another_version_is_not_read(bench: RedisBench, shared_server: Server) -> None:
    await bench.fill([(UserRecord("u1", "w", NOON), NEVER_SYNCED)])
    await shared_server.command("HSET", bench.keys.meta, "version", "99")
    with pytest.raises(StoreNotReady, match="layout version 99"):
        await peek(bench.commands, bench.keys, tick_of(policy()), most=50)
