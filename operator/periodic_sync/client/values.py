"""Values as applications hand them over, by the rules that the operator reads records by: `stores.records`."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from periodic_sync.api.durations import HOUR, format_duration, parse_duration
from periodic_sync.client.errors import InvalidUserError
from periodic_sync.core.users import NO_TOKENS, UserRecord
from periodic_sync.stores.instants import format_instant, parse_instant
from periodic_sync.stores.records import (
    AHEAD,
    BadFieldError,
    load_fields,
    read_interval,
    read_time,
    read_time_zone,
    read_tokens,
    read_user_id,
    read_wallet,
)

Instant = datetime | str
"""A point in time: a datetime with a time zone, or RFC 3339 such as 2026-01-31T09:30:00Z."""
Span = timedelta | str
"""A duration: a timedelta, or a text such as 5m or 1h30m."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_INTERVAL = 99_999 * HOUR
"""What a duration in words has room for."""
_EARLIEST = parse_instant("0000-01-01T00:00:00Z")
_MILLISECOND = timedelta(milliseconds=1)

T = TypeVar("T")


def user_id_of(value: object) -> str:
    """Raises: InvalidUserError, as all of these."""
    if not isinstance(value, str):
        raise InvalidUserError("userId is not a text")
    return _by_the_rules(lambda: read_user_id(value, ""))


def user_ids_of(values: str | Iterable[str]) -> list[str]:
    """Each once, in order. A single text is one id, not many of one letter each."""
    return list(dict.fromkeys(map(user_id_of, [values] if isinstance(values, str) else values)))


def instant_of(value: Instant | None, field: str, now: int, wallet: object = None) -> int:
    """Milliseconds; `now` where there is none. Not more than 5 minutes ahead of that."""
    if value is None:
        return now
    if isinstance(value, datetime):
        if value.tzinfo is None or value.utcoffset() is None:
            raise InvalidUserError(
                f"{field} has no time zone: write datetime.now(UTC), or .astimezone() of a local one"
            )
        instant = (value - EPOCH) // _MILLISECOND
    else:
        instant = _by_the_rules(lambda: read_time(value, field, wallet))
    return _possible(instant, field, now)


def interval_of(value: Span | None, wallet: object = None) -> int | None:
    """Milliseconds."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        interval = value // _MILLISECOND
        if interval < 0:
            raise InvalidUserError("interval is negative")
    else:
        interval = _by_the_rules(lambda: read_interval(value, "interval", wallet))
    if interval > LONGEST_INTERVAL:
        raise InvalidUserError(f"interval is longer than {format_duration(LONGEST_INTERVAL)}")
    return interval


def threshold_of(value: Span) -> int:
    """A duration of the client's own settings, in milliseconds. Raises: ValueError."""
    span = value // _MILLISECOND if isinstance(value, timedelta) else parse_duration(value)
    if span <= 0:
        raise ValueError("the threshold is not longer than 0: write spec.thresholds.active, such as 24h")
    return span


def tokens_of(values: str | Iterable[str], at: int) -> dict[str, int]:
    """Tokens that changed at one instant (ms)."""
    tokens = [values] if isinstance(values, str) else list(values)
    if not all(isinstance(token, str) for token in tokens):
        raise InvalidUserError("tokens are not texts")
    known = _by_the_rules(lambda: read_tokens(dict.fromkeys(tokens, format_instant(at)), "tokens", None))
    return dict(known)


def record_of(
    user_id: object,
    wallet: object,
    *,
    now: int,
    interval: Span | None = None,
    time_zone: str | None = None,
    last_active: Instant | None = None,
) -> UserRecord:
    """A user as it is registered."""
    return UserRecord(
        user_id_of(user_id),
        _by_the_rules(lambda: read_wallet(wallet)),
        instant_of(last_active, "lastActive", now, wallet),
        interval_of(interval, wallet),
        _zone(time_zone, wallet),
    )


def record_of_fields(fields: Mapping[str, Any], now: int) -> UserRecord:
    """A record as it stands in a store or a file: `null` and the empty text are the same as absent."""
    found = {name: value for name, value in fields.items() if value is not None and value != ""}
    wallet = found.get("wallet")
    if "userId" not in found:
        raise InvalidUserError("userId is missing")
    active = _by_the_rules(lambda: read_time(found.get("lastActive"), "lastActive", wallet))
    asked, tokens = found.get("syncRequestedAt"), found.get("changedTokens")
    return UserRecord(
        user_id_of(found["userId"]),
        _by_the_rules(lambda: read_wallet(wallet)),
        _possible(active, "lastActive", now),
        interval_of(found.get("interval"), wallet),
        _zone(found.get("timeZone"), wallet),
        None if asked is None else instant_of(asked, "syncRequestedAt", now, wallet),
        NO_TOKENS if tokens is None else _by_the_rules(lambda: read_tokens(tokens, "changedTokens", wallet)),
    )


def fields_of_json(text: str) -> dict[str, Any]:
    return _by_the_rules(lambda: load_fields(text))


def _zone(value: object, wallet: object) -> str | None:
    return None if value is None else _by_the_rules(lambda: read_time_zone(value, "timeZone", wallet))


def _possible(instant: int, field: str, now: int) -> int:
    if instant > now + AHEAD:
        raise InvalidUserError(f"{field} is more than 5 minutes ahead: check this machine's clock")
    if instant < _EARLIEST:
        raise InvalidUserError(f"{field} is before the year 0000")
    return instant


def _by_the_rules(read: Callable[[], T]) -> T:
    try:
        return read()
    except BadFieldError as bad:
        raise InvalidUserError(str(bad)) from None
