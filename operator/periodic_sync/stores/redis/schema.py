"""A user in Redis: one hash of what the application wrote and what the operator knows, field by field.

Numbers are decimal; instants and durations milliseconds. Fields that say nothing are not there.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from periodic_sync.core.cutoffs import UserClass
from periodic_sync.core.outcomes import back_off
from periodic_sync.core.users import NEVER_SYNCED, NO_TOKENS, UserRecord, UserState

RECORD_FIELDS = ("wallet", "interval", "zone", "requested", "tokens")
STATE_FIELDS = ("synced", "claim", "outcome", "failures", "failed", "unexplained", "returns", "served")
FIELDS = (*RECORD_FIELDS, *STATE_FIELDS)


class StoredUser(NamedTuple):
    """One user as it was read."""

    record: UserRecord
    state: UserState


def class_name(interval: int | None, zone: str | None) -> str:
    """The class of a user with these; '' for the plain one. An interval of its own makes the zone irrelevant."""
    if interval is not None:
        return f"interval:{interval}"
    return f"zone:{zone}" if zone is not None else ""


def class_of(name: str) -> UserClass:
    """Raises: ValueError for a name of no class."""
    kind, _, value = name.partition(":")
    if kind == "interval":
        return UserClass(interval=int(value))
    if kind == "zone" and value:
        return UserClass(zone=value)
    raise ValueError(f"{name!r} is no class of users")


def record_fields(record: UserRecord) -> list[str | int]:
    """Names and values of what `register` writes: neither the last activity nor what was asked for later."""
    fields: list[str | int] = ["wallet", record.wallet]
    if record.interval is not None:
        fields += ["interval", record.interval]
    if record.time_zone is not None:
        fields += ["zone", record.time_zone]
    return fields


def state_fields(state: UserState) -> dict[str, int]:
    """All fields of a state; those that are 0 are not written. `retry` is when a failed user is tried again."""
    fields = {
        "synced": state.last_synced or 0,
        "claim": state.last_claim,
        "outcome": state.last_outcome,
        "failures": state.failures,
        "failed": state.failed_at,
        "unexplained": state.unexplained,
        "returns": state.returns,
        "served": state.request_served,
    }
    if state.failures or state.unexplained:
        fields["retry"] = max(1, state.failed_at + back_off(state.failures)) if state.failures else 1
    else:
        fields["retry"] = 0
    return fields


def read_user(user_id: str, last_active: bytes, values: Sequence[bytes | None]) -> StoredUser:
    """From the values of `FIELDS`. Raises: ValueError where one of them is not as it is written."""
    found = dict(zip(FIELDS, values, strict=True))
    wallet = found["wallet"]
    if wallet is None:
        raise ValueError("it has no wallet")
    record = UserRecord(
        user_id,
        wallet.decode(),
        int(float(last_active)),
        int(found["interval"]) if found["interval"] else None,
        found["zone"].decode() if found["zone"] else None,
        int(found["requested"]) if found["requested"] else None,
        _tokens(found["tokens"]) if found["tokens"] else NO_TOKENS,
    )
    return StoredUser(record, _read_state(found) if found["claim"] else NEVER_SYNCED)


def _read_state(found: Mapping[str, bytes | None]) -> UserState:
    synced, claim, outcome, failures, failed, unexplained, returns, served = (
        int(found[name] or 0) for name in STATE_FIELDS
    )
    return UserState(synced or None, claim, outcome, failures, failed, unexplained, returns, served)


def _tokens(text: bytes) -> dict[str, int]:
    tokens = json.loads(text)
    if not isinstance(tokens, dict) or not all(type(at) is int for at in tokens.values()):
        raise ValueError("its tokens are no object of instants")
    return tokens
