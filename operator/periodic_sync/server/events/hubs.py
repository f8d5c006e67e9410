"""The hubs of all policies that somebody reads: opened for the first reader, closed a while after the last."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client.backend import Clock
from periodic_sync.core.event_marks import Cursor
from periodic_sync.core.events import Event
from periodic_sync.server.events.hub import Hub
from periodic_sync.server.events.source import Source
from periodic_sync.server.problems import unavailable

LINGER_SECONDS = 30.0
"""How long a hub stays without readers: those whose connection broke come back to its ring."""
MOST_HUBS = 200
"""Each holds a watch of the API server."""

SourcesOpener = Callable[[SyncPolicy], Awaitable[Sequence[Source]]]


@dataclass(slots=True)
class _Opened:
    policy: SyncPolicy
    hub: Hub
    readers: int = 0
    closing: asyncio.Task[None] | None = None
    is_retired: bool = False


@dataclass(slots=True)
class Hubs:
    """sources: opens what a policy's events come from; raises StoreNotReady, ApiError.

    came: is told of all events.
    """

    sources: SourcesOpener
    clock: Clock
    came: Callable[[tuple[Event, ...]], None]
    _opened: dict[tuple[str, str], _Opened] = field(default_factory=dict)
    _opening: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict)

    @property
    def open_hubs(self) -> int:
        return len(self._opened)

    @asynccontextmanager
    async def use(self, policy: SyncPolicy, after: Cursor | None) -> AsyncIterator[Hub]:
        """The policy's hub while the block runs. after: where it had best begin if it is opened for this.

        Raises: Problem, StoreNotReady, ApiError.
        """
        key = (policy.namespace, policy.name)
        async with self._opening.setdefault(key, asyncio.Lock()):
            opened = self._opened.get(key)
            if opened is not None and not is_same(opened.policy, policy):
                await self._retire(key)
                opened = None
            if opened is None:
                opened = await self._open(policy, after)
            opened.readers += 1
            if opened.closing is not None:
                opened.closing.cancel()
                opened.closing = None
        try:
            yield opened.hub
        finally:
            opened.readers -= 1
            if not opened.readers:
                opened.closing = asyncio.create_task(self._close_later(key, opened))

    async def close(self) -> None:
        """Readers have gone, or are about to."""
        for key in list(self._opened):
            await self._retire(key)

    async def _open(self, policy: SyncPolicy, after: Cursor | None) -> _Opened:
        idle = next((key for key, opened in self._opened.items() if not opened.readers), None)
        if len(self._opened) >= MOST_HUBS and idle is not None:
            await self._retire(idle)
        if len(self._opened) >= MOST_HUBS:
            raise unavailable("TooManyPolicies", f"Events of {MOST_HUBS} policies are being read already", seconds=30)
        sources = await self.sources(policy)
        hub = Hub(sources, self.clock, self.came)
        try:
            await hub.start(after)
        except BaseException:
            await hub.close()
            raise
        opened = self._opened[policy.namespace, policy.name] = _Opened(policy, hub)
        return opened

    async def _close_later(self, key: tuple[str, str], opened: _Opened) -> None:
        if not opened.is_retired:
            await self.clock.sleep(LINGER_SECONDS)
            if self._opened.get(key) is opened:
                del self._opened[key]
                self._opening.pop(key, None)
        await opened.hub.close()

    async def _retire(self, key: tuple[str, str]) -> None:
        """Its readers are told by whoever reviews them; what they have not read yet they may still read."""
        opened = self._opened.pop(key)
        opened.is_retired = True
        if opened.closing is not None:
            opened.closing.cancel()
        if not opened.readers:
            await opened.hub.close()


def is_same(one: SyncPolicy, other: SyncPolicy) -> bool:
    """Whether their events come from the same place."""
    return (one.uid, one.spec.store) == (other.uid, other.spec.store)
