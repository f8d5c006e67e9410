"""Events from the stream in Redis into which results are written with the users.

Asked for a few times a second in place of XREAD BLOCK: a call that blocks takes a connection for each policy, and gets
lost in failovers.
"""

from collections.abc import AsyncGenerator

from periodic_sync.client.backend import Clock
from periodic_sync.core.event_marks import LostError, Position
from periodic_sync.server.events.source import Step
from periodic_sync.stores.redis.commands import Commands
from periodic_sync.stores.redis.event_log import AT_ONCE, BEFORE_ALL, EventLog
from periodic_sync.stores.redis.keys import Keys

ASK_EVERY_SECONDS = 0.25


class RedisSource:
    """A `Source`."""

    letter = "r"

    def __init__(self, commands: Commands, prefix: str, clock: Clock) -> None:
        self._commands, self._clock = commands, clock
        self._log = EventLog(commands, Keys(prefix))

    async def now(self) -> Position:
        return await self._log.last()

    async def has_been(self, position: Position) -> bool:
        """See `Source`. Only reading on from there shows that nothing was lost, which takes no longer."""
        return False

    async def steps(self, after: Position, *, again: bool) -> AsyncGenerator[Step, None]:
        """See `Source`."""
        if len(after) != len(BEFORE_ALL):
            raise LostError
        while True:
            entries = await self._log.since(after)
            for position, events in entries:
                if again or position > after:
                    yield Step(position, events)
            again = False
            if entries:
                after = entries[-1].position
            if len(entries) <= AT_ONCE:
                await self._clock.sleep(ASK_EVERY_SECONDS)

    async def close(self) -> None:
        await self._commands.close()
