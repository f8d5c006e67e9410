"""Scores of the due index: one sorted set keeps the active users of all classes in the order of their last sync.

A score is a number of 53 bits, which is what a double holds exactly: the class, the kind, the slice, and the instant of
the last sync in tenths of a second. So the users of one class, kind and slice are a range, and of these whoever was
synced up to some instant. The scripts make the scores (common.lua); here are the ranges.
"""

from enum import IntEnum
from typing import NamedTuple

from periodic_sync.core.spread import PLACES, place_of

UNIT = 100
"""Milliseconds."""
UNITS = 1 << 36
"""Up to the year 2187."""
SLICES = 16
"""By the place of users among each other: while they are spread out, a slice at a time comes due."""
KINDS = 4


class Kind(IntEnum):
    """Why a user is tried next: each has one."""

    REGULAR = 0
    FAILED = 1
    """Failed since its last sync: the retry index says when it is tried again."""
    REQUESTED = 2
    """By its own record."""
    QUEUED = 3
    """By a request for many."""


class Shelf(NamedTuple):
    """The users of one class, kind and slice."""

    class_number: int
    kind: Kind
    slice: int

    @property
    def base(self) -> int:
        return ((self.class_number * KINDS + self.kind) * SLICES + self.slice) * UNITS

    @property
    def end(self) -> int:
        """The highest score on it."""
        return self.base + UNITS - 1


def slice_of(user_id: str) -> int:
    return place_of(user_id) * SLICES // PLACES


def places(number: int) -> tuple[int, int]:
    """The first and the last place of a slice."""
    width = PLACES // SLICES
    return number * width, (number + 1) * width - 1


def surely(instant: int) -> int:
    """The last unit all of whose instants are at or before that one. Unit 0, never synced, always is."""
    return max(0, (instant + 1) // UNIT - 1)


def possibly(instant: int) -> int:
    """The unit of an instant."""
    return max(0, instant // UNIT)
