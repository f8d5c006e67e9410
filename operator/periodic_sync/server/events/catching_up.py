"""A reader who resumes from before the ring: it reads the sources on its own until it meets the hub."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from periodic_sync.client.backend import Clock
from periodic_sync.core.event_marks import Cursor, Mark
from periodic_sync.server.events.hub import Hub, Place
from periodic_sync.server.events.messages import pieces
from periodic_sync.server.events.source import Source, Step, follow

_AHEAD = 4
"""Steps that a source may be ahead of the reader."""


class CatchingUp:
    """From a cursor with a mark of each source. ahead: see `Hub`."""

    def __init__(self, hub: Hub, after: Cursor, clock: Clock, ahead: frozenset[str] = frozenset()) -> None:
        self._hub, self._clock, self._ahead = hub, clock, ahead
        self._at = dict(after)
        self._steps: asyncio.Queue[tuple[str, Step]] = asyncio.Queue(_AHEAD)

    async def messages(self) -> AsyncGenerator[str | Place, None]:
        """What comes next, and last the place in the hub from which to go on."""
        async with self._reading():
            while (place := self._hub.enter(self._at, self._ahead)) is None:
                letter, step = await self._steps.get()
                for piece in pieces(letter, step, self._at):
                    yield piece.text()
                self._at[letter] = Mark(step.position)
        yield place

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._read(source)) for source in self._hub.sources]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, source: Source) -> None:
        async with aclosing(follow(source, self._at[source.letter], self._clock)) as steps:
            async for step in steps:
                await self._steps.put((source.letter, step))
