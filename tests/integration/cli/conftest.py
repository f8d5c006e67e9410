"""A policy on either store, with the operator's turns made by the test, and the command line beside it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli_support import Ended, periodic_sync_here
from periodic_sync.api.durations import HOUR
from periodic_sync.core.users import UserRecord
from periodic_sync.kube.resources import SECRETS
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.records import RedisRecords
from periodic_sync.stores.redis.urls import parse_url
from redis_support import Server, redis_server
from turns_support import NAME, Bench, Operator

PREFIX = "portfolios:"
REDIS = {"store": {"configMap": None, "redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": PREFIX}}}
PASSWORD = "canary-password"


@dataclass
class Place:
    """A policy, and where its users are."""

    bench: Bench
    api_server: Path
    redis: Server | None = None

    async def apply(self, change: dict[str, Any] | None = None) -> None:
        await self.bench.apply({**(change or {}), **(REDIS if self.redis else {})})

    async def register(self, *active: str, inactive: Iterable[str] = ()) -> None:
        if self.redis is None:
            await self.bench.register(active, inactive)
            return
        now = self.bench.now
        times = dict.fromkeys(active, now) | dict.fromkeys(inactive, now - 48 * HOUR)
        connection = Connection(parse_url(self.redis.url))
        records = [UserRecord(user_id, f"0xwallet-of-{user_id}", at) for user_id, at in times.items()]
        await RedisRecords(connection, prefix=PREFIX).register(records)
        await connection.close()

    async def run(self, *arguments: str, stdin: str | None = None, **variables: str) -> Ended:
        """A command on the policy's namespace."""
        return await periodic_sync_here(
            *arguments, "-n", self.bench.namespace, kubeconfig=self.api_server, stdin=stdin, **variables
        )

    async def json(self, *arguments: str) -> Any:
        """What a command that works prints as JSON."""
        done = await self.run(*arguments, "-o", "json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    async def beside(self, operator: Operator, *arguments: str) -> Ended:
        """A command's end, with an operator that has its turns meanwhile."""
        command = asyncio.create_task(self.run(*arguments))
        while not command.done():
            self.bench.now += 1
            await operator.retried_turn()
            await self.bench.kubelet.start()
            await self.bench.kubelet.end()
        return await command


@pytest.fixture(scope="session")
async def redis() -> AsyncIterator[Server]:
    async with redis_server(requirepass=PASSWORD) as server:
        yield server


@pytest.fixture
async def on_config_maps(bench: Bench, api_server: Path) -> Place:
    return Place(bench, api_server)


@pytest.fixture
async def on_redis(bench: Bench, api_server: Path, redis: Server) -> Place:
    return await _place_on_redis(bench, api_server, redis)


@pytest.fixture(params=["ConfigMap", "Redis"])
async def place(request: pytest.FixtureRequest, bench: Bench, api_server: Path, redis: Server) -> Place:
    """On either store; the policy and its users are the test's to make."""
    if request.param == "ConfigMap":
        return Place(bench, api_server)
    return await _place_on_redis(bench, api_server, redis)


async def _place_on_redis(bench: Bench, api_server: Path, redis: Server) -> Place:
    await redis.command("FLUSHALL")
    secret = {"metadata": {"name": "redis"}, "stringData": {"url": redis.url}}
    await bench.client.create(SECRETS, bench.namespace, secret)
    return Place(bench, api_server, redis)


__all__ = ["NAME", "PASSWORD", "PREFIX", "Place"]
