"""The client library's contract on both stores: on a real API server, and on a real Redis server."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from client_contract import ClientContract
from client_support import STORE, SetClock, client_on
from periodic_sync.client import Client
from periodic_sync.client.opening import redis as opening_redis
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.config_maps import KubeConfigMaps
from periodic_sync.kube.resources import SYNC_POLICIES
from periodic_sync.stores.base import Owner
from periodic_sync.stores.configmap import ConfigMapStore
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.store import RedisStore
from periodic_sync.stores.redis.urls import parse_url
from policy_support import MINIMAL_SPEC, policy_body
from redis_bench import RedisBench
from redis_support import Server


@dataclass
class ConfigMapPlace:
    maps: KubeConfigMaps
    namespace: str
    owner: Owner
    clock: SetClock = field(default_factory=SetClock)

    def client(self) -> Client:
        return client_on(self.maps, self.clock, namespace=self.namespace, owner=self.owner)

    def operator(self) -> ConfigMapStore:
        return ConfigMapStore(self.maps, namespace=self.namespace, name=STORE, owner=self.owner)


@dataclass
class RedisPlace:
    url: str
    bench: RedisBench
    clock: SetClock = field(default_factory=SetClock)

    def client(self) -> Client:
        return Client(opening_redis(self.url, self.bench.prefix, ""), clock=self.clock)

    def operator(self) -> RedisStore:
        return self.bench.open()


class TestOnConfigMaps(ClientContract):
    @pytest.fixture
    async def place(self, client: KubeClient, namespace: str) -> ConfigMapPlace:
        # A real one, since the garbage collector deletes what belongs to a policy that is not there.
        body = policy_body(MINIMAL_SPEC, name="portfolios", namespace=namespace)
        policy = await client.create(SYNC_POLICIES, namespace, body)
        owner = Owner("portfolios", policy["metadata"]["uid"])
        return ConfigMapPlace(KubeConfigMaps(client), namespace, owner)


class TestOnRedis(ClientContract):
    @pytest.fixture
    async def place(self, redis: Server) -> AsyncIterator[RedisPlace]:
        connection = Connection(parse_url(redis.url))
        yield RedisPlace(redis.url, RedisBench(connection))
        await connection.close()
