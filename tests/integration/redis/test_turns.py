"""Turns of a policy whose users are in Redis: real API server, real Redis, a kubelet played by the test."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from periodic_sync.api.durations import MINUTE
from periodic_sync.core.users import UserRecord
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from periodic_sync.kube.resources import SECRETS
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.following import Follower
from periodic_sync.stores.redis.keys import Keys
from periodic_sync.stores.redis.records import RedisRecords
from periodic_sync.stores.redis.urls import parse_url
from redis_support import Server
from turns_support import DEADLINE_SECONDS, INTERVAL, Bench, new_bench

PREFIX = "portfolios:"
REDIS = {"store": {"configMap": None, "redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": PREFIX}}}


@pytest.fixture
async def client(api_server: Path, crd: None) -> AsyncIterator[KubeClient]:
    async with connected(str(api_server)) as client:
        yield client


@pytest.fixture
async def bench(client: KubeClient, server: Server) -> AsyncIterator[Bench]:
    """A policy on a Redis of its own, with the Secret that names it."""
    async with new_bench(client) as bench:
        body = {"metadata": {"name": "redis"}, "stringData": {"url": server.url}}
        await client.create(SECRETS, bench.namespace, body)
        yield bench


@pytest.fixture
async def records(server: Server) -> AsyncIterator[RedisRecords]:
    connection = Connection(parse_url(server.url))
    yield RedisRecords(connection, prefix=PREFIX)
    await connection.close()


async def register(records: RedisRecords, *user_ids: str, at: int) -> None:
    await records.register(UserRecord(user_id, f"0xwallet-of-{user_id}", at) for user_id in user_ids)


async def test_users_are_synced_and_synced_again_when_due(bench: Bench, records: RedisRecords) -> None:
    await bench.apply(REDIS)
    await register(records, "u1", "u2", "u3", at=bench.now)
    await register(records, "gone", at=bench.now - 48 * 60 * MINUTE)
    operator = bench.operator()
    await bench.run(operator)
    assert bench.kubelet.synced == dict.fromkeys(("u1", "u2", "u3"), 1)
    bench.now += MINUTE
    await operator.turn()
    status = await bench.status()
    assert (status["totalUsers"], status["activeUsers"], status["usersSynced"]) == (4, 3, 3)
    assert status["store"] == "Redis/redis"
    assert (await bench.conditions())["StoreReady"] == ("True", "Readable")
    bench.now += INTERVAL
    await bench.run(operator)
    assert bench.kubelet.synced == dict.fromkeys(("u1", "u2", "u3"), 2)


async def test_a_store_that_lost_its_users_is_not_one_without_users(
    bench: Bench, records: RedisRecords, server: Server
) -> None:
    await bench.apply(REDIS)
    await register(records, "u1", at=bench.now)
    await bench.run(bench.operator())
    await server.command("FLUSHALL")
    operator = bench.operator()
    await operator.turn()
    assert (await bench.conditions())["StoreReady"] == ("False", "NotReady")
    assert "held users before" in await bench.condition_message("StoreReady")
    assert (await bench.status())["totalUsers"] == 1
    await register(records, "u2", at=bench.now)
    bench.now += INTERVAL
    await bench.run(operator)
    assert (await bench.conditions())["StoreReady"] == ("True", "Readable")
    assert bench.kubelet.synced["u2"] == 1


async def test_users_of_one_prefix_belong_to_one_policy(
    bench: Bench, records: RedisRecords, client: KubeClient
) -> None:
    await bench.apply(REDIS)
    await register(records, "u1", at=bench.now)
    await bench.operator().turn()
    async with new_bench(client) as other:
        secret = await client.get(SECRETS, bench.namespace, "redis")
        await client.create(SECRETS, other.namespace, {"metadata": {"name": "redis"}, "data": secret["data"]})
        await other.apply(REDIS)
        await other.operator().turn()
        assert (await other.conditions())["StoreReady"] == ("False", "NotReady")
        assert f"belong to SyncPolicy {bench.namespace}/portfolios" in await other.condition_message("StoreReady")
        assert await other.job_names() == set()


async def test_while_the_server_is_down_nothing_is_decided_and_then_it_goes_on(
    bench: Bench, records: RedisRecords, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.apply(REDIS)
    await register(records, "u1", "u2", at=bench.now)
    operator = bench.operator()
    await operator.turn()
    caplog.set_level(logging.INFO)
    flying = await bench.in_flight()
    await server.command("SAVE")
    server.kill()
    await operator.turn()
    await operator.turn()
    assert (await bench.conditions())["Ready"] == ("False", "StoreNotReady")
    assert await bench.in_flight() == flying
    assert caplog.messages.count("store is not ready, nothing is decided") == 1
    await server.start()
    await bench.run(operator)
    assert bench.kubelet.synced == {"u1": 1, "u2": 1}
    assert "store is ready again" in caplog.messages
    assert (await bench.conditions())["StoreReady"] == ("True", "Readable")


async def test_whoever_is_made_due_by_a_write_wakes_the_loop(records: RedisRecords, server: Server) -> None:
    connection = Connection(parse_url(server.url))
    woken = asyncio.Event()
    now = 1_795_518_000_000
    await register(records, "u1", "u2", at=now)
    follower = Follower(connection, Keys(PREFIX), woken.set, seconds=0.05)

    async def wakes(write: Awaitable[object]) -> None:
        woken.clear()
        await write
        async with asyncio.timeout(DEADLINE_SECONDS):
            await woken.wait()

    try:
        await woken.wait()
        await wakes(records.request_sync({"u1": now}))
        await wakes(register(records, "u3", at=now))
        server.kill()
        await wakes(server.start())
    finally:
        await follower.close()
        await connection.close()
