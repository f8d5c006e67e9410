"""Changes of one user's entry in a ConfigMap: pure functions from what stands there to what is to stand there.

Fields that this program does not know are left alone, as are broken ones that a change does not touch.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from periodic_sync.api.durations import DAY, format_duration
from periodic_sync.core.users import NO_TOKENS, UserRecord
from periodic_sync.stores.instants import format_instant
from periodic_sync.stores.records import AHEAD, MOST_TOKENS, BadFieldError, load_fields

Fields = dict[str, Any]

TOKENS_KEPT = 7 * DAY
"""How long a changed token stays in a record; by then a user who is active has been synced."""
_KEY = re.compile(r"(?!\.\.)[-._A-Za-z0-9]+")
_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Found:
    """One user's entry as it stands. record: None where it is none."""

    fields: Fields = field(repr=False)
    record: UserRecord | None


class Change(Protocol):
    """One call's change of one user's entry."""

    @property
    def user_id(self) -> str: ...

    @property
    def creates(self) -> bool:
        """Whether it makes the entry of a user who has none, or none that can be read."""
        ...

    def edit(self, found: Found, now: int) -> Fields:
        """The fields as they are to be; equal to those found where there is nothing to write."""
        ...


@dataclass(frozen=True, slots=True)
class Register:
    """Add a user, or update one. within: as in `Active`."""

    record: UserRecord
    within: int
    creates = True

    @property
    def user_id(self) -> str:
        return self.record.user_id

    def edit(self, found: Found, now: int) -> Fields:
        record = self.record
        fields = {**found.fields, "wallet": record.wallet}
        fields["lastActive"] = _last_active(found, record.last_active, self.within, now)
        for name, value in (
            ("interval", None if record.interval is None else format_duration(record.interval)),
            ("timeZone", record.time_zone),
        ):
            if value is None:
                fields.pop(name, None)
            else:
                fields[name] = value
        if record.sync_requested_at is not None:
            fields |= _requested(found, record.sync_requested_at, now)
        if record.changed_tokens:
            fields |= _tokens(found, record.changed_tokens)
        return fields


@dataclass(frozen=True, slots=True)
class Active:
    """A user was active. within: a last activity no older than that (ms) before this one stands for it."""

    user_id: str
    at: int
    within: int
    creates = False

    def edit(self, found: Found, now: int) -> Fields:
        return {**found.fields, "lastActive": _last_active(found, self.at, self.within, now)}


@dataclass(frozen=True, slots=True)
class Request:
    """A sync was asked for."""

    user_id: str
    at: int
    creates = False

    def edit(self, found: Found, now: int) -> Fields:
        return {**found.fields, **_requested(found, self.at, now)}


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens changed at these instants."""

    user_id: str
    tokens: Mapping[str, int]
    creates = False

    def edit(self, found: Found, now: int) -> Fields:
        return {**found.fields, **_tokens(found, self.tokens)}


@dataclass(frozen=True, slots=True)
class Put:
    """The entry is to be this one."""

    user_id: str
    fields: Fields = field(repr=False)
    creates = True

    def edit(self, found: Found, now: int) -> Fields:
        return self.fields


@dataclass(frozen=True, slots=True)
class Remove:
    """Nothing is to be left of the user; with `expected`, only as long as that is the text of all that there is."""

    user_id: str
    expected: object = field(default=None, repr=False)
    creates = False

    def edit(self, found: Found, now: int) -> Fields:
        raise AssertionError("an entry is removed, not edited")


def key_of(user_id: str) -> str:
    """The data key for a user: the id itself where ConfigMaps allow it."""
    return user_id if _KEY.fullmatch(user_id) and user_id != "." else other_key_of(user_id)


def other_key_of(user_id: str) -> str:
    """The data key where the id is not allowed as one, or is somebody else's."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=_HASH_BYTES).hexdigest()
    return f"u-{re.sub('[^-_A-Za-z0-9]', '-', user_id)}-{digest}"


def fields_in(raw: object) -> Fields:
    """The fields of an entry; none of one that is no JSON object."""
    try:
        return load_fields(raw)
    except BadFieldError:
        return {}


def write(fields: Fields) -> str:
    # ASCII, since a field that is not known here may hold half a surrogate pair.
    return json.dumps(fields, separators=(",", ":"))


def _last_active(found: Found, at: int, within: int, now: int) -> str:
    known = found.record.last_active if found.record else None
    # One that lies too far ahead, of a clock that was wrong, would hide the user until then.
    if known is not None and at - within <= known <= now + AHEAD:
        return str(found.fields["lastActive"])
    return format_instant(at)


def _requested(found: Found, at: int, now: int) -> Fields:
    known = found.record.sync_requested_at if found.record else None
    if known is not None and at <= known <= now + AHEAD:
        return {}
    return {"syncRequestedAt": format_instant(at)}


def _tokens(found: Found, changes: Mapping[str, int]) -> Fields:
    known = found.record.changed_tokens if found.record else NO_TOKENS
    newest = {token: max(changed, known.get(token, changed)) for token, changed in changes.items()}
    before = max(changes.values()) - TOKENS_KEPT
    held = {token: at for token, at in known.items() if at >= before} | newest
    if held == known:
        return {}
    kept = sorted(held.items(), key=lambda each: (-each[1], each[0]))[:MOST_TOKENS]
    return {"changedTokens": {token: format_instant(at) for token, at in kept}}
