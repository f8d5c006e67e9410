"""All users of a Redis store, page by page, while they are active."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from periodic_sync.client.redis_backend import RedisBackend
from periodic_sync.core.users import UserRecord
from periodic_sync.stores.redis import records as module
from periodic_sync.stores.redis.commands import Script
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.keys import SEEN
from periodic_sync.stores.redis.records import RedisRecords
from periodic_sync.stores.redis.urls import parse_url
from redis_bench import RedisBench
from redis_support import Server
from store_contract import NOW


@pytest.fixture
async def bench(redis: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisBench]:
    monkeypatch.setattr(module, "PAGE_SIZE", 10)
    connection = Connection(parse_url(redis.url))
    yield RedisBench(connection)
    await connection.close()


@pytest.fixture
def records(bench: RedisBench) -> RedisRecords:
    return bench.records


async def walked(records: RedisRecords, *, active: dict[int, list[str]] | None = None) -> list[str]:
    """Ids in their order. active: who becomes active after so many were given."""
    ids: list[str] = []
    async for user in records.users():
        ids.append(user.record.user_id)
        if moving := (active or {}).get(len(ids)):
            await records.record_activity(dict.fromkeys(moving, NOW + len(ids)))
    return ids


async def test_users_of_one_instant_are_paged_too(records: RedisRecords) -> None:
    names = [f"u{number:02}" for number in range(35)]
    await records.register(UserRecord(name, "w", NOW) for name in names)
    await records.register([UserRecord("first", "w", -5), UserRecord("last", "w", NOW + 1)])
    assert await walked(records) == ["first", *names, "last"]


@pytest.mark.parametrize("count", [10, 20])
async def test_a_page_that_is_just_full_is_no_end(records: RedisRecords, count: int) -> None:
    await records.register(UserRecord(f"u{number}", "w", NOW + number) for number in range(count))
    assert len(await walked(records)) == count


async def test_nobody_is_left_out_when_those_given_last_are_active(records: RedisRecords) -> None:
    names = [f"u{number:02}" for number in range(25)]
    await records.register(UserRecord(name, "w", NOW) for name in names)
    assert await walked(records, active={10: ["u09", "u08"]}) == [*names, "u08", "u09"]


async def test_nor_is_anybody_else_given_twice_when_all_of_them_are(records: RedisRecords) -> None:
    names = [f"u{number:02}" for number in range(25)]
    await records.register(UserRecord(name, "w", NOW) for name in names)
    moving = ["u07", "u08", "u09"]
    assert await walked(records, active={10: moving}) == [*names, *moving]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_of_any_size_follow_the_order_of_redis_whatever_it_holds(
    records: RedisRecords, bench: RedisBench, redis: Server, limit: int
) -> None:
    names = ["-", "A", "Z", "_", "a", "a.", "aa", "b", "z"]
    await records.register(UserRecord(name, "w", NOW) for name in names)
    await records.register([UserRecord("early", "w", -(10**12)), UserRecord("late", "w", 10**14)])
    for score, foreign in (
        (NOW, b"a\xff"),
        (NOW, b"\x80"),
        (NOW, b"a\0b"),
        (0.1, b"half"),
        (0.1, b"ha"),
        ("inf", b"end"),
    ):
        await redis.command("ZADD", bench.keys.shared[SEEN - 1], score, foreign)
    seen: list[str] = []
    place, pages = None, 0
    while True:
        users, place = await records.page(place, limit)
        assert len(users) <= limit
        seen, pages = [*seen, *(user.record.user_id for user in users)], pages + 1
        if place is None:
            break
    assert seen == ["early", *names, "late"]
    assert pages == -(-(len(seen) + 6) // limit)


async def test_a_page_goes_on_from_where_somebody_stood_who_is_gone(records: RedisRecords) -> None:
    names = [f"u{number}" for number in range(6)]
    await records.register(UserRecord(name, "w", NOW) for name in names)
    _, place = await records.page(None, 3)
    assert await records.remove(["u0", "u2", "nobody"]) == {"u0", "u2"}
    users, _ = await records.page(place, 3)
    assert [user.record.user_id for user in users] == ["u3", "u4", "u5"]


async def test_many_users_are_erased_in_few_scripts(bench: RedisBench, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"u{number:04}" for number in range(600)]
    await bench.register(names)
    run, ran = bench.commands.run, list[str]()

    async def counting(script: Script, *more: Any) -> Any:
        ran.append(script.name)
        return await run(script, *more)

    monkeypatch.setattr(bench.commands, "run", counting)
    removal = await RedisBackend(bench.commands, prefix=bench.prefix).remove([*names, "nobody"])
    assert removal.removed == set(names)
    assert ran == ["remove"] * 3
