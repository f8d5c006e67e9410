"""All users of a Redis store, page by page, while they are active."""

from collections.abc import AsyncIterator

import pytest

from periodic_sync.core.users import UserRecord
from periodic_sync.stores.redis import records as module
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.records import RedisRecords
from periodic_sync.stores.redis.urls import parse_url
from redis_bench import RedisBench
from redis_support import Server
from store_contract import NOW


@pytest.fixture
async def records(redis: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisRecords]:
    monkeypatch.setattr(module, "PAGE_SIZE", 10)
    monkeypatch.setattr(module, "REMEMBERED", 3)
    connection = Connection(parse_url(redis.url))
    yield RedisBench(connection).records
    await connection.close()


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


async def test_nor_when_all_of_them_are(records: RedisRecords) -> None:
    names = [f"u{number:02}" for number in range(25)]
    await records.register(UserRecord(name, "w", NOW) for name in names)
    found = await walked(records, active={10: ["u07", "u08", "u09"]})
    assert set(found) == set(names)
    assert found[10:17] == [f"u{number:02}" for number in range(7)]
