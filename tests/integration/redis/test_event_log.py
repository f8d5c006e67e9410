"""The stream of what became of users: an event is in it exactly if the outcome was applied; what is lost is told."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from periodic_sync.client.moving import Target
from periodic_sync.core.event_marks import LostError, Position
from periodic_sync.core.events import Event, UserFailed, UserSynced
from periodic_sync.core.outcomes import Ending, Outcome
from periodic_sync.stores.redis.commands import Script
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.event_log import BEFORE_ALL, KEPT, EventLog
from periodic_sync.stores.redis.urls import parse_url
from redis_bench import RedisBench
from redis_support import Server
from store_contract import NOW, WALLET, outcome


@pytest.fixture
async def bench(server: Server) -> AsyncIterator[RedisBench]:
    connection = Connection(parse_url(server.url))
    yield RedisBench(connection)
    await connection.close()


@dataclass
class Reading:
    """Somebody who reads on from where it was."""

    bench: RedisBench
    position: Position = BEFORE_ALL
    seen: list[Event] = field(default_factory=list)

    async def new(self) -> list[Event]:
        entries = await EventLog(self.bench.commands, self.bench.keys).since(self.position)
        fresh = [entry for entry in entries if entry.position > self.position]
        self.position = fresh[-1].position if fresh else self.position
        return [event for entry in fresh for event in entry.events]


async def test_what_is_applied_is_told_once(bench: RedisBench) -> None:
    await bench.register(["u1", "u2", "u3", "u4"])
    reading, store = Reading(bench), bench.open()
    assert await reading.new() == []
    endings = {"u1": Ending.SYNCED, "u2": Ending.FAILED, "u3": Ending.RETURNED, "u4": Ending.SYNCED}
    ended = [outcome(user_id, ending) for user_id, ending in endings.items()]
    await store.apply(ended)
    told = await reading.new()
    assert told == [UserSynced("u1", NOW, NOW), UserSynced("u4", NOW, NOW), UserFailed("u2", 1, 0, NOW + 31_000)]
    for again in (store, bench.open()):
        await again.apply(ended)
    assert await reading.new() == []


async def test_of_two_operators_each_tells_what_it_has_applied(bench: RedisBench) -> None:
    await bench.register(["u1", "u2"])
    one, other, reading = bench.open(), bench.open(), Reading(bench)
    await one.states(["u1", "u2"])
    await other.apply([outcome("u1", claim=NOW)])
    # What the first one knows is old by now: it reads again, and applies the rest.
    await one.apply([outcome("u1", claim=NOW), outcome("u2", claim=NOW), outcome("u1", claim=NOW + 1)])
    told = await reading.new()
    assert sorted(event.user for event in told if isinstance(event, UserSynced)) == ["u1", "u1", "u2"]
    assert UserSynced("u1", NOW + 1, NOW + 1) in told


async def test_whoever_left_before_is_not_told(bench: RedisBench) -> None:
    await bench.register(["u1", "u2"])
    store, reading = bench.open(), Reading(bench)
    await store.states(["u1", "u2"])
    await bench.remove("u1")
    await store.apply([outcome("u1"), outcome("u2")])
    assert await reading.new() == [UserSynced("u2", NOW, NOW)]


async def test_users_who_are_moved_to_redis_were_not_synced_by_that(bench: RedisBench) -> None:
    await bench.register(["u1"])
    await bench.open().apply([outcome("u1")])
    moved = {user.record.user_id: user async for user in bench.records.users()}
    there = RedisBench(bench.commands)
    await Target(there.commands, prefix=there.prefix).copy(moved)
    assert (await there.records.get(["u1"]))["u1"].state == moved["u1"].state
    assert await Reading(there).new() == []


async def test_neither_wallets_nor_what_a_worker_said_are_in_it(bench: RedisBench, server: Server) -> None:
    await bench.register(["u1"])
    await bench.open().apply([outcome("u1", Ending.FAILED)])
    [entry] = await bench.commands.read(bench.keys.events, [("XRANGE", bench.keys.events, "-", "+")])
    assert WALLET.encode() not in b"".join(entry[0][1])


async def test_only_the_last_are_kept_and_whoever_was_before_them_is_told_of_a_gap(bench: RedisBench) -> None:
    await bench.register(["u1"])
    store, log = bench.open(), EventLog(bench.commands, bench.keys)
    await store.apply([outcome("u1", claim=NOW)])
    early = await log.last()
    fill = Script("fill", "for i = 1, 3000 do redis.call('XADD', KEYS[1], '*', 'synced 1 1', 'u1') end")
    await bench.commands.run(fill, [bench.keys.events])
    await store.apply([outcome("u1", claim=NOW + 1)])
    (length,) = await bench.commands.read(bench.keys.events, [("XLEN", bench.keys.events)])
    assert KEPT <= length < KEPT + 200
    for position in (early, BEFORE_ALL):
        with pytest.raises(LostError):
            await log.since(position)
    assert len(await log.since(await log.last())) == 1


async def test_a_store_that_was_emptied_or_went_back_is_a_gap(bench: RedisBench, server: Server) -> None:
    await bench.register(["u1"])
    log = EventLog(bench.commands, bench.keys)
    await bench.open().apply([outcome("u1", claim=NOW)])
    position = await log.last()
    await server.command("FLUSHALL")
    with pytest.raises(LostError):
        await log.since(position)
    await bench.register(["u1"])
    await bench.open().apply([outcome("u1", claim=NOW)])
    with pytest.raises(LostError):
        await log.since(position)
    assert len(await log.since(BEFORE_ALL)) == 1


async def test_what_a_later_release_tells_is_passed_over(bench: RedisBench) -> None:
    later = Script(
        "later", "return redis.call('XADD', KEYS[1], '*', 'moved 1', 'u1', 'synced 1 2 3', 'u1', 'synced 4 5', 'u1')"
    )
    await bench.commands.run(later, [bench.keys.events])
    assert await Reading(bench).new() == [UserSynced("u1", 4, 5)]


async def test_an_entry_is_small_however_many_users_it_tells_of(bench: RedisBench) -> None:
    users = [f"user-{number:06d}" for number in range(250)]
    await bench.register(users)
    ended: list[Outcome] = [outcome(user_id) for user_id in users]
    await bench.open().apply(ended)
    entries = await bench.commands.read(bench.keys.events, [("XRANGE", bench.keys.events, "-", "+")])
    assert len(entries[0]) == 1
    assert sum(map(len, entries[0][0][1])) < 13 * len(users)
