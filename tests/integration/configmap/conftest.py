"""A new store for each test."""

import secrets
from collections.abc import AsyncIterator

import pytest

from configmap_bench import STORE, ConfigMapBench, new_owner
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.config_maps import KubeConfigMaps
from periodic_sync.kube.resources import NAMESPACES


@pytest.fixture
async def bench(client: KubeClient) -> AsyncIterator[ConfigMapBench]:
    namespace = f"store-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, None, {"metadata": {"name": namespace}})  # type: ignore[arg-type]
    bench = ConfigMapBench(KubeConfigMaps(client), namespace, await new_owner(client, namespace))
    await bench.create(STORE)
    yield bench
    await client.delete(NAMESPACES, None, namespace)  # type: ignore[arg-type]
