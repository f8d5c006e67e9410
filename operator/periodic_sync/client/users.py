"""Users as the client library shows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from periodic_sync.client.values import EPOCH
from periodic_sync.core.users import UserRecord, UserState

_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SyncState:
    """What the operator knows of one user. Of one never synced all is None or 0."""

    last_synced: datetime | None
    """When the last batch that synced the user was handed to a Job."""
    failures: int
    """Failures in a row."""
    failed_at: datetime | None
    """When the last of these was seen."""
    request_served: datetime | None
    """The `sync_requested_at` that was served last."""


@dataclass(frozen=True, slots=True)
class User:
    """One user: the record as applications wrote it, and what the operator knows of it. All datetimes are in UTC."""

    user_id: str
    wallet: str = field(repr=False)
    last_active: datetime
    interval: timedelta | None = None
    time_zone: str | None = None
    sync_requested_at: datetime | None = None
    changed_tokens: Mapping[str, datetime] = field(default_factory=dict)
    state: SyncState | None = None
    """None where this client can't read it."""


@dataclass(frozen=True, slots=True)
class UserPage:
    """Some users, and the cursor with which `Client.page` goes on after them; empty: that was all."""

    users: tuple[User, ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of a request to erase users."""

    removed: frozenset[str]
    """Those who were registered."""
    remains: str
    """What is left of them for now, as a sentence; empty: nothing."""


def user_of(record: UserRecord, state: UserState | None) -> User:
    return User(
        record.user_id,
        record.wallet,
        moment(record.last_active),
        None if record.interval is None else timedelta(milliseconds=record.interval),
        record.time_zone,
        None if record.sync_requested_at is None else moment(record.sync_requested_at),
        {token: moment(changed) for token, changed in record.changed_tokens.items()},
        None if state is None else _state(state),
    )


def moment(instant: int) -> datetime:
    """The instant of so many milliseconds since the epoch; the nearest that there is for a year that Python lacks."""
    try:
        return EPOCH + timedelta(milliseconds=instant)
    except OverflowError:
        return _EARLIEST if instant < 0 else _LATEST


def _state(state: UserState) -> SyncState:
    return SyncState(
        None if state.last_synced is None else moment(state.last_synced),
        state.failures,
        moment(state.failed_at) if state.failed_at else None,
        moment(state.request_served) if state.request_served else None,
    )
