"""When and how long to wait between two attempts, and until when there is time at all. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

BASE_SECONDS = 0.5
MOST_SECONDS = 30.0
LONGEST_PAUSE = 600.0  # what an upstream may ask for in seconds where no deadline bounds it: jobs.deadline's default

_DIGITS = re.compile(r"[0-9]{1,18}")
_RETRIED = frozenset({408, 425, 429})
_HOLDING = frozenset({429, 503})


def backoff_seconds(failed_attempts: int, random: Callable[[], float]) -> float:
    """Exponential back-off with full jitter: a random share of 0.5 s, 1 s, 2 s … up to 30 s.

    Full jitter, as pods that fail together would otherwise come back together. `random` gives [0, 1).
    """
    return random() * min(MOST_SECONDS, BASE_SECONDS * 2.0 ** (failed_attempts - 1))


def is_retried(status: int) -> bool:
    """Whether another attempt may help: 408, 425, 429 and 5xx."""
    return status in _RETRIED or 500 <= status <= 599


def holds_everyone(status: int) -> bool:
    """Whether a `Retry-After` beside this status is about the service as a whole, not about this one user."""
    return status in _HOLDING


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Read a `Retry-After` header: seconds, or an HTTP date compared with `now` (Unix seconds).

    Returns: seconds from now, at least 0; None when absent or unreadable, since no upstream's typing error may stop us.
    """
    text = (value or "").strip()
    if _DIGITS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)  # "-0000" parses as naive, and HTTP dates are GMT
    try:
        return max(0.0, date.timestamp() - now)
    except (OverflowError, ValueError):
        return None


@dataclass(frozen=True)
class TimeLimit:
    """Two moments on the monotonic clock: no call starts at or after `cutoff`, and none runs past `end`."""

    cutoff: float = float("inf")
    end: float = float("inf")


def time_limit(deadline: float | None, *, now: float, wall: float, pod_started: float | None) -> TimeLimit:
    """When to stop, so that results are written before Kubernetes ends the pod and they are lost.

    `deadline` counts in seconds from the pod's start, long before ours if an image was pulled. `pod_started` is the
    best guess at that moment (Unix seconds); one in the future or a whole deadline ago can't be right and is ignored.
    Kept back are 10 % of the deadline, 2 to 30 s of it but never more than half: the first half of that lets calls
    finish, the second is for writing the results.
    """
    if deadline is None:
        return TimeLimit()
    gone = wall - pod_started if pod_started is not None else 0.0
    left = deadline - gone if 0 <= gone < deadline else deadline
    kept = min(max(deadline * 0.1, 2.0), 30.0, deadline / 2)
    return TimeLimit(cutoff=now + left - kept, end=now + left - kept / 2)
