"""What the ConfigMap store keeps in a real API server: state objects, what they cost, and faults of every request."""

import asyncio
import json
import random
import time
from typing import Any

import pytest

from configmap_bench import SHARD_LABEL, ConfigMapBench, new_owner
from periodic_sync.api.durations import DAY, MINUTE
from periodic_sync.api.errors import ApiError
from periodic_sync.core.outcomes import Ending
from periodic_sync.kube.client import KubeClient
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.configmap import ConfigMapStore, Snapshot
from store_contract import NOW, WALLET, folded, outcome, record, synced


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
