"""Instants as applications write them: RFC 3339, to whole milliseconds since the Unix epoch. Fast: a store has many."""

import re
from datetime import date
from functools import lru_cache

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND

_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))",
)
_EPOCH = date(1970, 1, 1).toordinal()
_DAYS_IN_400_YEARS = 146_097


def parse_instant(text: str) -> int:
    """Read an RFC 3339 date and time, with any offset and any number of decimals (cut to milliseconds).

    Returns: milliseconds since the Unix epoch, negative before it.
    Raises: ValueError for everything else, such as a date without a time or a time without an offset.
    """
    match = _RFC_3339.fullmatch(text)
    if not match:
        raise ValueError("not RFC 3339")
    day, hour_text, minute_text, second_text, decimals, sign, offset_hours, offset_minutes = match.groups()
    hour, minute, second = int(hour_text), int(minute_text), int(second_text)
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError("no such time of day")
    instant = _midnight(day) + hour * HOUR + minute * MINUTE + second * SECOND
    if decimals:
        instant += int(decimals[:3].ljust(3, "0"))
    if sign:
        instant -= _offset(sign, int(offset_hours), int(offset_minutes))
    if second == 60 and (instant // SECOND * SECOND) % DAY:
        raise ValueError("a leap second can only be the last of a day in UTC")
    return instant


def format_instant(instant: int) -> str:
    """Write milliseconds since the epoch as RFC 3339 in UTC, so that `parse_instant` reads the same.

    Raises: ValueError outside the years 0000 to 9999.
    """
    days, time = divmod(instant, DAY)
    ordinal, years = days + _EPOCH, 0
    if -366 < ordinal < 1:  # the year 0000, as above
        ordinal, years = ordinal + _DAYS_IN_400_YEARS, 400
    try:
        day = date.fromordinal(ordinal)
    except (ValueError, OverflowError):
        raise ValueError("no year from 0000 to 9999") from None
    hours, time = divmod(time, HOUR)
    minutes, time = divmod(time, MINUTE)
    seconds, milliseconds = divmod(time, SECOND)
    decimals = f".{milliseconds:03}" if milliseconds else ""
    return f"{day.year - years:04}-{day.month:02}-{day.day:02}T{hours:02}:{minutes:02}:{seconds:02}{decimals}Z"


@lru_cache(maxsize=4096)
def _midnight(day: str) -> int:
    """Milliseconds at 00:00 UTC. Cached, since the records of a store share few days. Raises: ValueError."""
    year, month, day_of_month = int(day[:4]), int(day[5:7]), int(day[8:])
    if year == 0:  # a year of RFC 3339 that Python's date doesn't know; the calendar repeats after 400 years
        return (date(400, month, day_of_month).toordinal() - _DAYS_IN_400_YEARS - _EPOCH) * DAY
    return (date(year, month, day_of_month).toordinal() - _EPOCH) * DAY


def _offset(sign: str, hours: int, minutes: int) -> int:
    if hours > 23 or minutes > 59:
        raise ValueError("no such offset")
    size = hours * HOUR + minutes * MINUTE
    return size if sign == "+" else -size
