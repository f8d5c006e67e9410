"""Servers for the tests of this folder: one of each kind for the session, for tests that leave them as they are."""

from collections.abc import AsyncIterator

import pytest

from redis_support import (
    Certificates,
    RedisCluster,
    SentinelSetup,
    Server,
    make_certificates,
    redis_cluster,
    redis_server,
    sentinel_setup,
    valkey_binary,
    valkey_server,
)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server of the test's own, empty, to be killed and paused at will."""
    async with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
async def shared_server() -> AsyncIterator[Server]:
    async with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
async def shared_sentinels() -> AsyncIterator[SentinelSetup]:
    async with sentinel_setup() as setup:
        yield setup


@pytest.fixture(scope="session")
async def shared_cluster() -> AsyncIterator[RedisCluster]:
    async with redis_cluster(replicas=0) as cluster:
        yield cluster


@pytest.fixture(scope="session")
async def shared_valkey() -> AsyncIterator[Server]:
    if valkey_binary() is None:
        pytest.skip("there is no Valkey for this machine in the locked packages, and none on the PATH")
    async with valkey_server() as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))
