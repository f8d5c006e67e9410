"""The events of one policy: each source is read once, and everybody reads from one ring of what it said last.

A reader has nothing of its own here but a place in the ring, so one that is slow costs nobody anything: in the end what
it has not read yet is not there any more, and it has to go.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from periodic_sync.client.backend import Clock
from periodic_sync.core.event_marks import WHOLE, Cursor, Mark
from periodic_sync.core.events import Bookmark, Event, Gap
from periodic_sync.server.events.messages import Piece, alone, pieces
from periodic_sync.server.events.source import Source, Step, follow

RING_BYTES = 8 * 1024 * 1024
"""Of messages that are kept, for each policy."""
BOOKMARK_SECONDS = 60.0
"""How often readers are told how far all has come, so that their ids don't get too old to resume from."""

log = logging.getLogger(__name__)


class TooSlowError(Exception):
    """What comes next for this reader is not in the ring any more."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A message in the ring. piece: None for a bookmark."""

    text: str
    piece: Piece | None

    def for_one_after(self, cursor: Cursor) -> str:
        """The message."""
        piece = self.piece.after(cursor) if self.piece is not None else None
        return self.text if piece is None or piece == self.piece else piece.text()


@dataclass(slots=True)
class Place:
    """Where a reader is: first what it has missed after a cursor, then the ring from a number on."""

    number: int
    after: Cursor = field(default_factory=dict)
    missed: deque[_Kept] = field(default_factory=deque)
    """The ring's own, not copies: however many come back at once, this takes no memory to speak of."""
    ahead: Cursor = field(default_factory=dict)
    """Of sources that it has read further than what comes next in the ring."""


class Hub:
    """Sources are followed from `start` to `close`."""

    def __init__(
        self,
        sources: Sequence[Source],
        clock: Clock,
        came: Callable[[tuple[Event, ...]], None],
        *,
        ring_bytes: int = RING_BYTES,
    ) -> None:
        """came: is told of all events."""
        self.sources, self._clock, self._came = tuple(sources), clock, came
        self._at: dict[str, Mark] = {}
        self._floor: dict[str, Mark] = {}
        """What is told up to here is not in the ring."""
        self._newest: dict[str, Mark] = {}
        """The last event of each source."""
        self._told: dict[str, Mark] = {}
        """In the last bookmark."""
        self._ring: deque[_Kept] = deque()
        self._first = 0
        self._bytes, self._most = 0, ring_bytes
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, after: Cursor | None = None) -> None:
        """after: where to begin; None: now. Raises: StoreNotReady, ApiError where a source can't be asked."""
        now = {source.letter: Mark(await source.now()) for source in self.sources}
        self._at = now | {letter: mark for letter, mark in (after or {}).items() if letter in now}
        self._floor, self._told = dict(self._at), dict(self._at)
        self._tasks = [asyncio.create_task(self._follow(source)) for source in self.sources]
        self._tasks.append(asyncio.create_task(self._tell_bookmarks()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for source in self.sources:
            with suppress(Exception):
                await source.close()

    async def ahead(self, after: Cursor) -> frozenset[str]:
        """Of a cursor: sources that it has read further than the hub, on another replica.

        Raises: StoreNotReady, ApiError.
        """
        behind = [source for source in self.sources if after[source.letter] > self._at[source.letter]]
        return frozenset([each.letter for each in behind if await each.has_been(after[each.letter].position)])

    def enter(self, after: Cursor | None = None, ahead: frozenset[str] = frozenset()) -> Place | None:
        """A reader's place: from now on, or after a cursor with a mark of each source, which may be `ahead`.

        None: what comes after it is not all in the ring, or the hub has not come as far itself.
        """
        place = Place(self._first + len(self._ring))
        if after is None:
            return place
        known = {letter: max(at, after[letter]) if letter in ahead else at for letter, at in self._at.items()}
        if not all(self._floor[letter] <= after[letter] <= at for letter, at in known.items()):
            return None
        place.after = after
        place.ahead = {letter: mark for letter, mark in after.items() if mark > self._at[letter]}
        behind = {letter for letter, newest in self._newest.items() if newest > after[letter]}
        for kept in reversed(self._ring):
            if not behind:
                break
            if kept.piece is None:
                continue
            if kept.piece.last > after[kept.piece.letter]:
                place.missed.appendleft(kept)
            else:
                behind.discard(kept.piece.letter)
        return place

    @property
    def cursor(self) -> Cursor:
        """How far it has come."""
        return dict(self._at)

    async def next(self, place: Place) -> str:
        """The next message for whoever is there. Raises: TooSlowError."""
        while True:
            while not place.missed and place.number >= self._first + len(self._ring):
                await self._news.wait()
            if place.number < self._first:
                raise TooSlowError  # also out of what it missed: that must not be kept for longer than a ring takes
            if place.missed:
                return place.missed.popleft().for_one_after(place.after)
            kept = self._ring[place.number - self._first]
            place.number += 1
            if not place.ahead:
                return kept.text
            if kept.piece is not None and (text := _for_one_ahead(place, kept.piece)):
                return text

    async def _follow(self, source: Source) -> None:
        async with aclosing(follow(source, self._at[source.letter], self._clock)) as steps:
            async for step in steps:
                self._take(source.letter, step)

    def _take(self, letter: str, step: Step) -> None:
        if Gap() in step.events:
            # Whoever was anywhere before it has to learn of it too; also where the source has gone back, as when Redis
            # has lost its last writes.
            self._floor[letter] = max(Mark(self._at[letter].position, WHOLE + 1), Mark(step.position, -1))
        for piece in pieces(letter, step, self._at):
            self._keep(piece.text(), piece)
        self._at[letter] = Mark(step.position)
        if step.events:
            self._came(step.events)
            self._announce()

    def _keep(self, text: str, piece: Piece | None = None) -> None:
        self._ring.append(_Kept(text, piece))
        self._bytes += len(text)
        if piece is not None:
            self._newest[piece.letter] = piece.last
        while self._bytes > self._most and len(self._ring) > 1:
            gone = self._ring.popleft()
            self._first += 1
            self._bytes -= len(gone.text)
            if gone.piece is not None:
                letter = gone.piece.letter
                self._floor[letter] = max(self._floor[letter], gone.piece.last)

    def _announce(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _tell_bookmarks(self) -> None:
        while True:
            await self._clock.sleep(BOOKMARK_SECONDS)
            if self._told != self._at:
                self._told = dict(self._at)
                self._keep(alone(Bookmark(), self._at))
                self._announce()


def _for_one_ahead(place: Place, piece: Piece) -> str:
    """Empty where this reader was told of it elsewhere."""
    if Gap() in piece.events:
        place.ahead = {}  # what was there before counts no more
        return piece.text()
    at, ahead = {**piece.others, piece.letter: piece.last}, place.ahead
    place.ahead = {letter: mark for letter, mark in ahead.items() if at[letter] < mark}
    is_known = piece.letter in ahead and piece.last <= ahead[piece.letter]
    return "" if is_known else piece.after(place.after).text()


def greeting(hub: Hub, after: Cursor | None) -> tuple[Cursor, list[str]]:
    """Where a reader who comes with a cursor begins, and what it is told first.

    A source that the cursor does not know, since the policy had another store, begins now.
    """
    if after is None:
        return hub.cursor, [alone(Bookmark(), hub.cursor)]
    known = {letter: after.get(letter, mark) for letter, mark in hub.cursor.items()}
    return known, [alone(Bookmark() if known.keys() == after.keys() else Gap(), known)]
