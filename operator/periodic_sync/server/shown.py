"""Users as the API shows them."""

from datetime import UTC, datetime

from periodic_sync.api.durations import format_duration
from periodic_sync.client import SyncState, User
from periodic_sync.client.users import moment
from periodic_sync.inspection.why import Why
from periodic_sync.server.models import State, UserAnswer, WhyAnswer


def rfc_3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(milliseconds: int) -> str:
    return rfc_3339(moment(milliseconds))


def shown_user(user: User) -> UserAnswer:
    return UserAnswer(
        user_id=user.user_id,
        wallet=user.wallet,
        last_active=rfc_3339(user.last_active),
        interval=None if user.interval is None else format_duration(round(user.interval.total_seconds() * 1000)),
        time_zone=user.time_zone,
        sync_requested_at=_optional(user.sync_requested_at),
        changed_tokens={token: rfc_3339(at) for token, at in user.changed_tokens.items()},
        state=None if user.state is None else _state(user.state),
    )


def shown_why(user_id: str, why: Why) -> WhyAnswer:
    decision = why.decision
    return WhyAnswer(
        user_id=user_id,
        reason=decision.reason,
        message=why.message,
        held_from=decision.held_from,
        priority=decision.priority,
        due_at=None if decision.due_at is None else instant(decision.due_at),
        until=None if decision.until is None else instant(decision.until),
        as_of=instant(why.as_of),
    )


def _state(state: SyncState) -> State:
    return State(
        last_synced=_optional(state.last_synced),
        failures=state.failures,
        failed_at=_optional(state.failed_at),
        request_served=_optional(state.request_served),
    )


def _optional(at: datetime | None) -> str | None:
    return None if at is None else rfc_3339(at)
