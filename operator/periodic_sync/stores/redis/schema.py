"""A user in Redis: one hash of what the application wrote and what the operator knows, field by field.

Numbers are decimal; instants and durations milliseconds. Fields that say nothing are not there.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from periodic_sync.core.cutoffs import UserClass
from periodic_sync.core.outcomes import back_off
from periodic_sync.core.users import NEVER_SYNCED, NO_TOKENS, UserRecord, UserState

RECORD_FIELDS = ("wallet", "interval", "zone", "requested", "tokens")
STATE_FIELDS = ("synced", "claim", "outcome", "failures", "failed", "unexplained", "returns", "served")
FIELDS = (*RECORD_FIELDS, *STATE_FIELDS)
SEPARATOR = b"\x1f"
"""Between words that scripts are given and give as one text; in no valid value."""


class DamagedUserError(ValueError):
    """A user that can't be read. The text says why, and quotes nothing, since anything may stand in the wrong field."""


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
    """Names and values of what `register` writes: neither the last activity nor what was asked for later.

    Raises: ValueError for a wallet that could not be read again.
    """
    if SEPARATOR.decode() in record.wallet:
        raise ValueError(f"the wallet of user {record.user_id} holds a control character (unit separator)")
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


def read_user(user_id: str, text: bytes) -> StoredUser:
    """From the last activity and the values of `FIELDS`. Raises: DamagedUserError."""
    words = text.split(SEPARATOR)
    if len(words) != 1 + len(FIELDS):
        raise DamagedUserError("a field holds a control character")
    last_active, wallet, interval, zone, requested, tokens = words[: 1 + len(RECORD_FIELDS)]
    if not wallet:
        raise DamagedUserError("it has no wallet")
    record = UserRecord(
        user_id,
        _text("wallet", wallet),
        int(float(last_active)),
        _number("interval", interval) if interval else None,
        _text("zone", zone) if zone else None,
        _number("requested", requested) if requested else None,
        _tokens(tokens) if tokens else NO_TOKENS,
    )
    return StoredUser(record, _read_state(words[1 + len(RECORD_FIELDS) :]))


def _read_state(words: Sequence[bytes]) -> UserState:
    if not words[1]:
        return NEVER_SYNCED
    synced, claim, outcome, failures, failed, unexplained, returns, served = [
        _number(name, word) if word else 0 for name, word in zip(STATE_FIELDS, words, strict=True)
    ]
    return UserState(synced or None, claim, outcome, failures, failed, unexplained, returns, served)


def _number(name: str, word: bytes) -> int:
    try:
        return int(word)
    except ValueError:
        raise DamagedUserError(f"its field {name} is no whole number") from None


def _text(name: str, word: bytes) -> str:
    try:
        return word.decode()
    except ValueError:
        raise DamagedUserError(f"its field {name} is no text") from None


def _tokens(text: bytes) -> dict[str, int]:
    try:
        tokens = json.loads(text)
    except (ValueError, RecursionError):
        tokens = None
    if not isinstance(tokens, dict) or not all(type(at) is int for at in tokens.values()):
        raise DamagedUserError("its field tokens is no object of instants")
    return tokens
