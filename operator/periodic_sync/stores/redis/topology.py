"""Where the server is that takes writes: said by the URL, by the Sentinels, or by the cluster."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from periodic_sync.stores.redis.commands import Command
from periodic_sync.stores.redis.node import Access, Node
from periodic_sync.stores.redis.troubles import RedisNotReady, WrongCredentials
from periodic_sync.stores.redis.urls import Address, Mode

SENTINEL_SECONDS = 5.0
"""After a failover by hand the old primary goes on taking writes, for ten seconds and more, which are then lost: the
Sentinels are asked so often, trouble or not."""
_SHARE = 0.4
"""Of the time that a call has, for asking one server where the primary is, so that there is time for another."""


class Topology(Protocol):
    """Answers are kept until `forget`."""

    async def primary(self, slot: int) -> Address:
        """The server that takes writes for a slot. Raises: RedisNotReady."""
        ...

    async def primaries(self) -> Sequence[Address]:
        """All servers that take writes. Raises: RedisNotReady."""
        ...

    def forget(self, better: Address | None = None) -> None:
        """The answers are doubtful: ask anew the next time. better: a server that will know."""
        ...


def topology(access: Access, clock: Callable[[], float] = time.monotonic) -> Topology:
    """clock: seconds that only go forward."""
    if access.url.mode is Mode.SENTINEL:
        return Sentinels(access, clock)
    return Cluster(access) if access.url.mode is Mode.CLUSTER else Standalone(access.url.hosts[0])


async def ask(access: Access, address: Address, *commands: Command) -> list[Any]:
    """A few commands over a connection of its own. Raises: RedisNotReady, whatever goes wrong."""
    try:
        return await _ask(access, address, commands, authenticate=access.url.mode is Mode.CLUSTER)
    except WrongCredentials:
        if access.url.mode is Mode.CLUSTER or access.url.password is None:
            raise
        # Sentinels mostly have no password; where they have one it is, as in the usual charts, the servers' own.
        return await _ask(access, address, commands, authenticate=True)


async def _ask(access: Access, address: Address, commands: Sequence[Command], *, authenticate: bool) -> list[Any]:
    kind = "The Sentinel" if access.url.mode is Mode.SENTINEL else "Redis"
    node, seconds = Node(access, address, kind=kind, authenticate=authenticate), access.seconds * _SHARE
    try:
        async with asyncio.timeout(seconds):
            return await node.pipeline(commands)
    except TimeoutError as error:
        raise node.silence(seconds) from error
    finally:
        await node.retire()


class Standalone:
    """The server that the URL names."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def primary(self, slot: int) -> Address:
        return self._address

    async def primaries(self) -> Sequence[Address]:
        return [self._address]

    def forget(self, better: Address | None = None) -> None:
        pass


class Sentinels:
    """The primary, by the word of a majority of the Sentinels, or of all that answer."""

    def __init__(self, access: Access, clock: Callable[[], float]) -> None:
        self._access = access
        self._clock = clock
        self._lock = asyncio.Lock()
        self._known: Address | None = None
        self._asked_at = 0.0

    async def primary(self, slot: int) -> Address:
        async with self._lock:
            if self._known and self._clock() - self._asked_at < SENTINEL_SECONDS:
                return self._known
            try:
                self._known = await self._ask_all()
            except RedisNotReady:
                # Without Sentinels there is no failover either: the primary of before is still the one.
                if self._known is None:
                    raise
            self._asked_at = self._clock()
            return self._known

    async def primaries(self) -> Sequence[Address]:
        return [await self.primary(0)]

    def forget(self, better: Address | None = None) -> None:
        self._known = None

    async def _ask_all(self) -> Address:
        hosts, answers, troubles = self._access.url.hosts, [], []
        asking = {asyncio.create_task(self._ask(host)) for host in hosts}
        try:
            for answer in asyncio.as_completed(list(asking)):
                try:
                    answers.append(await answer)
                except RedisNotReady as trouble:
                    troubles.append(trouble)
                if len(answers) * 2 > len(hosts):
                    break
        finally:
            await _end(asking)
        if answers:
            return max(answers)[1]  # the configuration of the latest epoch
        # What a person must do something about comes first.
        raise min(troubles, key=lambda trouble: trouble.passes)

    async def _ask(self, host: Address) -> tuple[int, Address]:
        """Returns: epoch and address of the primary, as one Sentinel knows it."""
        name = self._access.url.master
        try:
            # In a failover the first of them is right sooner, and only the second one tells how new that is.
            address, answer = await ask(
                self._access, host, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name), ("SENTINEL", "MASTER", name)
            )
        except RedisNotReady as trouble:
            if "No such master" not in trouble.answer:
                raise
            raise RedisNotReady(
                f"The Sentinel at {host} knows no primary of the name in the URL: correct it there; "
                f"`redis-cli -h {host.host} -p {host.port} sentinel masters` lists the names"
            ) from trouble
        fields = dict(zip(answer[::2], answer[1::2], strict=False))
        return int(fields[b"config-epoch"]), Address(address[0].decode(), int(address[1]))


@dataclass(frozen=True, slots=True)
class _Slots:
    first: int
    last: int
    primary: Address


class Cluster:
    """The primary of each slot, by the word of the first server that answers."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = asyncio.Lock()
        self._slots: Sequence[_Slots] = ()
        self._servers: Sequence[Address] = ()

    async def primary(self, slot: int) -> Address:
        for slots in await self._map():
            if slots.first <= slot <= slots.last:
                return slots.primary
        self.forget()
        raise RedisNotReady(
            "The Redis Cluster has no server for this policy's keys: see `redis-cli cluster info` and `redis-cli "
            "--cluster check`",
            passes=True,
        )

    async def primaries(self) -> Sequence[Address]:
        return sorted({slots.primary for slots in await self._map()})

    def forget(self, better: Address | None = None) -> None:
        self._slots = ()
        if better:
            # After a move the others learn of it a little later than who has the keys now.
            self._servers = (better, *self._servers)

    async def _map(self) -> Sequence[_Slots]:
        async with self._lock:
            if not self._slots:
                self._slots = await self._ask()
            return self._slots

    async def _ask(self) -> Sequence[_Slots]:
        troubles = []
        # What the URL names may have moved away by now, and what was found once may be gone: each is tried.
        for server in dict.fromkeys((*self._servers, *self._access.url.hosts)):
            try:
                [answer] = await ask(self._access, server, ("CLUSTER", "SLOTS"))
            except RedisNotReady as trouble:
                troubles.append(trouble)
                continue
            slots = [_Slots(first, last, _address(nodes[0], server)) for first, last, *nodes in answer]
            self._servers = sorted({_address(node, server) for _, _, *nodes in answer for node in nodes})
            return slots
        raise min(troubles, key=lambda trouble: trouble.passes)


def _address(node: Sequence[Any], asked: Address) -> Address:
    """A node of CLUSTER SLOTS; one that does not know its own host is the one that was asked."""
    host = (node[0] or b"").decode()
    return Address(host if host not in ("", "?") else asked.host, int(node[1]))


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
