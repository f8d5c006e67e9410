"""Whom a simulation plays with: users that nobody has yet, or those of a store, and when each is active."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from periodic_sync.api.durations import DAY, HOUR
from periodic_sync.core.plan import User
from periodic_sync.core.users import NEVER_SYNCED, UserRecord
from periodic_sync.simulation.assumptions import chance

BUSIEST_HOUR = 13
"""In UTC: visits are most frequent then, and least twelve hours later."""
EBB = 0.2
"""How many come at the quietest moment, as a share of those at the busiest."""

Visit = tuple[int, UserRecord]
"""When a user is active, and the record as an application writes it then."""


@dataclass(frozen=True, slots=True)
class People:
    """Users as they are at the start, and what applications write later on, in order."""

    users: list[User] = field(repr=False)
    visits: list[Visit] = field(repr=False)


def made_up(count: int, *, share: float, start: int, hours: int, seed: int = 0) -> People:
    """`count` users, never synced, of whom on any day that share comes.

    Each has a time of day of its own, more of them by day than by night, and is active once on each day on which it
    comes; on which days is chance. So with the usual threshold of 24h that share of them is active at any time.
    Raises: ValueError.
    """
    if count < 0 or not 0 <= share <= 1:
        raise ValueError(f"write a number of users and a share from 0 to 1, not {count} and {share}")
    users: list[User] = []
    visits: list[Visit] = []
    for number in range(count):
        record = UserRecord(f"user-{number:08d}", f"0x{number:040x}", last_active=0)
        seen = list(_visits_of(record, share, start, start + hours * HOUR, seed))
        past = [at for at, _ in seen if at <= start]
        users.append((replace(record, last_active=past[-1] if past else start - 3 * DAY), NEVER_SYNCED))
        visits += [visit for visit in seen if visit[0] > start]
    return People(users, sorted(visits, key=lambda visit: visit[0]))


def as_before(users: Iterable[User], *, start: int, hours: int, threshold: int) -> People:
    """These users; whoever is active at the start comes again every day, at the time of day of its last activity.

    `threshold`: `thresholds.active`, in milliseconds.
    """
    known = list(users)
    visits: list[Visit] = []
    for record, _ in known:
        if start - record.last_active > threshold:
            continue
        first = record.last_active + max(1, -(-(start + 1 - record.last_active) // DAY)) * DAY
        visits += [(at, replace(record, last_active=at)) for at in range(first, start + hours * HOUR, DAY)]
    return People(known, sorted(visits, key=lambda visit: visit[0]))


def _visits_of(record: UserRecord, share: float, start: int, end: int, seed: int) -> Iterator[Visit]:
    at_time = _time_of_day(chance(seed, record.user_id))
    for day in range((start - DAY) // DAY, end // DAY + 1):
        at = day * DAY + at_time
        if start - DAY < at < end and chance(seed, record.user_id, day) < share:
            yield at, replace(record, last_active=at)


def _time_of_day(part: float) -> int:
    """The moment of a day, in ms, by which that part of a day's visitors has come."""
    swing = (1 - EBB) / (1 + EBB)
    low, high = 0.0, 1.0
    for _ in range(27):  # to the millisecond
        middle = (low + high) / 2
        turn = 2 * math.pi * (middle - BUSIEST_HOUR / 24)
        began = -2 * math.pi * BUSIEST_HOUR / 24
        come = middle + swing * (math.sin(turn) - math.sin(began)) / (2 * math.pi)
        low, high = (middle, high) if come <= part else (low, middle)
    return int(low * DAY)
