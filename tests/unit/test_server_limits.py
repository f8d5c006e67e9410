"""Connections that say nothing, requests that take for ever, and stores that stay open no longer than they are used."""

import asyncio
from typing import Any

import pytest

from client_support import SetClock
from http_support import answered, served
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.server import policies, protocol
from periodic_sync.server.middleware import Deadline
from periodic_sync.server.policies import Policies
from scheduling import policy


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half of the headers"])
async def test_a_connection_that_sends_too_slowly_is_closed(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.01)
    async with served() as port:
        assert await answered(port, sent) == b""


async def test_a_request_in_time_is_answered() -> None:
    async with served() as port:
        sent = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert (await answered(port, sent)).startswith(b"HTTP/1.1 200")


async def test_beyond_the_limit_connections_are_told_and_far_beyond_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SPARE", 1)
    async with served(limit_concurrency=2) as port:
        idle = await asyncio.open_connection("127.0.0.1", port)
        sent = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert (await answered(port, sent)).startswith(b"HTTP/1.1 503")
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await answered(port, b"") == b""
        for _, writer in (idle, *others):
            writer.close()


async def test_a_request_that_takes_too_long_is_answered_with_503() -> None:
    sent: list[dict[str, Any]] = []

    async def for_ever(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await Deadline(for_ever, 0.01)({"type": "http"}, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"5") in sent[0]["headers"]
    assert b"TimedOut" in sent[1]["body"]


class Store:
    """A backend that only knows whether it is open."""

    is_open = True

    async def close(self) -> None:
        self.is_open = False


class World:
    """Policies by name, whose stores are opened."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.stores: list[Store] = []
        self.uid = "uid"
        self.policies = Policies(self.read, self.open, self.clock)

    async def read(self, namespace: str, name: str) -> SyncPolicy:
        return SyncPolicy(name, namespace, self.uid, 1, policy())

    async def open(self, found: SyncPolicy, clock: Any) -> Any:
        self.stores.append(Store())
        return self.stores[-1]

    async def use(self, name: str = "portfolios") -> None:
        async with self.policies.use("shop", name):
            pass

    def open_stores(self) -> list[bool]:
        return [store.is_open for store in self.stores]


async def test_a_store_stays_open_until_the_policy_names_another_and_nobody_is_in_the_middle_of_using_it() -> None:
    world = World()
    await world.use()
    await world.use()
    async with world.policies.use("shop", "portfolios"):
        world.uid = "another"
        world.clock.pass_by(6000)
        await world.use()
        assert world.open_stores() == [True, True]
    assert world.open_stores() == [False, True]
    await world.policies.close()
    assert world.open_stores() == [False, False]


async def test_of_stores_that_nobody_uses_the_longest_unused_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "MOST_OPEN", 2)
    world = World()
    for name in ("a", "b", "a", "c"):
        await world.use(name)
    assert world.open_stores() == [True, False, True]


async def test_those_who_come_at_once_open_a_store_once() -> None:
    world = World()
    await asyncio.gather(*(world.use() for _ in range(5)))
    assert len(world.stores) == 1
