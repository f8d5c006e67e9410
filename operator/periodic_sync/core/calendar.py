"""Market hours: is the market open at an instant, and when does that change.

The window is half-open `[start, end)` in local wall time, so an instant is inside exactly when the clock on that zone's
wall says so. A repeated hour (clocks set back) is inside twice, a missing one (clocks set forward) never; a window
whose start falls into the missing hour opens at the jump. Nothing here adds hours to instants, which is what goes
wrong on those days.
"""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from periodic_sync.api.durations import SECOND
from periodic_sync.api.spec import MarketHours

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_DAY = 86_400
_HORIZON = 22 * _DAY
"""A window of one weekday opens weekly, unless its day is skipped (Samoa's 30 December 2011) or it lies in a gap."""

_OFFSET_STEP = 6 * 3600
"""Seconds between looks at a zone's UTC offset; no two of its changes are as close as that."""


_SEGMENTS_KEPT = 3
"""A tick asks for the times since the last change and since the one before."""


class UnknownTimeZoneError(ValueError):
    """The name is no IANA time zone; the message is a sentence that says what to write."""


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """All IANA names of the tz database that is shipped with this program."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


@lru_cache(maxsize=1024)
def find_zone(name: str) -> ZoneInfo:
    """The zone of that IANA name, in exactly that spelling.

    Looked up in the tz database's own list of names, since zoneinfo would take a path, a directory or this machine's
    `localtime` as well, and on some file systems any mixture of cases.

    Raises: UnknownTimeZoneError.
    """
    if name not in zone_names():
        raise UnknownTimeZoneError(f"{name[:80]!r} is not a time zone: {_advice(name)}")
    return ZoneInfo(name)


def _advice(name: str) -> str:
    near = next((known for known in sorted(zone_names()) if known.lower() == name.strip().lower()), None)
    if near is not None:
        return f"write {near}"
    return "write an IANA name such as Europe/Berlin, America/New_York or Etc/UTC"


class MarketCalendar:
    """The market hours of one zone. Immutable but for a memory of the last answers; instants in ms."""

    def __init__(self, market_hours: MarketHours, time_zone: ZoneInfo) -> None:
        self._zone = time_zone
        self._start = _minute_of_day(market_hours.start)
        self._end = _minute_of_day(market_hours.end)
        self._days = frozenset(WEEKDAYS.index(day) for day in market_hours.days)
        self._segments: tuple[tuple[int, int, int | None, int | None], ...] = ()

    def is_open(self, at: int) -> bool:
        """Whether the market is open at that instant."""
        return self._is_open(at // SECOND)

    def next_change(self, at: int) -> int | None:
        """The first instant after `at` at which the market opens or closes; None: never."""
        return self._changes(at)[1]

    def last_change(self, at: int) -> int | None:
        """The last instant at or before `at` at which the market opened or closed; None: never."""
        return self._changes(at)[0]

    def _is_open(self, second: int) -> bool:
        wall = datetime.fromtimestamp(second, self._zone)
        minute, day = wall.hour * 60 + wall.minute, wall.weekday()
        if self._start < self._end:
            return day in self._days and self._start <= minute < self._end
        # Past midnight: the hours before `end` belong to the day before.
        return (day in self._days and minute >= self._start) or ((day - 1) % 7 in self._days and minute < self._end)

    def _changes(self, at: int) -> tuple[int | None, int | None]:
        for segment in self._segments:
            start, end, last, following = segment
            if start <= at < end:
                return last, following
        second = at // SECOND
        last, following = self._last_change(second), self._next_change(second)
        start, end = (at if last is None else last), (at + 1 if following is None else following)
        self._segments = ((start, end, last, following), *self._segments[:_SEGMENTS_KEPT])
        return last, following

    def _next_change(self, second: int) -> int | None:
        for low in range(second, second + _HORIZON, _DAY):
            for flip in self._flips(low, low + _DAY):
                return flip * SECOND
        return None

    def _last_change(self, second: int) -> int | None:
        for high in range(second, second - _HORIZON, -_DAY):
            for flip in reversed(self._flips(high - _DAY, high)):
                return flip * SECOND
        return None

    def _flips(self, low: int, high: int) -> list[int]:
        """All seconds in (low, high] at which the market opens or closes, ascending."""
        candidates = set(self._jumps(low, high))
        day = datetime.fromtimestamp(low, self._zone).date() - timedelta(days=1)
        last_day = datetime.fromtimestamp(high, self._zone).date() + timedelta(days=1)
        while day <= last_day:
            for minute in (self._start, self._end):
                wall = datetime.combine(day, time(minute // 60, minute % 60), self._zone)
                candidates.update(int(wall.replace(fold=fold).timestamp()) for fold in (0, 1))
            day += timedelta(days=1)
        return sorted(at for at in candidates if low < at <= high and self._is_open(at) != self._is_open(at - 1))

    def _jumps(self, low: int, high: int) -> Iterator[int]:
        """Seconds in (low, high] at which the zone's offset from UTC changes, and wall time jumps."""
        for start in range(low, high, _OFFSET_STEP):
            before, after = start, start + _OFFSET_STEP
            if self._offset(before) == self._offset(after):
                continue
            while after - before > 1:
                middle = (before + after) // 2
                before, after = (middle, after) if self._offset(middle) == self._offset(before) else (before, middle)
            yield after

    def _offset(self, second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, self._zone).utcoffset()


@lru_cache(maxsize=2048)
def calendar_for(market_hours: MarketHours, zone_name: str) -> MarketCalendar:
    """The calendar of these market hours in that zone, remembered from one tick to the next.

    Raises: UnknownTimeZoneError.
    """
    return MarketCalendar(market_hours, find_zone(zone_name))


def _minute_of_day(wall: str) -> int:
    hours, minutes = wall.split(":")
    return int(hours) * 60 + int(minutes)
