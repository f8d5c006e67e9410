"""Who is due, told by when users were last synced alone: what a store needs that keeps them in that order.

Within a class of users, all of whom have the same interval of their own or else the same time zone, whoever was synced
earlier comes due no later. So one instant tells the due from the others; while users are spread out after the interval
dropped, it is a later one the earlier a user's place is. Users who failed since, are asked for or are in flight have to
be told by other means.
"""

from collections.abc import Callable
from dataclasses import dataclass

from periodic_sync.core.due import STALE_GRACE, due_times
from periodic_sync.core.tick import CLOCK_SKEW, Tick, ZoneNow

NEVER = -1
"""Before every instant."""


@dataclass(frozen=True, slots=True)
class UserClass:
    """Users with this interval of their own (ms, as the record has it); with None those of this time zone.

    zone: None is the policy's own, and of no matter beside an interval.
    """

    interval: int | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Instants of the last sync: all users up to `sure` are in, none after `possible` is, and the others have to be
    looked at one by one."""

    sure: int
    possible: int


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """What tells the users of one class, at the places from `first` to `last`, from each other at one tick.

    Each later than the one before: the stale, the due, and those who may go along. Stale users may be due or not.
    """

    stale: Cutoff
    due: Cutoff
    along: int
    """None synced after it may go along; whoever was synced up to it has to be looked at."""


def is_spread(users: UserClass, tick: Tick) -> bool:
    """Whether the place of a user of that class matters now."""
    return users.interval is None and tick.zone(users.zone).spread is not None


def cutoffs(users: UserClass, tick: Tick, *, first: int, last: int) -> Cutoffs:
    """The cutoffs of a class at one tick.

    Raises: UnknownTimeZoneError where the policy's own time zone does not exist.
    """
    zone = tick.zone(users.zone)
    own = None if users.interval is None else max(users.interval, tick.user_minimum)
    interval = zone.interval if own is None else own

    def due_at(synced: int, place: int) -> int:
        return due_times(synced, place, own, zone, tick)[0]

    def stale_from(synced: int) -> int:
        return due_times(synced, first, own, zone, tick)[1]

    due = Cutoff(
        _latest(lambda synced: due_at(synced, last) <= tick.now, tick),
        _latest(lambda synced: due_at(synced, first) <= tick.now, tick),
    )
    along = _latest(lambda synced: due_at(synced, first) <= tick.now + interval // 10, tick)
    return Cutoffs(_stale(own, zone, tick, stale_from), due, max(due.possible, along))


def _stale(own: int | None, zone: ZoneNow, tick: Tick, stale_from: Callable[[int], int]) -> Cutoff:
    if own is not None or zone.spread is None:
        exact = _latest(lambda synced: stale_from(synced) < tick.now, tick)
        return Cutoff(exact, exact)
    # The grace depends on when each comes due, and so on the place, but not in its order.
    possible = tick.now - tick.spec.thresholds.stale - 1
    return Cutoff(possible - STALE_GRACE, possible)


def _latest(holds: Callable[[int], bool], tick: Tick) -> int:
    """The latest instant of a last sync for which that holds, as it does for all before; NEVER: for none."""
    low, high = NEVER, tick.now + CLOCK_SKEW
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
