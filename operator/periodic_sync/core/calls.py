"""How a batch's calls to the sync service went, as the built-in worker tells it in its termination message.

It is for metrics alone. A message without it, or with something else in its place, is as good: workers of one's own
need not know of it, and nothing of it is part of any verdict.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds; a call counts under the first that it is not longer than, or under one more at the end."""

MOST = 1_000_000
"""Calls of one batch, and its seconds: what is more comes from nobody who counts."""
LONGEST = 65_536


class CallOutcome(StrEnum):
    """What one call came to."""

    OK = "ok"
    RETRYABLE = "retryable"
    """An answer, or no answer, that is worth another attempt."""
    REFUSED = "refused"
    """Any other answer."""


@dataclass(frozen=True, slots=True)
class Durations:
    """counts: of calls under each of `BOUNDS`, and beyond. seconds: of all together."""

    counts: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Calls:
    """retries: calls that were further attempts for a user."""

    retries: int
    by_outcome: Mapping[CallOutcome, Durations]


def read_calls(message: str) -> Calls | None:
    """What a termination message says of calls; None where it says nothing that can be believed. It never raises."""
    if not message or len(message) > LONGEST:
        return None
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return None
    told = said.get("calls") if isinstance(said, dict) else None
    if not isinstance(told, dict) or not _is_count(told.get("retries")):
        return None
    found = {outcome: _durations(told[outcome]) for outcome in CallOutcome if outcome in told}
    by_outcome = {outcome: durations for outcome, durations in found.items() if durations is not None}
    return Calls(told["retries"], by_outcome) if len(by_outcome) == len(found) else None


def _durations(told: object) -> Durations | None:
    if not isinstance(told, dict):
        return None
    counts, seconds = told.get("counts"), told.get("seconds")
    if not isinstance(counts, list) or len(counts) != len(BOUNDS) + 1 or not all(map(_is_count, counts)):
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return None
    return Durations(tuple(counts), float(seconds)) if 0 <= seconds <= MOST else None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST
