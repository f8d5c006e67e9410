"""Where events come from: what a source is, and how one is followed through trouble."""

import logging
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple, Protocol

from periodic_sync.api.errors import ApiError
from periodic_sync.client.backend import Clock
from periodic_sync.core.event_marks import WHOLE, LostError, Mark, Position
from periodic_sync.core.events import Event, Gap
from periodic_sync.stores.base import StoreNotReady

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 10.0

log = logging.getLogger(__name__)


class Step(NamedTuple):
    """What happened at one position. first: the index of the first of these events."""

    position: Position
    events: tuple[Event, ...]
    first: int = 0


class Source(Protocol):
    """For any number of tasks at once. Raises StoreNotReady, ApiError on trouble that passes."""

    @property
    def letter(self) -> str:
        """In ids."""
        ...

    async def now(self) -> Position: ...

    async def has_been(self, position: Position) -> bool:
        """Whether one that is later than what was read so far is surely this source's, with nothing lost since."""
        ...

    def steps(self, after: Position, *, again: bool) -> AsyncGenerator[Step, None]:
        """What happens after a position, and with `again` at it; until the source wants to be asked anew.

        Raises: LostError where not all of that can be had any more.
        """
        ...

    async def close(self) -> None: ...


async def follow(source: Source, after: Mark, clock: Clock) -> AsyncGenerator[Step, None]:
    """All that happens after a mark, for ever. Trouble is waited out; what is lost by it is told as a gap."""
    mark, pause = after, FIRST_PAUSE_SECONDS
    while True:
        began = clock.monotonic()
        try:
            async with aclosing(source.steps(mark.position, again=mark.last < WHOLE)) as steps:
                async for step in steps:
                    pause = FIRST_PAUSE_SECONDS
                    told = mark.last + 1 if step.position == mark.position and mark.last < WHOLE else 0
                    mark = Mark(step.position)
                    yield Step(step.position, step.events[told:], told)
        except (StoreNotReady, ApiError) as error:
            log.debug("events interrupted", extra={"source": source.letter, "error": str(error)})
        except Exception as error:
            if not isinstance(error, LostError):
                # Whatever it was that could not be read, readers must not stay before it for ever.
                log.exception("events interrupted", extra={"source": source.letter})
            lost = await _now(source)
            if lost is not None:
                mark = Mark(lost)
                yield Step(lost, (Gap(),))
        if clock.monotonic() - began < LONGEST_PAUSE_SECONDS:
            await clock.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


async def _now(source: Source) -> Position | None:
    try:
        return await source.now()
    except (StoreNotReady, ApiError):
        return None
