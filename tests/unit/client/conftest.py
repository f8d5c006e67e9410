"""A client on ConfigMaps in memory, with a clock to set."""

from collections.abc import AsyncIterator

import pytest

from client_support import STORE, MemoryMaps, SetClock, client_on
from periodic_sync.client import Client


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def maps() -> MemoryMaps:
    maps = MemoryMaps()
    maps.store(STORE, {})
    return maps


@pytest.fixture
async def client(maps: MemoryMaps, clock: SetClock) -> AsyncIterator[Client]:
    async with client_on(maps, clock) as client:
        yield client
