"""The client library on ConfigMaps in memory: what is written, when, and what others wrote in between."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from client_contract import MOMENT, all_users
from client_support import STORE, MemoryMaps, SetClock, client_on, together
from periodic_sync.api.durations import MINUTE
from periodic_sync.client import Client, StoreUnavailableError, UnknownUserError
from store_contract import NOW, WALLET, record

LABEL = {"sync.moonx.farm/store": STORE}
TWENTIETH = 72 * MINUTE


def last_active(maps: MemoryMaps, user_id: str, shard: str = STORE) -> str:
    return str(json.loads(maps.data(shard)[user_id])["lastActive"])


class TestWhatIsWritten:
    async def test_activity_within_a_twentieth_of_the_threshold_is_not(
        self, client: Client, maps: MemoryMaps, clock: SetClock
    ) -> None:
        await client.register("u1", WALLET)
        writes = maps.requests["merge"]
        clock.pass_by(TWENTIETH)
        await client.record_activity("u1")
        assert maps.requests["merge"] == writes
        clock.pass_by(1)
        await client.record_activity("u1")
        assert maps.requests["merge"] == writes + 1
        assert last_active(maps, "u1") == "2026-01-31T10:42:00.001Z"

    async def test_registering_again_with_the_same_is_not(
        self, client: Client, maps: MemoryMaps, clock: SetClock
    ) -> None:
        await client.register("u1", WALLET, interval="5m")
        writes = maps.requests["merge"]
        clock.pass_by(MINUTE)
        await client.register("u1", WALLET, interval="5m")
        assert maps.requests["merge"] == writes
        await client.register("u1", WALLET)
        assert maps.requests["merge"] == writes + 1

    async def test_only_the_keys_that_change_with_the_version_they_came_from(
        self, client: Client, maps: MemoryMaps
    ) -> None:
        maps.put(STORE, "others", json.dumps(record()))
        version = maps.objects[STORE]["metadata"]["resourceVersion"]
        await client.register("u1", WALLET)
        (patch,) = maps.patches
        assert patch["metadata"] == {"resourceVersion": version}
        assert patch["data"].keys() == {"u1"}

    async def test_fields_of_others_are_left_alone(self, client: Client, maps: MemoryMaps) -> None:
        maps.put(STORE, "u1", json.dumps(record(active=NOW - 2 * TWENTIETH, interval="often", plan=["gold", "\ud800"])))
        await client.record_activity("u1")
        await client.request_sync("u1")
        assert json.loads(maps.data()["u1"]) == {
            **record(),
            "lastActive": "2026-01-31T09:30:00Z",
            "interval": "often",
            "plan": ["gold", "\ud800"],
            "syncRequestedAt": "2026-01-31T09:30:00Z",
        }

    async def test_a_time_that_lies_too_far_ahead_is_put_right(self, client: Client, maps: MemoryMaps) -> None:
        maps.put(STORE, "u1", json.dumps(record(active=NOW + 90 * MINUTE)))
        assert await client.get("u1") is None
        await client.record_activity("u1")
        assert last_active(maps, "u1") == "2026-01-31T09:30:00Z"

    async def test_an_entry_that_is_no_record_is_no_user_until_it_is_registered(
        self, client: Client, maps: MemoryMaps
    ) -> None:
        maps.put(STORE, "u1", "{")
        maps.put(STORE, "u2", '{"userId": 5, "wallet": ["a"]}')
        with pytest.raises(UnknownUserError):
            await client.record_activity("u1")
        await client.register("u1", WALLET)
        await client.register("u2", WALLET)
        assert (await all_users(client)).keys() == {"u1", "u2"}
        assert maps.data().keys() == {"u1", "u2"}

    async def test_tokens_older_than_a_week_are_left_out(self, client: Client, maps: MemoryMaps) -> None:
        await client.register("u1", WALLET)
        await client.mark_tokens_changed("u1", "old", MOMENT - timedelta(days=7, seconds=1))
        await client.mark_tokens_changed("u1", "new")
        assert json.loads(maps.data()["u1"])["changedTokens"] == {"new": "2026-01-31T09:30:00Z"}


class TestWhenItIsWritten:
    async def test_calls_at_one_moment_are_one_write(self, client: Client, maps: MemoryMaps, clock: SetClock) -> None:
        await together(*(client.register(f"u{n}", WALLET) for n in range(50)))
        assert maps.requests["merge"] == 1
        assert clock.slept == []

    async def test_at_most_one_write_a_second_and_a_call_returns_when_its_own_is_done(
        self, client: Client, maps: MemoryMaps, clock: SetClock
    ) -> None:
        await client.register("u0", WALLET)
        clock.pass_by(400)
        first = asyncio.create_task(client.register("u1", WALLET))
        second = asyncio.create_task(client.register("u2", WALLET))
        await together(first, second)
        assert clock.slept == [0.6]
        assert [patch["data"].keys() for patch in maps.patches] == [{"u0"}, {"u1", "u2"}]

    async def test_what_is_stored_already_waits_for_nobody(
        self, client: Client, maps: MemoryMaps, clock: SetClock
    ) -> None:
        await client.register("u1", WALLET)
        clock.pass_by(1_000)
        await client.record_activity("u1")
        assert clock.slept == []

    async def test_a_burst_of_activity_is_a_handful_of_requests(
        self, client: Client, maps: MemoryMaps, clock: SetClock
    ) -> None:
        await together(*(client.register(f"u{n}", WALLET) for n in range(100)))
        maps.requests.clear()
        clock.pass_by(2 * TWENTIETH)
        for _ in range(20):
            await together(*(client.record_activity(f"u{n}") for n in range(100)))
        assert maps.requests["merge"] == 1
        assert maps.requests["get"] <= 1
        assert maps.requests["list"] <= 3


class TestOtherWriters:
    async def test_a_write_in_between_is_seen_and_kept(self, client: Client, maps: MemoryMaps) -> None:
        await client.register("u1", WALLET, last_active=MOMENT - timedelta(days=1))
        done: list[str] = []

        def meddle(patch: dict[str, Any]) -> None:
            if len(done) < 3:
                done.append("")
                maps.put(STORE, f"theirs-{len(done)}", json.dumps(record()))
                maps.put(STORE, "u1", json.dumps(record(active=NOW - 2 * TWENTIETH, plan=len(done))))

        maps.before_merge = meddle
        await client.record_activity("u1")
        assert maps.data().keys() == {"u1", "theirs-1", "theirs-2", "theirs-3"}
        assert json.loads(maps.data()["u1"]) == {**record(), "lastActive": "2026-01-31T09:30:00Z", "plan": 3}

    async def test_two_clients_lose_nothing(self, maps: MemoryMaps, clock: SetClock) -> None:
        async with client_on(maps, clock) as one, client_on(maps, clock) as other:
            ids = [f"u{n}" for n in range(200)]
            await together(*((one, other)[n % 2].register(user_id, WALLET) for n, user_id in enumerate(ids)))
            await together(*(each.mark_tokens_changed(i, t) for i in ids for each, t in ((one, "a"), (other, "b"))))
            found = await all_users(one)
            assert {user_id: found[user_id].changed_tokens.keys() for user_id in ids} == {
                user_id: {"a", "b"} for user_id in ids
            }

    async def test_one_who_was_removed_by_others_is_told_of_within_ten_seconds(
        self, client: Client, maps: MemoryMaps, clock: SetClock
    ) -> None:
        await client.register("u1", WALLET)
        maps.store(STORE, {})
        clock.pass_by(10_000)
        with pytest.raises(UnknownUserError):
            await client.record_activity("u1")

    async def test_one_who_was_removed_by_others_is_registered_anew_at_once(
        self, client: Client, maps: MemoryMaps
    ) -> None:
        await client.register("u1", WALLET)
        maps.store(STORE, {})
        await client.register("u1", WALLET)
        assert maps.data().keys() == {"u1"}

    async def test_others_who_never_stop_are_told(self, client: Client, maps: MemoryMaps) -> None:
        maps.before_merge = lambda patch: maps.put(STORE, "x", json.dumps(record(plan=len(maps.patches))))
        with pytest.raises(StoreUnavailableError, match="Others keep writing ConfigMap shop/user-activity"):
            await client.register("u1", WALLET)
