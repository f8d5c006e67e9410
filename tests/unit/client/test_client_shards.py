"""The client library on ConfigMaps in memory: which shard, what is erased, and what is said in trouble."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import pytest

from client_contract import all_users
from client_support import NAMESPACE, STORE, MemoryMaps, SetClock, client_on
from periodic_sync.api.durations import MINUTE
from periodic_sync.api.errors import ForbiddenError, InvalidError, UnavailableError
from periodic_sync.client import Client, StoreUnavailableError
from periodic_sync.client.shard_file import LAST_APPLIED
from periodic_sync.stores.base import Owner
from store_contract import NOW, WALLET, record

LABEL = {"sync.moonx.farm/store": STORE}
TWENTIETH = 72 * MINUTE


def last_active(maps: MemoryMaps, user_id: str, shard: str = STORE) -> str:
    return str(json.loads(maps.data(shard)[user_id])["lastActive"])


class TestShards:
    async def test_new_users_go_to_where_most_room_is(self, client: Client, maps: MemoryMaps) -> None:
        maps.store(STORE, {"big": " " * 500_000})
        maps.store("more", {"big": " " * 400_000}, labels=LABEL)
        await client.register("u1", WALLET)
        assert maps.data("more").keys() == {"big", "u1"}

    async def test_a_new_shard_is_made_when_all_are_full(self, client: Client, maps: MemoryMaps) -> None:
        maps.store(STORE, {"big": " " * 900 * 1024})
        maps.store(f"{STORE}-1", {})  # somebody else's
        await client.register("u1", WALLET)
        assert maps.objects[f"{STORE}-2"]["metadata"]["labels"] == LABEL
        assert maps.data(f"{STORE}-2").keys() == {"u1"}
        assert maps.data(f"{STORE}-1") == {}

    async def test_no_shard_grows_past_its_limits(self, client: Client, maps: MemoryMaps) -> None:
        lines = (json.dumps(record() | {"userId": f"user-{n}", "wallet": "w" * 128}) for n in range(12_000))
        assert (await client.import_users(lines)).imported == 12_000
        sizes = {name: sum(map(len, each["data"].values())) for name, each in maps.objects.items()}
        assert all(size <= 900 * 1024 for size in sizes.values())
        assert len(sizes) == 3
        assert sum(len(each["data"]) for each in maps.objects.values()) == 12_000

    async def test_long_ids_count_too(self, client: Client, maps: MemoryMaps) -> None:
        lines = [json.dumps(record() | {"userId": f"{n:0>128}", "wallet": "w"}) for n in range(5_000)]
        await client.import_users(lines)
        for each in maps.objects.values():
            keys, values = sum(map(len, each["data"])), sum(map(len, each["data"].values()))
            assert 2 * keys + values < 1300 * 1024

    async def test_an_entry_that_outgrows_its_shard_moves(self, client: Client, maps: MemoryMaps) -> None:
        await client.register("u1", WALLET)
        maps.put(STORE, "big", " " * 999 * 1024)
        tokens = [f"{n:0>120}" for n in range(100)]
        await client.mark_tokens_changed("u1", tokens)
        assert maps.data().keys() == {"big"}
        assert maps.data(f"{STORE}-1").keys() == {"u1"}
        assert (await all_users(client))["u1"].changed_tokens.keys() == set(tokens)

    async def test_a_user_in_two_shards_is_changed_where_it_counts_and_removed_from_both(
        self, client: Client, maps: MemoryMaps
    ) -> None:
        maps.store(STORE, {"u1": json.dumps(record(active=NOW - 3 * TWENTIETH))})
        twice = {"k": json.dumps(record(active=NOW - 2 * TWENTIETH, userId="u1")), "u1": "{"}
        maps.store("more", {**twice, "u2": json.dumps(record())}, labels=LABEL)
        await client.record_activity("u1")
        assert last_active(maps, "k", "more") == "2026-01-31T09:30:00Z"
        await client.remove("u1")
        assert (maps.data().keys(), maps.data("more").keys()) == (set(), {"u2"})

    async def test_a_store_of_too_many_shards_is_full(self, client: Client, maps: MemoryMaps) -> None:
        for number in range(31):
            maps.store(f"more-{number}", {"big": " " * 900 * 1024}, labels=LABEL)
        maps.store(STORE, {"big": " " * 900 * 1024})
        with pytest.raises(StoreUnavailableError, match=r"is full: it has 32 ConfigMaps\. Move it to Redis"):
            await client.register("u1", WALLET)

    async def test_a_key_that_is_somebody_elses_is_left_to_them(self, client: Client, maps: MemoryMaps) -> None:
        maps.put(STORE, "u1", json.dumps(record(userId="another")))
        await client.register("u1", WALLET)
        assert (await all_users(client)).keys() == {"u1", "another"}


class TestErasing:
    async def test_what_kubectl_apply_keeps_is_erased_too(self, client: Client, maps: MemoryMaps) -> None:
        data = {"u1": json.dumps(record()), "u2": json.dumps(record())}
        applied = json.dumps({"kind": "ConfigMap", "data": data})
        maps.store(STORE, data, annotations={LAST_APPLIED: applied})
        assert "forgets that 24 hours" in (await client.remove("u1")).remains
        assert "u1" not in json.dumps(maps.objects[STORE])
        left = json.loads(maps.objects[STORE]["metadata"]["annotations"][LAST_APPLIED])
        assert left == {"kind": "ConfigMap", "data": {"u2": data["u2"]}}

    async def test_without_the_right_to_see_the_operators_state_it_is_said(
        self, maps: MemoryMaps, clock: SetClock
    ) -> None:
        class Narrow(MemoryMaps):
            async def list_metadata(self, namespace: str, labels: str) -> list[dict[str, Any]]:
                if "role=state" in labels:
                    raise ForbiddenError("no", status=403)
                return await super().list_metadata(namespace, labels)

        narrow = Narrow(maps.objects)
        async with client_on(narrow, clock, owner=Owner("portfolios", "uid")) as client:
            await client.register("u1", WALLET)
            assert (await client.get("u1")).state is None  # type: ignore[union-attr]
            removal = await client.remove("u1")
        assert removal.removed == {"u1"}
        assert removal.remains


class TestTrouble:
    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (UnavailableError("no answer within 10 s"), r"no answer to rely on \(no answer within 10 s\)"),
            (ForbiddenError("no patch for you", status=403), "give its account get, list, create and patch"),
            (InvalidError("field is immutable when `immutable` is set", status=422), "field is immutable"),
        ],
    )
    async def test_it_is_told_to_everybody_who_waits_and_the_next_call_goes_on(
        self, client: Client, maps: MemoryMaps, error: Exception, told: str
    ) -> None:
        def fail(patch: dict[str, Any]) -> None:
            raise error

        maps.after_merge = fail
        calls: list[Awaitable[None]] = [client.register(f"u{n}", WALLET) for n in range(3)]
        for answer in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(answer, StoreUnavailableError)
            with pytest.raises(StoreUnavailableError, match=told):
                raise answer
            assert WALLET not in str(answer)
        maps.after_merge = lambda patch: None
        for number in range(3):
            await client.register(f"u{number}", WALLET)
        assert maps.data().keys() == {"u0", "u1", "u2"}

    async def test_the_main_config_map_missing_is_said_with_the_remedy(self, client: Client, maps: MemoryMaps) -> None:
        del maps.objects[STORE]
        with pytest.raises(StoreUnavailableError, match=f"kubectl --namespace {NAMESPACE} create configmap {STORE}"):
            await client.register("u1", WALLET)

    async def test_a_caller_that_gives_up_takes_nobody_along(self, client: Client, maps: MemoryMaps) -> None:
        await client.register("u0", WALLET)
        gone = asyncio.create_task(client.register("u1", WALLET))
        stays = asyncio.create_task(client.register("u2", WALLET))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        assert "u2" in maps.data()
