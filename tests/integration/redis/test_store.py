"""The Redis store against real servers: every store's contract, on each kind of server that there is."""

from collections.abc import AsyncIterator

import pytest

from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.urls import parse_url
from redis_bench import RedisBench
from redis_support import RedisCluster, SentinelSetup, Server
from store_contract import StoreContract


@pytest.fixture
async def bench(shared_server: Server) -> AsyncIterator[RedisBench]:
    connection = Connection(parse_url(shared_server.url))
    yield RedisBench(connection)
    await connection.close()


class TestContract(StoreContract):
    """On one server."""


class TestContractWithSentinels(StoreContract):
    @pytest.fixture
    async def bench(self, shared_sentinels: SentinelSetup) -> AsyncIterator[RedisBench]:
        connection = Connection(parse_url(shared_sentinels.url))
        yield RedisBench(connection)
        await connection.close()


class TestContractInACluster(StoreContract):
    @pytest.fixture
    async def bench(self, shared_cluster: RedisCluster) -> AsyncIterator[RedisBench]:
        connection = Connection(parse_url(shared_cluster.url))
        yield RedisBench(connection)
        await connection.close()


class TestContractOnValkey(StoreContract):
    @pytest.fixture
    async def bench(self, shared_valkey: Server) -> AsyncIterator[RedisBench]:
        connection = Connection(parse_url(shared_valkey.url))
        yield RedisBench(connection)
        await connection.close()
