"""The ConfigMap store against a real API server: every store's contract, shards, state objects, faults, figures."""

import asyncio
import json
import random
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from periodic_sync.api.durations import DAY, HOUR, MINUTE
from periodic_sync.api.errors import AlreadyExistsError, ApiError
from periodic_sync.core.outcomes import Ending
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.config_maps import KubeConfigMaps
from periodic_sync.kube.resources import NAMESPACES, SYNC_POLICIES
from periodic_sync.stores import configmap
from periodic_sync.stores.base import Owner, Store, StoreNotReady
from periodic_sync.stores.configmap import MOST_SHARDS, ConfigMapStore, Snapshot
from policy_support import MINIMAL_SPEC, policy_body
from store_contract import NOW, WALLET, StoreContract, folded, outcome, record, synced
from store_support import Object, Watched

STORE = "user-activity"
SHARD_LABEL = {"sync.moonx.farm/store": STORE}


@dataclass
class ConfigMapBench:
    """A namespace with an empty store in it."""

    maps: KubeConfigMaps
    namespace: str
    owner: Owner
    watched: Watched = field(init=False)

    def __post_init__(self) -> None:
        self.watched = Watched(self.maps)

    def open(self) -> ConfigMapStore:
        return ConfigMapStore(self.watched, namespace=self.namespace, name=STORE, owner=self.owner)

    async def write(self, user_id: str, record: dict[str, Any] | str) -> None:
        await self.edit(STORE, {user_id: record if isinstance(record, str) else json.dumps(record)})

    async def remove(self, user_id: str) -> None:
        await self.edit(STORE, {user_id: None})

    async def edit(self, name: str, changes: Mapping[str, str | None]) -> None:
        body = await self.maps.get(self.namespace, name)
        data = body.setdefault("data", {}) | changes
        body["data"] = {key: text for key, text in data.items() if text is not None}
        await self.maps.replace(self.namespace, name, body)

    async def create(self, name: str, data: Mapping[str, str] | None = None, **metadata: Any) -> Object:
        body = {"metadata": {"name": name, **metadata}, "data": dict(data or {})}
        return await self.maps.create(self.namespace, {"apiVersion": "v1", "kind": "ConfigMap", **body})

    async def register(self, user_ids: Iterable[str]) -> None:
        # not every id may be a key of a ConfigMap
        entries = {re.sub(r"[:@]", "_", user_id): json.dumps(record(userId=user_id)) for user_id in user_ids}
        await self.edit(STORE, entries)

    async def contents(self, store: Store, now: int) -> Snapshot:
        assert isinstance(store, ConfigMapStore)
        return await store.read(now)

    async def state_objects(self) -> dict[str, Object]:
        """The operator's own objects, by the last words of their names."""
        labels = f"sync.moonx.farm/policy={self.owner.name},sync.moonx.farm/role=state"
        names = [item["metadata"]["name"] for item in await self.maps.list_metadata(self.namespace, labels)]
        return {name.partition("-state-")[2]: await self.maps.get(self.namespace, name) for name in names}


async def new_owner(client: KubeClient, namespace: str, name: str = "portfolios") -> Owner:
    """A policy that exists, or the garbage collector would take the state away. Made anew if it is there."""
    await client.delete(SYNC_POLICIES, namespace, name)
    made = await client.create(SYNC_POLICIES, namespace, policy_body(MINIMAL_SPEC, name=name, namespace=namespace))
    return Owner(name, made["metadata"]["uid"])


@pytest.fixture
async def bench(client: KubeClient) -> AsyncIterator[ConfigMapBench]:
    namespace = f"store-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, None, {"metadata": {"name": namespace}})  # type: ignore[arg-type]
    bench = ConfigMapBench(KubeConfigMaps(client), namespace, await new_owner(client, namespace))
    await bench.create(STORE)
    yield bench
    await client.delete(NAMESPACES, None, namespace)  # type: ignore[arg-type]


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


async def test_an_unchanged_store_costs_two_lists_and_one_look(bench: ConfigMapBench) -> None:
    store = bench.open()
    await bench.write("u1", record())
    await store.apply([outcome("u1")])
    first = await store.read(NOW)
    bench.watched.reset()
    assert await store.read(NOW + 1) is first
    assert bench.watched.requests == {"list metadata": 2, "get metadata": 1}


async def test_only_what_changed_is_fetched(bench: ConfigMapBench) -> None:
    store = bench.open()
    await bench.create("more", {"u2": json.dumps(record())}, labels=SHARD_LABEL)
    await store.read(NOW)
    await bench.edit("more", {"u3": json.dumps(record())})
    bench.watched.reset()
    assert (await store.read(NOW)).records.keys() == {"u2", "u3"}
    assert bench.watched.requests["get"] == 1


async def test_applying_many_outcomes_is_one_write_and_needs_no_reading_afterwards(bench: ConfigMapBench) -> None:
    store = bench.open()
    await store.read(NOW)
    bench.watched.reset()
    await store.apply([outcome(f"u{n}", claim=NOW + n % 7) for n in range(70)])
    assert bench.watched.requests == {"create": 1}
    assert len((await store.read(NOW)).states) == 70
    assert bench.watched.requests["get"] == 0


async def test_state_objects_belong_to_the_policy_and_are_readable(bench: ConfigMapBench, client: KubeClient) -> None:
    bench.owner = await new_owner(client, bench.namespace, "p" * 40)
    store = bench.open()
    await store.apply([outcome(f"user-{n:04d}", claim=NOW + n) for n in range(3_000)])
    await store.apply([outcome("u1")])
    await store.tidy(NOW)
    parts = await bench.state_objects()
    assert {"journal", "gone"} < parts.keys()
    assert any(name.startswith("b") for name in parts)
    for body in parts.values():
        metadata = body["metadata"]
        assert len(metadata["name"]) <= 63
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "periodic-sync"
        (owner,) = metadata["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("SyncPolicy", bench.owner.uid, True)
        assert body["data"]["version"] == "1"
        assert WALLET not in json.dumps(body)
    assert parts["journal"]["data"]["users"] == f'{{"claim":{NOW},"users":["u1"]}}\n'


async def test_a_policy_made_again_starts_afresh(bench: ConfigMapBench, client: KubeClient) -> None:
    await bench.open().apply([outcome("u1")])
    bench.owner = await new_owner(client, bench.namespace)
    store = bench.open()
    assert (await store.read(NOW)).states == {}
    await store.apply([outcome("u2")])
    assert (await bench.open().read(NOW)).states == {"u2": synced()}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            {"version": "2", "users": "x"},
            "is in the format '2', and this release reads '1': run the release that wrote it",
        ),
        ({}, "has no version, and this release reads '1'"),
        (
            {"version": "1", "users": "{"},
            "was changed by hand: in data.users line 1 is not JSON; put it right, or delete",
        ),
    ],
)
async def test_state_that_cannot_be_read_is_left_alone_and_said(
    bench: ConfigMapBench, data: dict[str, str], told: str
) -> None:
    store = bench.open()
    await store.apply([outcome("u1")])
    await store.apply([outcome(f"u{n}") for n in range(2, 500)])
    journal = (await bench.state_objects())["journal"]
    broken = journal | {"data": data}
    name = journal["metadata"]["name"]
    stored = await bench.maps.replace(bench.namespace, name, broken)
    for operation in (store.read(NOW), store.apply([outcome("u1", claim=NOW + 1)]), store.tidy(NOW)):
        with pytest.raises(StoreNotReady) as raised:
            await operation
        assert told in str(raised.value)
        assert f"{bench.namespace}/{name}" in str(raised.value)
    assert (await bench.maps.get(bench.namespace, name)) == stored
    stored["data"] = journal["data"]
    await bench.maps.replace(bench.namespace, name, stored)
    assert len((await store.read(NOW)).states) == 499


async def test_an_object_in_the_way_is_said(bench: ConfigMapBench) -> None:
    await bench.open().apply([outcome("u1")])
    journal = (await bench.state_objects())["journal"]
    journal["metadata"]["labels"] = {}
    await bench.maps.replace(bench.namespace, journal["metadata"]["name"], journal)
    with pytest.raises(StoreNotReady, match="exists, but its labels or owner are not those"):
        await bench.open().apply([outcome("u1")])


async def test_state_deleted_by_hand_is_lost_and_nothing_else(bench: ConfigMapBench) -> None:
    store = bench.open()
    await store.apply([outcome(f"u{n}", claim=NOW + n) for n in range(2_000)])
    await store.apply([outcome("u1", Ending.FAILED, claim=NOW + DAY)])
    parts = await bench.state_objects()
    await bench.maps.delete(bench.namespace, parts["journal"]["metadata"]["name"])
    await store.apply([outcome("u2", claim=NOW + DAY + 1)])
    for reader in (store, bench.open()):
        states = (await reader.read(NOW)).states
        assert len(states) == 2_000 if len(parts) > 1 else 1
        assert states["u2"] == synced(NOW + DAY + 1)


async def test_a_namespace_without_an_api_server_is_an_error_and_never_no_users(bench: ConfigMapBench) -> None:
    store = bench.open()
    await bench.write("u1", record())
    await store.read(NOW)
    bench.watched.plan = lambda number: "before"
    for operation in (store.read(NOW), store.apply([outcome("u1")]), store.tidy(NOW)):
        with pytest.raises(ApiError):
            await operation
    bench.watched.plan = lambda number: ""
    assert (await store.read(NOW)).records.keys() == {"u1"}


@pytest.mark.parametrize("fault", ["before", "after", "conflict"])
async def test_whatever_request_fails_the_end_is_the_same(bench: ConfigMapBench, fault: str) -> None:
    """Retried as the controller does; other operators fold and compact meanwhile."""
    dice = random.Random(11)
    bench.watched.plan = lambda number: fault if dice.random() < 0.25 else ""
    operators, history = [bench.open() for _ in range(3)], []
    for turn in range(60):
        users = dice.sample(range(400), dice.choice([1, 10, 100]))
        batch = [outcome(f"user-{n:020d}", dice.choice(list(Ending)), claim=NOW + turn) for n in users]
        history += batch
        appliers = dice.sample(operators, dice.choice([1, 1, 2]))
        await asyncio.gather(*(until_it_works(operator, batch) for operator in appliers))
    assert (await until_read(bench.open())).states == folded(history)
    for operator in operators:
        assert (await until_read(operator)).states == folded(history)


async def until_it_works(store: ConfigMapStore, batch: list[Any]) -> None:
    while True:
        try:
            return await store.apply(batch)
        except ApiError:
            continue


async def until_read(store: ConfigMapStore) -> Snapshot:
    while True:
        try:
            return await store.read(NOW)
        except ApiError:
            continue


async def test_nothing_is_written_while_nothing_happens(bench: ConfigMapBench) -> None:
    store = bench.open()
    await bench.write("u1", record())
    await store.apply([outcome("u1"), outcome("u2")])
    await store.tidy(NOW)
    bench.watched.reset()
    for minutes in range(0, 23 * 60, 60):
        await store.read(NOW + minutes * MINUTE)
        looked = bench.watched.requests.total()
        await store.tidy(NOW + minutes * MINUTE)
        assert bench.watched.requests.total() == looked
        await store.apply([outcome("u1"), outcome("u2")])
    assert bench.watched.written == 0


async def test_ten_thousand_users(bench: ConfigMapBench, record_property: Any) -> None:
    """Times and bytes of the documentation; the limits are far off, for machines with other work."""
    ids = [f"{random.Random(n).getrandbits(128):032x}" for n in range(10_000)]
    for shard in range(4):
        data = {user_id: json.dumps(record(timeZone="Europe/Berlin")) for user_id in ids[shard::4]}
        await bench.create(f"shard-{shard}", data, labels=SHARD_LABEL)
    store = bench.open()
    figures: dict[str, float] = {}

    async def timed(name: str) -> Snapshot:
        before = time.perf_counter()
        snapshot = await store.read(NOW)
        figures[name] = round((time.perf_counter() - before) * 1000, 1)
        return snapshot

    assert len((await timed("first read, ms")).records) == 10_000
    await store.apply([outcome(user_id, claim=NOW - DAY + n // 10) for n, user_id in enumerate(ids)])
    await timed("read after 10,000 outcomes, ms")
    await timed("unchanged read, ms")
    await bench.edit("shard-2", {ids[2]: json.dumps(record(active=NOW + 1))})
    assert (await timed("read after one user changed, ms")).records[ids[2]].last_active == NOW + 1

    active, claim = random.Random(1).sample(ids, 2_000), NOW
    for together in (10, 100):
        bench.watched.reset()
        for _ in range(2):
            for start in range(0, len(active), together):
                users = active[start : start + together]
                claim += 1_000
                await store.apply([outcome(user_id, claim=claim + n // 10) for n, user_id in enumerate(users)])
        writes = bench.watched.requests["replace"] + bench.watched.requests["create"]
        figures[f"bytes per user, {together} at once"] = round(bench.watched.written / 4_000)
        figures[f"writes per call, {together} at once"] = round(writes / (4_000 / together), 2)
    parts = await bench.state_objects()
    figures["state, KiB"] = round(sum(len(part["data"]["users"]) for part in parts.values()) / 1024)
    for name, figure in figures.items():
        record_property(name, figure)
    print(figures)
    assert figures["unchanged read, ms"] < 250
    assert figures["bytes per user, 10 at once"] < 3_000
    assert figures["writes per call, 10 at once"] < 1.5
    assert figures["state, KiB"] < 1024
