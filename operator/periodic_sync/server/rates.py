"""How often somebody may ask: a bucket of tokens for each."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

MOST = 10_000


class Rates:
    """So many a second for each key, and `burst` at once after a rest."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float], *, most: int = MOST) -> None:
        """clock: seconds, only forward."""
        self._rate, self._burst, self._clock, self._most = per_second, burst, clock, most
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> float:
        """Returns: 0 where it may be done now, else the seconds until it may be tried again."""
        now = self._clock()
        left, since = self._buckets.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate
        self._buckets[key] = (left if wait else left - 1, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait
