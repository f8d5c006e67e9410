"""What became of users, as a capped stream: each entry is what one call of `apply.lua` made durable.

An entry's fields are kinds of outcomes, and the values the ids of those who had that, apart by spaces.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from periodic_sync.core.event_marks import LostError, Position
from periodic_sync.core.events import Event, UserFailed, UserSynced, of_state
from periodic_sync.core.users import UserState
from periodic_sync.stores.redis.commands import Commands
from periodic_sync.stores.redis.keys import Keys

KEPT = 1_000
"""Entries that are kept at least."""
AT_ONCE = 100
BEFORE_ALL: Position = (0, 0)
NONE = "-"


class Entry(NamedTuple):
    position: Position
    events: tuple[Event, ...]


class EventLog:
    """The stream of one store. Every method raises StoreNotReady, ApiError."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands, self._key = commands, keys.events

    async def last(self) -> Position:
        (found,) = await self._commands.read(self._key, [("XREVRANGE", self._key, "+", "-", "COUNT", 1)])
        return _position(found[0][0]) if found else BEFORE_ALL

    async def since(self, position: Position) -> Sequence[Entry]:
        """The entry at that position, where there is one, and the next.

        A position is an entry's, or `BEFORE_ALL`. That it is still there is what tells that nothing between it and the
        next has gone: trimmed, lost in a failover, or with the store. Raises: LostError.
        """
        first = "-".join(map(str, position))
        length, found = await self._commands.read(
            self._key, [("XLEN", self._key), ("XRANGE", self._key, first, "+", "COUNT", AT_ONCE + 1)]
        )
        entries = [Entry(_position(at), tuple(_events(fields))) for at, fields in found]
        if length >= KEPT if position == BEFORE_ALL else not entries or entries[0].position != position:
            raise LostError
        return entries


def kind_of(user_id: str, before: UserState, after: UserState) -> str:
    """What `apply.lua` is told of a user; `NONE`: no event."""
    event = of_state(user_id, before, after)
    if isinstance(event, UserSynced):
        return f"synced {event.at} {event.claim}"
    if isinstance(event, UserFailed):
        return f"failed {event.failures} {event.unexplained} {event.retry_at or 0}"
    return NONE


def _events(fields: Sequence[bytes]) -> Iterator[Event]:
    """Kinds that a later release writes are passed over."""
    for kind, ids in zip(fields[::2], fields[1::2], strict=True):
        name, *numbers = kind.decode(errors="replace").split(" ")
        if name not in ("synced", "failed") or not all(number.isdecimal() for number in numbers):
            continue
        for user_id in ids.decode(errors="replace").split(" "):
            if name == "synced" and len(numbers) == 2:
                yield UserSynced(user_id, int(numbers[0]), int(numbers[1]))
            elif name == "failed" and len(numbers) == 3:
                failures, unexplained, retry_at = map(int, numbers)
                yield UserFailed(user_id, failures, unexplained, retry_at or None)


def _position(stream_id: Any) -> Position:
    milliseconds, _, number = bytes(stream_id).partition(b"-")
    return int(milliseconds), int(number)
