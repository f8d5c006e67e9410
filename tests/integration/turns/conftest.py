"""A client and a bench on the real API server for tests that drive turns by hand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from turns_support import Bench, new_bench


@pytest.fixture
async def client(api_server: Path, crd: None) -> AsyncIterator[KubeClient]:
    async with connected(str(api_server)) as client:
        yield client


@pytest.fixture
async def bench(client: KubeClient) -> AsyncIterator[Bench]:
    """A new namespace; the test makes policy and store."""
    async with new_bench(client) as bench:
        yield bench
