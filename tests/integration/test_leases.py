"""The Lease on a real API server: compare-and-swap, and what others put into it."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from periodic_sync.api.errors import AlreadyExistsError, ConflictError
from periodic_sync.core.election import LeaseRecord
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.leases import Leases, micro_time
from periodic_sync.kube.resources import LEASES
from turns_support import until

NAMESPACE = "default"
FIRST = LeaseRecord("pod-a_1", "2026-11-24T10:00:00.000000Z", "2026-11-24T10:00:00.000000Z", 0)
SECOND = LeaseRecord("pod-b_2", "2026-11-24T10:00:12.000000Z", "2026-11-24T10:00:12.000000Z", 1)


@pytest.fixture
async def leases(client: KubeClient) -> AsyncIterator[Leases]:
    made = Leases(client, NAMESPACE, f"lease-{secrets.token_hex(4)}")
    yield made
    await client.delete(LEASES, NAMESPACE, made.name)


async def test_one_that_was_made_is_read_as_it_was_written(leases: Leases) -> None:
    assert await leases.read() is None
    made = await leases.create(FIRST)
    found = await leases.read()
    assert (made.record, found and found.record) == (FIRST, FIRST)
    with pytest.raises(AlreadyExistsError):
        await leases.create(SECOND)


async def test_of_two_writes_on_one_version_the_first_wins(leases: Leases) -> None:
    made = await leases.create(FIRST)
    assert (await leases.swap(made, SECOND)).record == SECOND
    with pytest.raises(ConflictError):
        await leases.swap(made, FIRST)


async def test_a_released_one_has_no_holder_and_can_be_taken(leases: Leases) -> None:
    made = await leases.create(FIRST)
    released = await leases.swap(made, LeaseRecord("", FIRST.acquired, SECOND.renewed, 0))
    assert released.record.holder == ""
    assert (await leases.swap(released, SECOND)).record == SECOND


async def test_one_that_was_deleted_is_not_made_again_by_a_swap(client: KubeClient, leases: Leases) -> None:
    """Which the API server does for a body that names no UID, whatever its version."""
    made = await leases.create(FIRST)
    await client.delete(LEASES, NAMESPACE, leases.name)
    with pytest.raises(ConflictError):
        await leases.swap(made, FIRST)


async def test_what_people_write_on_it_stays(client: KubeClient, leases: Leases) -> None:
    await leases.create(FIRST)
    await client.merge(LEASES, NAMESPACE, leases.name, {"metadata": {"labels": {"team": "sync"}}})
    found = await leases.read()
    assert found is not None
    await leases.swap(found, SECOND)
    assert (await client.get(LEASES, NAMESPACE, leases.name))["metadata"]["labels"] == {"team": "sync"}


async def test_one_that_says_nothing_is_nobodys(client: KubeClient, leases: Leases) -> None:
    await client.create(LEASES, NAMESPACE, {"metadata": {"name": leases.name}})
    found = await leases.read()
    assert found is not None
    assert found.record == LeaseRecord("", "", "", 0)


async def test_whoever_follows_is_told_of_writes(leases: Leases) -> None:
    told = asyncio.Event()
    following = asyncio.create_task(leases.follow(told.set))
    version = await leases.create(FIRST)

    async def hears() -> bool:  # the watch may begin after the first writes
        nonlocal version
        version = await leases.swap(version, SECOND if version.record == FIRST else FIRST)
        return told.is_set()

    try:
        await until(hears)
    finally:
        following.cancel()


def test_times_are_written_as_the_api_has_them() -> None:
    assert micro_time(1_795_515_193_045) == "2026-11-24T10:13:13.045000Z"
