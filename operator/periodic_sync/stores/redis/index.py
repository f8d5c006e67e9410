"""What the sorted sets tell about all users at one tick: how many are due, stale and the like, and who comes first.

The core says by which instants of the last sync to tell users apart (core/cutoffs.py), and the due index has them in
that order. Where an instant falls between two users of the same tenth of a second, or users are being spread out, some
have to be looked at one by one; they are `doubtful` here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import merge, nlargest, nsmallest
from itertools import islice

from periodic_sync.core.cutoffs import Cutoffs, UserClass, cutoffs, is_spread
from periodic_sync.core.due import due_times
from periodic_sync.core.outcomes import LONGEST_BACK_OFF
from periodic_sync.core.spread import PLACES
from periodic_sync.core.tick import CLOCK_SKEW, Tick
from periodic_sync.stores.records import AHEAD
from periodic_sync.stores.redis.keys import ASKED, BROKEN, DUE, QUEUE, RETRY, SEEN
from periodic_sync.stores.redis.questions import ALL, Found, Questions
from periodic_sync.stores.redis.scores import KINDS, SLICES, UNIT, UNITS, Kind, Shelf, places, possibly, surely

INFINITE = float("inf")
STRAY = 1_000
"""Of those on one shelf who are out of place, so many are put back at once."""
NEXT = 10
"""Of a class so many are looked at for who comes due next: those of one tenth of a second are in no order."""
SPREAD = 200
"""Of those on one shelf who are being spread out, so many are looked at for who comes next."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many users are worth reading: of the due, of those who may go along, and of those who back off.

    latest: of the due those who were synced last, for a probe. It blames nobody, so that the first stay the first: were
    there nobody else to try it with, a crowd who can't be synced would keep the breaker open for ever.
    """

    due: int
    along: int
    backing_off: int = 0
    latest: int = 0


@dataclass(slots=True)
class Tallies:
    """What can be counted without looking at anybody; doubtful users are not in it."""

    total: int = 0
    active: int = 0
    ahead: int = 0
    """Last active too far in the future to be believed."""
    broken: int = 0
    asked: int = 0
    queued: int = 0
    asked_and_queued: int = 0
    retry_due: int = 0
    backing_off: int = 0
    shelved: dict[tuple[int, Kind], int] = field(default_factory=dict)
    """Active users by class number and kind."""
    due: int = 0
    """Regular ones."""
    stale: int = 0
    stale_regular: int = 0

    def count(self, name: str, number: int) -> None:
        setattr(self, name, getattr(self, name) + number)

    @property
    def regular(self) -> int:
        return sum(count for (_, kind), count in self.shelved.items() if kind is Kind.REGULAR)


@dataclass(slots=True)
class Look:
    """One look at the index. Ask `begin`, `go_on`, then `go_along`, each followed by putting the questions."""

    tick: Tick
    classes: Mapping[int, UserClass]
    """By number."""
    room: Room
    tallies: Tallies = field(default_factory=Tallies)
    due: list[list[tuple[bool, int, str]]] = field(default_factory=list)
    """Surely due, shelf by shelf, most urgent first: whether they are not stale, the unit of the last sync, the id."""
    latest: list[tuple[int, str]] = field(default_factory=list)
    """Of those the ones synced last, by that."""
    doubtful: set[str] = field(default_factory=set)
    """Regular ones who may be due."""
    doubtfully_stale: set[str] = field(default_factory=set)
    later: list[Found] = field(default_factory=list)
    """Those who come due next, shelf by shelf."""
    soon: list[tuple[float, float]] = field(default_factory=list)
    """Scores of those who may go along, shelf by shelf."""
    along: list[Found] = field(default_factory=list)
    """The first of these, where there is a batch for them to join."""
    spread: list[tuple[int, str]] = field(default_factory=list)
    """The same of classes that are being spread out: when about they come due, and their ids."""
    queued: set[str] = field(default_factory=set)
    stray: set[str] = field(default_factory=set)
    """Out of place: on the shelf of the queued, of whom there are none."""
    others: set[str] = field(default_factory=set)
    """Who may be due for some other reason."""
    waiting: set[str] = field(default_factory=set)
    """Who backs off."""

    def begin(self, ask: Questions) -> None:
        """How many there are of each kind, and who is due for other reasons than the last sync."""
        tick, tallies = self.tick, self.tallies
        active_since = tick.now - tick.spec.thresholds.active
        # Nobody waits for longer: who seems to was seen to fail before the clock was set back, and is due.
        longest = tick.now + LONGEST_BACK_OFF + CLOCK_SKEW
        for name, key, low, high in (
            ("total", SEEN, -INFINITE, INFINITE),
            ("active", SEEN, active_since, INFINITE),
            ("ahead", SEEN, tick.now + AHEAD + 1, INFINITE),
            ("broken", BROKEN, -INFINITE, INFINITE),
            ("asked", ASKED, -INFINITE, INFINITE),
            ("queued", QUEUE, -INFINITE, INFINITE),
            ("retry_due", RETRY, -INFINITE, tick.now),
            ("retry_due", RETRY, longest + 1, INFINITE),
            ("backing_off", RETRY, tick.now + 1, longest),
        ):
            ask.count(key, low, high, lambda number, name=name: tallies.count(name, number))  # type: ignore[misc]
        ask.both(ASKED, QUEUE, lambda number: tallies.count("asked_and_queued", number))
        for number in self.classes:
            for kind in Kind:
                low, high = Shelf(number, kind, 0).base, Shelf(number, kind, SLICES - 1).end
                ask.count(DUE, low, high, lambda count, key=(number, kind): tallies.shelved.__setitem__(key, count))  # type: ignore[misc]
        ask.first(ASKED, -INFINITE, INFINITE, self.room.due, self._look_at)
        ask.first(QUEUE, -INFINITE, INFINITE, self.room.due, self._look_at_queued)
        ask.first(RETRY, -INFINITE, tick.now, self.room.due, self._look_at)
        ask.first(RETRY, longest + 1, INFINITE, self.room.due, self._look_at)
        ask.first(RETRY, tick.now + 1, longest, max(1, self.room.backing_off), self._wait)

    def go_on(self, ask: Questions) -> None:
        """Everything that goes by the last sync. Raises: UnknownTimeZoneError."""
        for number, users in self.classes.items():
            kinds = [kind for kind in Kind if self.tallies.shelved.get((number, kind))]
            if not kinds:
                continue
            for part, limits in self._cutoffs(users):
                for kind in kinds:
                    self._ask_about(ask, users, Shelf(number, kind, part), limits)

    def go_along(self, ask: Questions) -> None:
        """Who may fill up a batch, if somebody may be due for one: most turns have none, and batches may be large."""
        if self._may_be_due:
            for low, high in self.soon:
                ask.first(DUE, low, high, self.room.along, self.along.append)

    @property
    def _may_be_due(self) -> bool:
        return bool(any(self.due) or self.doubtful or self.others or self.queued or self.tick.named)

    def _cutoffs(self, users: UserClass) -> Iterable[tuple[int, Cutoffs]]:
        if is_spread(users, self.tick):
            for part in range(SLICES):
                first, last = places(part)
                yield part, cutoffs(users, self.tick, first=first, last=last)
        else:
            same = cutoffs(users, self.tick, first=0, last=PLACES - 1)
            yield from ((part, same) for part in range(SLICES))

    def _ask_about(self, ask: Questions, users: UserClass, shelf: Shelf, limits: Cutoffs) -> None:
        base, is_regular = shelf.base, shelf.kind is Kind.REGULAR
        stale, stale_perhaps = surely(limits.stale.sure), possibly(limits.stale.possible)
        ask.count(DUE, base, base + stale, lambda count: self._stale(count, is_regular=is_regular))
        ask.first(DUE, base + stale + 1, base + stale_perhaps, ALL, self._doubt_staleness)
        due, perhaps = surely(limits.due.sure), possibly(limits.due.possible)
        if shelf.kind is Kind.QUEUED:
            ask.first(DUE, base, base + perhaps, self.room.due, self._look_at)
            if not self.tallies.queued:
                ask.first(DUE, base, shelf.end, STRAY, self._find_stray)
        if shelf.kind in (Kind.REGULAR, Kind.QUEUED):
            ask.last(DUE, base, base + due, self.room.latest, self._latest)
        if not is_regular:
            return
        future = possibly(self.tick.now + CLOCK_SKEW)
        # Whoever was synced later than that is due: the clock was set back.
        for low, high in ((0, due), (future + 1, UNITS - 1)):
            ask.count(DUE, base + low, base + high, lambda count: self.tallies.count("due", count))
        ask.first(DUE, base, base + due, self.room.due, lambda found: self._due(found, stale))
        ask.first(DUE, base + due + 1, base + perhaps, ALL, self._doubt)
        ask.first(DUE, base + future + 1, base + UNITS - 1, self.room.due, self._look_at)
        if is_spread(users, self.tick):
            ask.first(DUE, base + perhaps + 1, base + future, SPREAD, lambda found: self._spread(users, found))
        else:
            ask.first(DUE, base + perhaps + 1, base + future, NEXT, self.later.append)
            self.soon.append((base + perhaps + 1, base + min(possibly(limits.along), future)))

    def _look_at(self, found: Found) -> None:
        self.others.update(user_id for _, user_id in found)

    def _wait(self, found: Found) -> None:
        self.waiting.update(user_id for _, user_id in found)

    def _look_at_queued(self, found: Found) -> None:
        self.queued.update(user_id for _, user_id in found)

    def _due(self, found: Found, stale: int) -> None:
        """stale: up to which unit of the last sync; whoever may be stale beyond it is looked at anyway."""
        units = ((int(score) % UNITS, user_id) for score, user_id in found)
        self.due.append([(unit > stale, unit, user_id) for unit, user_id in units])

    def _latest(self, found: Found) -> None:
        self.latest += ((int(score) % UNITS, user_id) for score, user_id in found)

    def _find_stray(self, found: Found) -> None:
        self.stray.update(user_id for _, user_id in found)

    def _stale(self, count: int, *, is_regular: bool) -> None:
        self.tallies.stale += count
        self.tallies.stale_regular += count if is_regular else 0

    def _doubt(self, found: Found) -> None:
        self.doubtful.update(user_id for _, user_id in found)

    def _doubt_staleness(self, found: Found) -> None:
        self.doubtfully_stale.update(user_id for _, user_id in found)

    def _spread(self, users: UserClass, found: Found) -> None:
        """Who comes due next does not go by the last sync alone, but by it and the place."""
        zone = self.tick.zone(users.zone)
        for score, user_id in found:
            self.spread.append((due_times(int(score) % UNITS * UNIT, user_id, None, zone, self.tick)[0], user_id))

    def worth_reading(self) -> set[str]:
        """Ids of everyone to look at."""
        chosen = self.others | self.waiting | self.queued | self.doubtful | self.doubtfully_stale
        chosen.update(user_id for *_, user_id in islice(merge(*self.due), self.room.due))
        chosen.update(user_id for _, user_id in nlargest(self.room.latest, self.latest))
        along = self.room.along if self._may_be_due else 0
        for shelves, count in ((self.later, NEXT), (self.along, along)):
            for of_class in _by_class(shelves):
                chosen.update(user_id for _, user_id in islice(merge(*of_class), count))
        chosen.update(user_id for _, user_id in nsmallest(max(NEXT, along), self.spread))
        return chosen


def _by_class(shelves: Iterable[Found]) -> Iterable[list[Found]]:
    """Shelves of one class together, each member with the unit of its last sync in place of the score."""
    grouped: dict[int, list[Found]] = {}
    for found in shelves:
        if found:
            number = int(found[0][0]) // (UNITS * SLICES * KINDS)
            grouped.setdefault(number, []).append([(int(score) % UNITS, user_id) for score, user_id in found])
    return grouped.values()
