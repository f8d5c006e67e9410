"""How the operator's state is written in ConfigMaps: short, and readable for whoever looks with kubectl.

Under the key `users`, one JSON object a line, each a state and the users who share it: those synced by one batch take
one line, since their states are equal. Only what differs from a plain success at that claim is written.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from periodic_sync.core.users import UserState

FORMAT = "1"
"""Under the key `version`. Anything else was written by a later release and is left alone."""

_COUNTS = {
    "failures": "failures",
    "failedAt": "failed_at",
    "unexplained": "unexplained",
    "returns": "returns",
    "request": "request_served",
}
_KNOWN = frozenset({"claim", "synced", "outcome", "users", *_COUNTS})


def encode(states: Mapping[str, UserState]) -> str:
    """Write states, ASCII only, in the order of their claims."""
    groups: dict[UserState, list[str]] = {}
    for user_id, state in states.items():
        groups.setdefault(state, []).append(user_id)
    ordered = sorted(groups, key=lambda state: state.last_claim)
    return _lines({**_fields(state), "users": sorted(groups[state])} for state in ordered)


def decode(text: str) -> dict[str, UserState]:
    """Read states. Raises: ValueError that names the line and what is wrong with it."""
    states: dict[str, UserState] = {}
    for number, fields in _read_lines(text):
        try:
            state, users = _state(fields), _users(fields)
        except ValueError as error:
            raise ValueError(f"line {number} {error}") from None
        for user_id in users:
            known = states.get(user_id)
            if known is None or newer(state, known):
                states[user_id] = state
    return states


def newer(one: UserState, other: UserState) -> bool:
    """Whether one state is the later one: claims order them, and a claim has one result."""
    return one.last_claim > other.last_claim


def encode_marks(marks: Mapping[str, int]) -> str:
    """Write since when users are gone (milliseconds), the earliest first."""
    groups: dict[int, list[str]] = {}
    for user_id, since in marks.items():
        groups.setdefault(since, []).append(user_id)
    return _lines({"since": since, "users": sorted(groups[since])} for since in sorted(groups))


def decode_marks(text: str) -> dict[str, int]:
    """Read since when users are gone. Raises: as `decode`."""
    marks: dict[str, int] = {}
    for number, fields in _read_lines(text):
        try:
            marks.update(dict.fromkeys(_users(fields), _whole(fields.get("since"), "since")))
        except ValueError as error:
            raise ValueError(f"line {number} {error}") from None
    return marks


def _fields(state: UserState) -> dict[str, Any]:
    fields: dict[str, Any] = {"claim": state.last_claim}
    if state.last_synced != state.last_claim:  # nearly always equal: a claim's number is the moment it was made
        fields["synced"] = state.last_synced
    if state.last_outcome != state.last_claim:
        fields["outcome"] = state.last_outcome
    for name, attribute in _COUNTS.items():
        if value := getattr(state, attribute):
            fields[name] = value
    return fields


def _state(fields: Mapping[str, Any]) -> UserState:
    if unknown := fields.keys() - _KNOWN:
        raise ValueError(f"has a field that this release doesn't know: {min(unknown)}")
    claim = _whole(fields.get("claim"), "claim")
    synced = fields.get("synced", claim)
    return UserState(
        last_synced=None if synced is None else _whole(synced, "synced"),
        last_claim=claim,
        last_outcome=_whole(fields.get("outcome", claim), "outcome"),
        **{attribute: _whole(fields.get(name, 0), name) for name, attribute in _COUNTS.items()},
    )


def _users(fields: Mapping[str, Any]) -> list[str]:
    users = fields.get("users")
    if not isinstance(users, list) or not all(isinstance(user_id, str) for user_id in users):
        raise ValueError("has no list of user ids under users")
    return users


def _whole(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"has no whole number as {name}")
    return value


def _lines(objects: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(fields, separators=(",", ":")) + "\n" for fields in objects)


def _read_lines(text: str) -> Iterable[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError(f"line {number} is not JSON") from None
        if not isinstance(fields, dict):
            raise ValueError(f"line {number} is not a JSON object")
        yield number, fields
