"""Market hours in any zone, on any day."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from periodic_sync.api.durations import DAY, MINUTE, SECOND
from periodic_sync.api.spec import MarketHours
from periodic_sync.core.calendar import (
    WEEKDAYS,
    MarketCalendar,
    UnknownTimeZoneError,
    calendar_for,
    find_zone,
    zone_names,
)
from scheduling import instant


def hours(start: str, end: str, days: str = " ".join(WEEKDAYS)) -> MarketHours:
    return MarketHours.model_validate({"start": start, "end": end, "days": days.split()})


MOMENTS = {
    "the first minute is inside": (hours("09:00", "17:00"), "Etc/UTC", "2026-11-24T09:00:00+00:00", True),
    "the minute before is not": (hours("09:00", "17:00"), "Etc/UTC", "2026-11-24T08:59:59+00:00", False),
    "the last minute is inside": (hours("09:00", "17:00"), "Etc/UTC", "2026-11-24T16:59:59+00:00", True),
    "the end is outside": (hours("09:00", "17:00"), "Etc/UTC", "2026-11-24T17:00:00+00:00", False),
    "wall time is the zone's": (hours("09:00", "17:00"), "Asia/Kolkata", "2026-11-24T03:30:00+00:00", True),
    "a window past midnight is open late": (hours("22:00", "06:00"), "Etc/UTC", "2026-11-24T23:00:00+00:00", True),
    "a window past midnight is open early": (hours("22:00", "06:00"), "Etc/UTC", "2026-11-24T05:59:00+00:00", True),
    "a window past midnight ends": (hours("22:00", "06:00"), "Etc/UTC", "2026-11-24T06:00:00+00:00", False),
    "the hours past midnight belong to the day before": (
        hours("22:00", "06:00", "Fri"),
        "Etc/UTC",
        "2026-11-28T05:00:00+00:00",
        True,
    ),
    "and not to their own day": (hours("22:00", "06:00", "Fri"), "Etc/UTC", "2026-11-27T05:00:00+00:00", False),
    "Sunday's night reaches into Monday": (
        hours("22:00", "06:00", "Sun"),
        "Etc/UTC",
        "2026-11-30T05:00:00+00:00",
        True,
    ),
    "midnight as an end closes the day": (hours("09:00", "00:00"), "Etc/UTC", "2026-11-24T23:59:59+00:00", True),
    "a weekday that is left out is closed": (
        hours("09:00", "17:00", "Mon Tue Wed Thu Fri"),
        "Etc/UTC",
        "2026-11-28T12:00:00+00:00",
        False,
    ),
    "the missing hour's window opens at the jump": (
        hours("02:30", "05:00"),
        "Europe/Berlin",
        "2026-03-29T01:00:00+00:00",
        True,
    ),
    "the first pass of the repeated hour": (
        hours("02:00", "02:30"),
        "Europe/Berlin",
        "2026-10-25T00:15:00+00:00",
        True,
    ),
    "between the two passes": (hours("02:00", "02:30"), "Europe/Berlin", "2026-10-25T00:45:00+00:00", False),
    "the second pass of the repeated hour": (
        hours("02:00", "02:30"),
        "Europe/Berlin",
        "2026-10-25T01:15:00+00:00",
        True,
    ),
}


@pytest.mark.parametrize(("market", "zone", "at", "is_open"), MOMENTS.values(), ids=MOMENTS.keys())
def test_the_market_is_open_when_the_clock_on_the_wall_says_so(
    market: MarketHours, zone: str, at: str, is_open: bool
) -> None:
    assert calendar_for(market, zone).is_open(instant(at)) is is_open


CHANGES = {
    "the next opening and the last closing": (
        hours("09:00", "17:00"),
        "Etc/UTC",
        "2026-11-24T08:00+00:00",
        "2026-11-23T17:00+00:00",
        "2026-11-24T09:00+00:00",
    ),
    "a change is its own last, never its next": (
        hours("09:00", "17:00"),
        "Etc/UTC",
        "2026-11-24T09:00+00:00",
        "2026-11-24T09:00+00:00",
        "2026-11-24T17:00+00:00",
    ),
    "over the weekend": (
        hours("09:30", "16:00", "Mon Tue Wed Thu Fri"),
        "America/New_York",
        "2026-11-28T12:00-05:00",
        "2026-11-27T16:00-05:00",
        "2026-11-30T09:30-05:00",
    ),
    "the day the clocks go forward has an hour less": (
        hours("00:00", "12:00"),
        "Europe/Berlin",
        "2026-03-29T00:30+01:00",
        "2026-03-29T00:00+01:00",
        "2026-03-29T12:00+02:00",
    ),
    "a window inside the missing hour is left out that day": (
        hours("02:10", "02:50", "Sun"),
        "Europe/Berlin",
        "2026-03-28T12:00+01:00",
        "2026-03-22T02:50+01:00",
        "2026-04-05T02:10+02:00",
    ),
    "the clocks go back inside the window's start": (
        hours("02:30", "05:00"),
        "Europe/Berlin",
        "2026-10-25T02:45+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:00+01:00",
    ),
    "a Friday that Samoa never had": (
        hours("09:00", "17:00", "Fri"),
        "Pacific/Apia",
        "2011-12-29T12:00-10:00",
        "2011-12-23T17:00-10:00",
        "2012-01-06T09:00+14:00",
    ),
}


@pytest.mark.parametrize(("market", "zone", "at", "last", "following"), CHANGES.values(), ids=CHANGES.keys())
def test_openings_and_closings_are_found_in_both_directions(
    market: MarketHours, zone: str, at: str, last: str, following: str
) -> None:
    calendar = calendar_for(market, zone)
    assert calendar.last_change(instant(at)) == instant(last)
    assert calendar.next_change(instant(at)) == instant(following)


def test_milliseconds_do_not_blur_the_edge() -> None:
    calendar = calendar_for(hours("09:00", "17:00"), "Etc/UTC")
    opening = instant("2026-11-24T09:00+00:00")
    assert (calendar.is_open(opening - 1), calendar.is_open(opening)) == (False, True)
    assert calendar.next_change(opening - 1) == opening
    assert calendar.last_change(opening - 1) == opening - 16 * 3600 * SECOND


JUMPS = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "America/St_Johns": ("2010-03-14", "2010-11-07"),
    "Africa/Cairo": ("2026-04-24", "2026-10-30"),
    "America/Santiago": ("2026-04-05", "2026-09-06"),
    "Asia/Kathmandu": ("2026-01-01", "2026-06-01"),
    "Pacific/Apia": ("2011-12-30", "2012-04-01"),
}
jump_days = st.sampled_from([(zone, day) for zone, days in JUMPS.items() for day in days])
wall_minutes = st.integers(0, 24 * 60 - 1) | st.integers(0, 4 * 60)


@settings(max_examples=80, deadline=None)
@given(jump_days, wall_minutes, wall_minutes, st.sets(st.sampled_from(WEEKDAYS), min_size=1))
@example(("Europe/Berlin", "2026-10-25"), 150, 120, {"Sat"})
def test_windows_are_right_minute_by_minute_where_clocks_jump(
    jump: tuple[str, str], start: int, end: int, days: set[str]
) -> None:
    if start == end:
        end = (end + 1) % (24 * 60)
    zone = ZoneInfo(jump[0])
    market = hours(_wall(start), _wall(end), " ".join(sorted(days)))
    first = instant(f"{jump[1]}T00:00+00:00") - DAY
    minutes = range(first, first + 3 * DAY, MINUTE)
    expected = [_oracle(at, zone, market) for at in minutes]
    calendar = MarketCalendar(market, zone)
    assert [calendar.is_open(at) for at in minutes] == expected
    flips = [at for at, was, now in zip(minutes[1:], expected, expected[1:], strict=False) if was != now]
    found, at = [], first
    while (change := MarketCalendar(market, zone).next_change(at)) is not None and change <= minutes[-1]:
        found.append(at := change)
    assert found == flips
    back, at = [], minutes[-1]
    while (change := MarketCalendar(market, zone).last_change(at)) is not None and change > first:
        back.append(change)
        at = change - 1
    assert back[::-1] == flips


def _wall(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _oracle(at: int, zone: ZoneInfo, market: MarketHours) -> bool:
    """The definition, spelled out on strings: today's window, or yesterday's that goes on past midnight."""
    local = datetime.fromtimestamp(at // SECOND, UTC).astimezone(zone)
    clock, today = local.strftime("%H:%M"), local.strftime("%a")
    yesterday = (local.replace(tzinfo=None) - timedelta(days=1)).strftime("%a")
    if market.start < market.end:
        return today in market.days and market.start <= clock < market.end
    return (today in market.days and clock >= market.start) or (yesterday in market.days and clock < market.end)


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/localtime", "localtime", "America", "posix/Europe/Berlin", "Mars/Base", "", "UTC\0", "x" * 999],
)
def test_what_is_no_zone_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(UnknownTimeZoneError, match=r"is not a time zone: write an IANA name such as Europe/Berlin"):
        find_zone(name)


def test_a_zone_in_other_letters_is_refused_with_the_right_ones() -> None:
    with pytest.raises(UnknownTimeZoneError, match=r"^'europe/berlin' is not a time zone: write Europe/Berlin$"):
        find_zone("europe/berlin")


def test_every_zone_of_the_database_has_a_calendar() -> None:
    at = instant("2026-11-24T12:00+00:00")
    for name in zone_names():
        following = calendar_for(hours("09:00", "17:00"), name).next_change(at)
        assert following is not None
        assert at < following <= at + DAY
