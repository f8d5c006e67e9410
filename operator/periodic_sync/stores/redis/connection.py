"""A connection to the server of one URL that takes writes: found, checked, followed through failovers."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from redis.crc import key_slot

from periodic_sync.stores.redis.commands import Argument, Command, Script
from periodic_sync.stores.redis.fitness import check
from periodic_sync.stores.redis.node import Access, Node, sections
from periodic_sync.stores.redis.topology import topology
from periodic_sync.stores.redis.troubles import RedisNotReady, Replaced, UnknownScript, WrongServer, timed_out
from periodic_sync.stores.redis.urls import Address, RedisUrl

CALL_SECONDS = 5.0
"""The most that a call takes, with all that it may have to find out first."""
CHECK_SECONDS = 60.0
"""How often a server is asked whether it still keeps what it is given."""

T = TypeVar("T")


class Connection:
    """`Commands` for one URL. It connects at the first call, and anew at the first call after trouble."""

    def __init__(
        self, url: RedisUrl, *, ca: str = "", seconds: float = CALL_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """ca: PEM certificates to trust on top of the system's. seconds: for a call. clock: seconds, only forward."""
        self._access = Access(url, ca, seconds)
        self._clock = clock
        self._topology = topology(self._access, clock)
        self._nodes: dict[Address, Node] = {}
        self._finding = asyncio.Lock()
        self._asked: Node | None = None
        """The last server asked, for the sentence on a time-out."""
        self._closed = False

    async def run(self, script: Script, keys: Sequence[str | bytes], args: Sequence[Argument] = ()) -> Any:
        """See `Commands`."""
        rest = (len(keys), *keys, *args)

        async def run(node: Node) -> Any:
            try:
                return await node.execute(("EVALSHA", script.sha, *rest))
            except UnknownScript:
                # It was restarted, or has taken over from another: it learns the script by this.
                return await node.execute(("EVAL", script.source, *rest))

        return await self._on_primary(keys[0], run)

    async def read(self, key: str | bytes, commands: Sequence[Command]) -> list[Any]:
        """See `Commands`."""
        return await self._on_primary(key, lambda node: node.pipeline(commands)) if commands else []

    async def info(self, section: str) -> Mapping[str, Mapping[str, str]]:
        """See `Commands`."""

        async def ask() -> Mapping[str, Mapping[str, str]]:
            nodes = [await self._node(address) for address in await self._topology.primaries()]
            return {str(node.address): sections(await node.execute(("INFO", section))) for node in nodes}

        return await self._in_time(self._with_care(ask))

    async def close(self) -> None:
        """See `Commands`."""
        self._closed = True
        await self._keep(())

    async def _on_primary(self, key: str | bytes, call: Callable[[Node], Awaitable[T]]) -> T:
        slot = key_slot(key.encode() if isinstance(key, str) else key)

        async def attempt() -> T:
            return await call(await self._node(await self._topology.primary(slot)))

        async def attempts() -> T:
            try:
                return await self._with_care(attempt)
            except WrongServer:
                return await self._with_care(attempt)

        return await self._in_time(attempts())

    async def _in_time(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._access.seconds):
                return await call
        except TimeoutError as error:
            self._doubt()
            seconds, asked = self._access.seconds, self._asked
            raise (asked.silence(seconds) if asked else timed_out("Redis", seconds, self._access.url)) from error

    async def _with_care(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except RedisNotReady as trouble:
            self._doubt(trouble.better if isinstance(trouble, WrongServer) else None)
            raise

    def _doubt(self, better: Address | None = None) -> None:
        """Whatever went wrong: the next call finds the primary anew, and looks at it."""
        self._topology.forget(better)
        for node in self._nodes.values():
            node.checked_at = None

    async def _node(self, address: Address) -> Node:
        async with self._finding:
            if self._closed:
                raise Replaced("The connection to Redis was closed", passes=True)
            if address not in self._nodes:
                await self._keep(await self._topology.primaries())
                self._nodes[address] = Node(self._access, address, database=self._access.url.database)
            self._asked = node = self._nodes[address]
            if node.checked_at is None or self._clock() - node.checked_at >= CHECK_SECONDS:
                await check(node, self._access.url.mode)
                node.checked_at = self._clock()
            return node

    async def _keep(self, addresses: Sequence[Address]) -> None:
        """Retire what is no primary any more."""
        for address in self._nodes.keys() - set(addresses):
            await self._nodes.pop(address).retire()
