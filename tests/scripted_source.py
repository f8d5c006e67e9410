"""A source of live events that says what a test has put into it."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from periodic_sync.api.errors import UnavailableError
from periodic_sync.core.event_marks import LostError, Position
from periodic_sync.core.events import Event, UserSynced
from periodic_sync.server.events.source import Step


@dataclass
class Script:
    """See `Source`."""

    letter: str
    history: list[Step] = field(default_factory=list)
    first: int = 0
    """What was before it is lost."""
    fails: int = 0
    """Times that it can't be reached."""
    breaks_at: int = 0
    """A position that it can't read."""
    is_open: bool = True
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, *users: str) -> None:
        position = (len(self.history) + 1,)
        self.history.append(Step(position, tuple(UserSynced(user, 0, position[0]) for user in users)))
        more, self.more = self.more, asyncio.Event()
        more.set()

    async def now(self) -> Position:
        return (len(self.history),)

    async def has_been(self, position: Position) -> bool:
        return position <= await self.now()

    async def steps(self, after: Position, *, again: bool) -> AsyncGenerator[Step, None]:
        [at] = after
        if self.fails:
            self.fails -= 1
            raise UnavailableError("away")
        if not self.first <= at <= len(self.history):
            raise LostError
        at -= again
        while True:
            more = self.more
            for step in self.history[at:]:
                if step.position == (self.breaks_at,):
                    raise RuntimeError("a defect")
                yield step
            at = len(self.history)
            if at == len(self.history):
                await more.wait()

    async def close(self) -> None:
        self.is_open = False


def ignored(events: tuple[Event, ...]) -> None:
    """For whoever has to tell somebody of events."""
