"""Spreading users out when their interval drops, by cohort.

When the market opens, or an edit lowers an interval, most users would come due in the same second. For the first new
interval after such a moment their due time is, in place of `last + new`,

    max(last + new, min(moment + offset, last + old))    with offset = new · floor(h·K) / K

where h is the user's hash as a fraction of one and K the number of cohorts, one for each full batch of active users.
Whole cohorts come due together, so that batches are full, and nobody later than the old interval would have had them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from periodic_sync.api.spec import Intervals as PolicyIntervals
from periodic_sync.core.calendar import MarketCalendar
from periodic_sync.core.ledger import IntervalEdit


@dataclass(frozen=True, slots=True)
class Drop:
    """The moment at which an interval became shorter, and what it was before and is since."""

    moment: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Cohorts:
    """Into how many cohorts users are spread since the drop at that moment."""

    count: int
    at: int


@dataclass(frozen=True, slots=True)
class Spread:
    """The drops whose first interval is not over yet, oldest first; each begins where the one before left users."""

    drops: tuple[Drop, ...]

    @property
    def since(self) -> int:
        """Whoever was synced since then is spread out already."""
        return self.drops[-1].moment

    def due_at(self, last_synced: int, who: "Who", cohorts: int) -> int:
        """When a user comes due who was last synced before `since`."""
        due = last_synced + self.drops[0].old
        for drop in self.drops:
            due = drop_due(drop, last_synced, due, who, cohorts)
        return due


def drop_due(drop: Drop, last_synced: int, due_before: int, who: "Who", cohorts: int) -> int:
    """When a user comes due after a drop that would have come due at `due_before` without it.

    A rise fits the formula too: `last + new` is then later than anything else in it.
    """
    offset = drop.new * cohort_of(who, cohorts) // cohorts
    return max(last_synced + drop.new, min(drop.moment + offset, due_before))


PLACES = 1 << 64
"""Of users among each other, by the hash of their id."""

Who = str | int
"""A user's id or, where somebody at a place is asked for, that place."""


def place_of(user_id: str) -> int:
    """The user's place, 0 to `PLACES - 1`: the same in every process, at every drop and in every store."""
    return int.from_bytes(blake2b(user_id.encode(), digest_size=8).digest(), "big")


def cohort_of(who: Who, cohorts: int) -> int:
    """The user's cohort, 0 to `cohorts - 1`, in the order of places."""
    place = place_of(who) if isinstance(who, str) else who
    return place * cohorts // PLACES


def cohorts_needed(active: int, batch_size: int) -> int:
    """As many cohorts as active users fill batches, at least one."""
    return max(1, -(-active // batch_size))


class Calendars(NamedTuple):
    """One zone's market hours as they are, and as they were before the last edit of the spec."""

    now: MarketCalendar
    before: MarketCalendar


def drops_in_force(
    intervals: PolicyIntervals, calendars: Calendars, edit: IntervalEdit | None, now: int
) -> Spread | None:
    """The drops of a zone's interval whose first new interval is not over at `now`; None: the plain rule holds."""
    drops: list[Drop] = []
    for change in _changes(intervals, calendars, edit, now):
        # A rise starts afresh, and a drop that is over has left everyone where its interval alone would.
        if change.new > change.old or change.moment + change.new <= now:
            break
        drops.append(change)
    return Spread(tuple(reversed(drops))) if drops else None


def latest_drop(intervals: PolicyIntervals, calendars: Calendars, edit: IntervalEdit | None, now: int) -> Drop | None:
    """The last drop of a zone's interval at or before `now`, in force or not; None: it never drops."""
    return next((change for change in _changes(intervals, calendars, edit, now) if change.new < change.old), None)


def interval_in(intervals: PolicyIntervals, *, is_open: bool) -> int:
    """The policy's interval with the market open or closed."""
    return intervals.market_hours if is_open else intervals.off_hours


def _changes(intervals: PolicyIntervals, calendars: Calendars, edit: IntervalEdit | None, now: int) -> Iterator[Drop]:
    """The last changes of a zone's interval up to `now`, drops and rises, latest first.

    The market's last two and the last edit: of an opening and the closing before it one is the drop.
    """
    if edit is not None and edit.at > now:
        edit = None  # the clock was set back: what the edit made of the intervals holds all the same

    def interval_at(at: int) -> int:
        if edit is not None and at < edit.at:
            return edit.before.market if calendars.before.is_open(at) else edit.before.off
        return interval_in(intervals, is_open=calendars.now.is_open(at))

    moments = {edit.at} if edit is not None else set()
    for calendar in set(calendars):
        change = calendar.last_change(now)
        if change is not None:
            before = calendar.last_change(change - 1)
            moments |= {change} if before is None else {change, before}
    for moment in sorted(moments, reverse=True):
        old, new = interval_at(moment - 1), interval_at(moment)
        if old != new:
            yield Drop(moment, old, new)
