"""How the calls of one batch went, in numbers for the termination message: the operator makes metrics of them."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds; a call counts under the first that it is not longer than, or under one more at the end."""

OK, RETRYABLE, REFUSED = "ok", "retryable", "refused"


@dataclass
class _Durations:
    seconds: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))


class Calls:
    """Durations of calls by what they came to, and how many calls were further attempts."""

    def __init__(self) -> None:
        self.retries = 0
        self._by_outcome: dict[str, _Durations] = {}

    def add(self, outcome: str, seconds: float, *, is_retry: bool) -> None:
        """outcome: OK, RETRYABLE or REFUSED."""
        durations = self._by_outcome.setdefault(outcome, _Durations())
        durations.seconds += seconds
        durations.counts[bisect_left(BOUNDS, seconds)] += 1
        self.retries += is_retry

    def told(self) -> dict[str, Any]:
        """For the message; empty where nobody was called."""
        if not self._by_outcome:
            return {}
        found = {
            outcome: {"seconds": round(each.seconds, 3), "counts": each.counts}
            for outcome, each in self._by_outcome.items()
        }
        return {"retries": self.retries, **found}
