"""Servers and namespaces for the tests of the client library."""

import secrets
from collections.abc import AsyncIterator

import pytest

from client_support import STORE
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import CONFIG_MAPS, Resource
from redis_support import Server, redis_server


@pytest.fixture(scope="session")
async def redis() -> AsyncIterator[Server]:
    async with redis_server() as server:
        yield server


@pytest.fixture
async def namespace(client: KubeClient) -> AsyncIterator[str]:
    """A new one, with an empty store in it."""
    name, namespaces = f"client-{secrets.token_hex(4)}", Resource("/api/v1", "namespaces")
    await client.create(namespaces, None, {"metadata": {"name": name}})  # type: ignore[arg-type]
    await client.create(CONFIG_MAPS, name, {"metadata": {"name": STORE}})
    yield name
    await client.delete(namespaces, None, name)  # type: ignore[arg-type]
