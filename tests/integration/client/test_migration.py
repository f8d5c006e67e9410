"""A policy's move from ConfigMaps to Redis: real API server, real Redis, a kubelet played by the test."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from client_support import SetClock
from cluster_support import ROOT
from kubelet import SUCCESS, naming
from periodic_sync.api.durations import MINUTE
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.client.migration import Destination, Migration, MoveRefusedError
from periodic_sync.controller.stores import open_store
from periodic_sync.core.users import UserRecord, UserState
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import CONFIG_MAPS, SECRETS, SYNC_POLICIES
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.records import RedisRecords
from periodic_sync.stores.redis.urls import parse_url
from redis_support import Server
from store_contract import rfc_3339
from turns_support import NAME, STORE, Bench, Operator, new_bench, until


@pytest.fixture
async def bench(client: KubeClient, redis: Server) -> AsyncIterator[Bench]:
    """A policy's namespace with the Secret that names a Redis."""
    await redis.command("FLUSHALL")
    async with new_bench(client) as bench:
        await client.create(SECRETS, bench.namespace, {"metadata": {"name": "redis"}, "stringData": {"url": redis.url}})
        yield bench


@pytest.fixture
async def records(redis: Server) -> AsyncIterator[RedisRecords]:
    connection = Connection(parse_url(redis.url))
    yield RedisRecords(connection, prefix="portfolios:")
    await connection.close()


def migration(bench: Bench, **about: Any) -> Migration:
    to = Destination("redis", "url", "portfolios:")
    return Migration(bench.client, bench.namespace, NAME, to, SetClock(bench.now), **about)


async def with_history(bench: Bench) -> Operator:
    """A policy of six users: synced, failing, asked for, inactive, registered only, and one whose entry is broken."""
    await bench.apply()
    await bench.register(active=["u1", "u2", "u3"], inactive=["old"])
    operator = bench.operator()
    bench.kubelet.worker = lambda users: naming("u2") if "u2" in users else SUCCESS
    await bench.run(operator)
    await bench.register(active=["new"])
    text = {"wallet": "0xr", "lastActive": rfc_3339(bench.now), "interval": "2m", "timeZone": "Asia/Tokyo"}
    more = {"syncRequestedAt": rfc_3339(bench.now - MINUTE), "changedTokens": {"0xt": rfc_3339(bench.now - 5)}}
    data = {"rich": json.dumps(text | more), "bad": "{"}
    await bench.client.merge(CONFIG_MAPS, bench.namespace, STORE, {"data": data})
    return operator


async def pause(bench: Bench, operator: Operator) -> None:
    await bench.edit(spec={"enabled": False})
    await operator.turn()


async def states_in_redis(bench: Bench, user_ids: Mapping[str, object]) -> dict[str, UserState]:
    """As the operator's own store reads them."""
    spec = (await bench.client.get(SYNC_POLICIES, bench.namespace, NAME))["spec"]
    store = open_store(bench.client, bench.policy, SyncPolicySpec.model_validate(spec).store)
    await store.read(bench.now)
    try:
        return dict(await store.states(list(user_ids)))
    finally:
        await store.close()


async def records_of(records: RedisRecords) -> dict[str, UserRecord]:
    return {user.record.user_id: user.record async for user in records.users()}


async def test_nobody_is_synced_once_more_for_the_move(bench: Bench, records: RedisRecords) -> None:
    operator = await with_history(bench)
    before = await bench.snapshot()
    assert {user_id: state.failures for user_id, state in before.states.items()} == {"u1": 0, "u2": 1, "u3": 0}
    await pause(bench, operator)
    seen: list[tuple[int, int]] = []
    moved = await migration(bench, progress=lambda done, total: seen.append((done, total))).run(
        wait_seconds=0, apply=True
    )
    assert (moved.users, moved.synced, moved.skipped) == (6, 3, 1)
    assert f"{STORE}/bad" in moved.problems[0]
    assert seen[-1] == (6, 6)
    assert await records_of(records) == before.records
    after = await states_in_redis(bench, before.records)
    assert {user_id: state for user_id, state in after.items() if state.last_claim} == before.states
    spec = (await bench.client.get(SYNC_POLICIES, bench.namespace, NAME))["spec"]
    assert spec["enabled"] is False
    assert spec["store"] == {"redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": "portfolios:"}}

    await bench.edit(spec={"enabled": True})
    bench.kubelet.worker = lambda users: SUCCESS
    bench.kubelet.synced.clear()
    await bench.run(operator)
    assert bench.kubelet.synced.keys() == {"new", "rich"}


async def test_by_itself_it_pauses_waits_and_goes_on(bench: Bench, records: RedisRecords) -> None:
    operator = await with_history(bench)
    before = await bench.snapshot()
    said: list[str] = []
    moving = asyncio.create_task(migration(bench, say=said.append).run(wait_seconds=1e9, apply=True))

    async def moved() -> bool:
        await operator.retried_turn()
        await bench.kubelet.start()
        await bench.kubelet.end(1000)
        return moving.done()

    await until(moved)
    assert (await moving).users == 6
    assert said[0] == "The policy is paused"
    assert said[-1] == "The policy is enabled again"
    assert any(text.startswith("Waiting: the operator has not acted on enabled: false yet") for text in said)
    spec = (await bench.client.get(SYNC_POLICIES, bench.namespace, NAME))["spec"]
    assert spec["enabled"] is True
    states = await states_in_redis(bench, before.records)
    assert states["u1"].last_synced == before.states["u1"].last_synced


async def test_nothing_is_moved_while_something_may_be_in_flight(bench: Bench, records: RedisRecords) -> None:
    await bench.apply()
    await bench.register(active=["u1"])
    with pytest.raises(MoveRefusedError, match=r"it is enabled. Say `kubectl patch .*enabled.*false.*--wait"):
        await migration(bench).run(wait_seconds=0, apply=False)
    operator = bench.operator()
    await operator.turn()
    await bench.edit(spec={"enabled": False})
    with pytest.raises(MoveRefusedError, match="the operator has not acted on enabled: false yet"):
        await migration(bench).run(wait_seconds=0, apply=False)
    await operator.turn()
    with pytest.raises(MoveRefusedError, match="1 Job is still running"):
        await migration(bench).run(wait_seconds=0, apply=False)
    assert await records_of(records) == {}
    await bench.run(operator)
    assert (await migration(bench).run(wait_seconds=0, apply=False)).synced == 1
    spec = (await bench.client.get(SYNC_POLICIES, bench.namespace, NAME))["spec"]
    assert "configMap" in spec["store"]


async def test_it_can_be_run_again_and_never_goes_backwards(bench: Bench, records: RedisRecords) -> None:
    operator = await with_history(bench)
    await pause(bench, operator)
    await migration(bench).run(wait_seconds=0, apply=False)
    first = await records_of(records)
    await migration(bench).run(wait_seconds=0, apply=True)
    assert await records_of(records) == first
    await bench.edit(spec={"enabled": True})
    bench.now += 20 * MINUTE
    await bench.run(operator)
    newer = await states_in_redis(bench, first)
    # An application that still writes the ConfigMap, and one that writes Redis already.
    late = {"wallet": "late", "lastActive": rfc_3339(bench.now)}
    await bench.client.merge(CONFIG_MAPS, bench.namespace, STORE, {"data": {"late": json.dumps(late)}})
    await records.register([UserRecord("u1", "newer", bench.now)])
    with pytest.raises(
        MoveRefusedError, match="its store is no ConfigMap; --config-map NAME copies from one once more"
    ):
        await migration(bench).run(wait_seconds=0, apply=True)
    assert (await migration(bench).copy_again(STORE)).users == 7
    found = await records_of(records)
    assert (found["late"].wallet, found["u1"].wallet) == ("late", "newer")
    assert await states_in_redis(bench, first) == newer


async def test_what_applications_write_meanwhile_comes_along(
    bench: Bench, records: RedisRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = await with_history(bench)
    await pause(bench, operator)
    copy, written = Migration._copy_users, []

    async def copy_and_write(self: Migration, users: Any, target: Any) -> None:
        await copy(self, users, target)
        if not written:
            written.append(1)
            late = {"wallet": "late", "lastActive": rfc_3339(bench.now)}
            await bench.client.merge(CONFIG_MAPS, bench.namespace, STORE, {"data": {"late": json.dumps(late)}})

    monkeypatch.setattr(Migration, "_copy_users", copy_and_write)
    assert (await migration(bench).run(wait_seconds=0, apply=True)).users == 7
    assert "late" in await records_of(records)


async def test_a_policy_that_changes_meanwhile_is_left_as_it_is(
    bench: Bench, records: RedisRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = await with_history(bench)
    await pause(bench, operator)
    copy = Migration._copy_users

    async def copy_and_edit(self: Migration, users: Any, target: Any) -> None:
        await copy(self, users, target)
        await bench.edit(spec={"batchSize": 7})

    monkeypatch.setattr(Migration, "_copy_users", copy_and_edit)
    with pytest.raises(MoveRefusedError, match="it was changed while its users were copied"):
        await migration(bench).run(wait_seconds=0, apply=True)
    assert "configMap" in (await bench.client.get(SYNC_POLICIES, bench.namespace, NAME))["spec"]["store"]


async def test_a_paused_policy_is_enabled_again_where_the_move_fails(bench: Bench, redis: Server) -> None:
    operator = await with_history(bench)
    await bench.client.delete(SECRETS, bench.namespace, "redis")
    with pytest.raises(StoreNotReady, match=r"Secret .*/redis.* does not exist"):
        await migration(bench).run(wait_seconds=0, apply=True)
    body = {"metadata": {"name": "redis"}, "stringData": {"url": redis.url}}
    await bench.client.create(SECRETS, bench.namespace, body)
    with pytest.raises(MoveRefusedError, match="the operator has not acted"):
        await migration(bench).run(wait_seconds=0, apply=True)
    spec = (await bench.client.get(SYNC_POLICIES, bench.namespace, NAME))["spec"]
    assert spec["enabled"] is True
    await operator.turn()


async def test_a_prefix_of_another_policy_is_refused(bench: Bench, records: RedisRecords, redis: Server) -> None:
    operator = await with_history(bench)
    await pause(bench, operator)
    await migration(bench).run(wait_seconds=0, apply=True)
    async with new_bench(bench.client) as other:
        body = {"metadata": {"name": "redis"}, "stringData": {"url": redis.url}}
        await other.client.create(SECRETS, other.namespace, body)
        await other.apply({"enabled": False})
        await other.register(active=["theirs"])
        await other.operator().turn()
        with pytest.raises(StoreNotReady, match=f"belong to SyncPolicy {bench.namespace}/{NAME}"):
            await migration(other).run(wait_seconds=0, apply=True)
    assert "theirs" not in await records_of(records)


async def test_the_command_as_people_type_it(bench: Bench, records: RedisRecords, api_server: Path) -> None:
    operator = await with_history(bench)
    before = await bench.snapshot()
    names = [NAME, "--namespace", bench.namespace, "--kubeconfig", str(api_server)]
    to = ["--to-redis-secret", "redis", "--key-prefix", "portfolios:", "--apply", "--timeout", "1m"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "periodic_sync.cli.main", "migrate", *names, *to),
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        stdout=PIPE,
        stderr=PIPE,
    )
    ended = asyncio.create_task(process.communicate())

    async def over() -> bool:
        await operator.retried_turn()
        await bench.kubelet.start()
        await bench.kubelet.end(1000)
        return ended.done()

    await until(over)
    told, said = map(bytes.decode, await ended)
    assert process.returncode == 0, said
    assert told.startswith("6 users are in Redis, ")
    assert said.startswith("The policy is paused\nWaiting: ")
    assert f"left behind: {STORE}/bad: not JSON" in said
    states = await states_in_redis(bench, before.records)
    assert states["u3"].last_synced == before.states["u3"].last_synced
    spec = (await bench.client.get(SYNC_POLICIES, bench.namespace, NAME))["spec"]
    assert (spec["enabled"], spec["store"].keys()) == (True, {"redis"})


async def test_the_command_stopped_half_way_leaves_the_policy_as_it_was(bench: Bench, api_server: Path) -> None:
    await with_history(bench)
    names = [NAME, "--namespace", bench.namespace, "--kubeconfig", str(api_server)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "periodic_sync.cli.main", "migrate", *names),
        *("--to-redis-secret", "redis", "--key-prefix", "portfolios:", "--apply"),
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        stderr=PIPE,
    )
    assert process.stderr
    while not (await process.stderr.readline()).startswith(b"Waiting"):
        assert not process.stderr.at_eof()
    process.terminate()
    said = (await process.stderr.read()).decode()
    assert await process.wait() == 130
    assert said == "The policy is enabled again\nperiodic-sync migrate: stopped; it can be run again\n"
    spec = (await bench.client.get(SYNC_POLICIES, bench.namespace, NAME))["spec"]
    assert (spec["enabled"], spec["store"].keys()) == (True, {"configMap"})
