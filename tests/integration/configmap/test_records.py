"""The ConfigMap store against a real API server: every store's contract, records and their shards."""

import json
from contextlib import suppress

import pytest

from configmap_bench import SHARD_LABEL, STORE, ConfigMapBench
from periodic_sync.api.durations import DAY, HOUR, MINUTE
from periodic_sync.api.errors import AlreadyExistsError, ApiError
from periodic_sync.stores import configmap
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.configmap import MOST_SHARDS
from store_contract import NOW, WALLET, StoreContract, outcome, record, synced
from store_support import Object, Watched


class TestContract(StoreContract):
    """The ConfigMap store keeps the contract."""


class TestRecordsThatAreWrongOrGone:
    async def test_malformed_ones_stop_nobody_and_are_named_without_their_wallet(self, bench: ConfigMapBench) -> None:
        await bench.write("good", record())
        await bench.write("half", record(interval="often"))
        await bench.write("bad", "{")
        await bench.write("ahead", record(active=NOW + 6 * MINUTE))
        snapshot = await bench.contents(bench.open(), NOW)
        assert snapshot.records.keys() == {"good", "half"}
        assert snapshot.skipped == 3
        told = "\n".join(snapshot.problems)
        assert all(user_id in told for user_id in ("half", "bad", "ahead"))
        assert WALLET not in told

    async def test_a_record_that_was_too_far_ahead_counts_once_it_is_not(self, bench: ConfigMapBench) -> None:
        store = bench.open()
        await bench.write("u1", record(active=NOW + 6 * MINUTE))
        assert (await bench.contents(store, NOW)).records == {}
        assert (await bench.contents(store, NOW + MINUTE)).records.keys() == {"u1"}
        assert (await bench.contents(store, NOW)).records == {}

    async def test_state_outlives_its_record_for_a_day(self, bench: ConfigMapBench) -> None:
        store = bench.open()
        for user_id in ("stays", "leaves", "returns"):
            await bench.write(user_id, record(active=NOW))
        await store.apply([outcome(user_id, claim=NOW - 9 * DAY) for user_id in ("stays", "leaves", "returns")])
        await store.tidy(NOW)
        await bench.remove("leaves")
        await bench.remove("returns")
        await store.tidy(NOW + HOUR)
        await bench.write("returns", record())
        await store.tidy(NOW + 2 * HOUR)
        await bench.remove("returns")
        await store.tidy(NOW + 3 * HOUR)
        await bench.open().tidy(NOW + DAY + HOUR - 1)
        assert (await bench.contents(store, NOW)).states.keys() == {"stays", "leaves", "returns"}
        await bench.open().tidy(NOW + DAY + 2 * HOUR)
        assert (await bench.contents(store, NOW)).states == {
            "stays": synced(NOW - 9 * DAY),
            "returns": synced(NOW - 9 * DAY),
        }
        await store.tidy(NOW + DAY + 5 * HOUR)
        assert (await bench.contents(bench.open(), NOW)).states.keys() == {"stays"}

    async def test_nobody_claimed_within_a_day_is_forgotten(self, bench: ConfigMapBench) -> None:
        store = bench.open()
        await store.apply([outcome("u1", claim=NOW)])
        await store.tidy(NOW)
        await store.apply([outcome("u1", claim=NOW + 20 * HOUR)])
        await store.tidy(NOW + 30 * HOUR)
        assert (await bench.contents(store, NOW)).states.keys() == {"u1"}
        await store.tidy(NOW + 46 * HOUR)
        assert (await bench.contents(store, NOW)).states == {}


async def test_the_main_config_map_missing_is_said_with_the_remedy(bench: ConfigMapBench) -> None:
    await bench.create("shard", {"u1": json.dumps(record())}, labels=SHARD_LABEL)
    store = bench.open()
    await store.read(NOW)
    await bench.maps.delete(bench.namespace, STORE)
    with pytest.raises(StoreNotReady, match=f"kubectl --namespace {bench.namespace} create configmap {STORE}"):
        await store.read(NOW)
    await bench.create(STORE)
    assert (await store.read(NOW)).records.keys() == {"u1"}


async def test_the_main_config_map_deleted_and_made_again_in_the_middle_of_reading(bench: ConfigMapBench) -> None:
    class Restless(Watched):
        """Deletes it before each GET, and makes it again before each look."""

        async def get(self, namespace: str, name: str) -> Object:
            await bench.maps.delete(namespace, name)
            return await super().get(namespace, name)

        async def get_metadata(self, namespace: str, name: str) -> Object:
            with suppress(AlreadyExistsError):
                await bench.create(name)
            return await super().get_metadata(namespace, name)

    bench.watched = Restless(bench.maps)
    with pytest.raises(StoreNotReady):
        await bench.open().read(NOW)


async def test_shards_add_users_and_a_missing_one_means_that_its_users_left(bench: ConfigMapBench) -> None:
    store = bench.open()
    await bench.write("u1", record())
    await bench.create("more", {"u2": json.dumps(record())}, labels=SHARD_LABEL)
    await bench.create("other", {"u3": json.dumps(record())}, labels={"sync.moonx.farm/store": "another"})
    await bench.create("unlabelled", {"u4": json.dumps(record())})
    assert (await store.read(NOW)).records.keys() == {"u1", "u2"}
    await bench.maps.delete(bench.namespace, "more")
    assert (await store.read(NOW)).records.keys() == {"u1"}


async def test_the_main_one_may_carry_the_label_too(bench: ConfigMapBench) -> None:
    body = await bench.maps.get(bench.namespace, STORE)
    body["metadata"]["labels"] = SHARD_LABEL
    await bench.maps.replace(bench.namespace, STORE, body)
    await bench.write("u1", record())
    snapshot = await bench.open().read(NOW)
    assert snapshot.records.keys() == {"u1"}
    assert snapshot.warnings == ()


async def test_a_user_in_two_shards_counts_once_the_newest_first(bench: ConfigMapBench) -> None:
    await bench.write("u1", record(active=NOW - HOUR))
    await bench.create("more", {"u1": json.dumps(record())}, labels=SHARD_LABEL)
    snapshot = await bench.open().read(NOW)
    assert snapshot.records["u1"].last_active == NOW
    assert f"u1 in {STORE}/u1 and more/u1" in snapshot.warnings[0]


async def test_a_shard_near_the_limit_is_warned_of_before_the_api_server_refuses_more(bench: ConfigMapBench) -> None:
    await bench.create("more", {f"u{n}": " " * 1024 for n in range(1000)}, labels=SHARD_LABEL)
    (warning,) = (await bench.open().read(NOW)).warnings
    assert "ConfigMap more holds 1000 KiB" in warning
    with pytest.raises(ApiError):
        await bench.edit("more", {"x": " " * 30_000})


async def test_more_shards_than_one_policy_may_have_are_not_read(bench: ConfigMapBench) -> None:
    for number in range(MOST_SHARDS):
        await bench.create(f"more-{number}", {}, labels=SHARD_LABEL)
    with pytest.raises(StoreNotReady, match=f"More than {MOST_SHARDS} ConfigMaps in namespace {bench.namespace}"):
        await bench.open().read(NOW)


async def test_more_users_than_one_policy_may_have_are_not_planned(
    bench: ConfigMapBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configmap, "MOST_USERS", 1)
    await bench.write("u1", record())
    store = bench.open()
    assert (await store.read(NOW)).records.keys() == {"u1"}
    await bench.write("u2", record())
    with pytest.raises(StoreNotReady, match="2 users are far more than a ConfigMap store is good for"):
        await store.read(NOW)
