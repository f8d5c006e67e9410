"""User records as applications write them: one entry of a store to a `UserRecord`, or to sentences that say why not.

Reading an entry comes in two steps, since one of the rules depends on the time: `read_entry` looks at the text alone
and is done once for each text, `judge` says what it amounts to now and is cheap. Nothing in an entry makes them raise,
and no sentence ever carries a wallet.
"""

import importlib.resources
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NoReturn

from periodic_sync.api.durations import MINUTE, parse_duration
from periodic_sync.api.wallets import holds_wallet
from periodic_sync.core.users import NO_TOKENS, UserRecord
from periodic_sync.stores.instants import parse_instant

AHEAD = 5 * MINUTE
"""How far ahead of the operator's clock an application's may be."""
LONGEST_WALLET = 128
LONGEST_TOKEN = 128
MOST_TOKENS = 100

USER_ID = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_LIKE_A_TIME = re.compile(r"(?![0-9]{14})[0-9TtZz :+./,-]{1,35}|[A-Za-z]{1,10}")
_LIKE_A_DURATION = re.compile(r"[0-9]{0,6}[.,]?[0-9]{0,3} ?[A-Za-z]{0,8}")
_LIKE_A_ZONE = re.compile(r"(?=.{1,40}$)(?!.*[^/]{21})[A-Za-z_+/-]+[0-9]{0,4}")
_LONG_PART = 6
_WRITE_TIME = "write RFC 3339, such as 2026-01-31T09:30:00Z"
_EXAMPLE = '{"wallet": "0x…", "lastActive": "2026-01-31T09:30:00Z"}'


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, as far as its text goes. `name` is what problems call it, such as `user-activity/u17`."""

    name: str
    record: UserRecord | None
    problems: tuple[str, ...] = ()
    active_from: int = 0
    """From this moment `lastActive` is not too far ahead; before it the entry is skipped."""
    request_from: int = 0
    """From this moment `syncRequestedAt` is not too far ahead; before it the field is left out."""
    counts_from: int = 0
    """From this moment it all counts: the later of the two."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an entry amounts to at one moment. Problems with a record: it was skipped in part; without: wholly."""

    record: UserRecord | None
    problems: tuple[str, ...] = ()


class BadFieldError(ValueError):
    """What is wrong with one field, and what to write; never with a wallet in it."""


def parse_entry(name: str, key: str, raw: object, now: int) -> Parsed:
    """Read one entry and judge it at `now` (milliseconds). name: as in `Entry`; key: the user id by default."""
    return judge(read_entry(name, key, raw), now)


def judge(entry: Entry, now: int) -> Parsed:
    """What an entry amounts to at `now`: times more than 5 minutes ahead don't count yet."""
    record = entry.record
    if record is None or now >= entry.counts_from:
        return Parsed(record, entry.problems)
    if now < entry.active_from:
        return Parsed(None, (active_ahead(entry.name),))
    ahead = f"{entry.name}: syncRequestedAt is more than 5 minutes ahead: not counted yet; check the writer's clock"
    return Parsed(replace(record, sync_requested_at=None), (*entry.problems, ahead))


def active_ahead(name: str) -> str:
    """What is said of such an entry."""
    return f"{name}: lastActive is more than 5 minutes ahead: skipped until then; check the writer's clock"


def read_entry(name: str, key: str, raw: object) -> Entry:
    """Read the text of one entry. Never raises: what is wrong with it is in the entry's problems."""
    try:
        fields = load_fields(raw)
    except BadFieldError as bad:
        name = _shown_name(name, key, {})
        return Entry(name, None, (f"{name}: {bad}",))
    wallet, name = fields.get("wallet"), _shown_name(name, key, fields)
    try:
        user_id = read_user_id(fields.get("userId"), key)
        record = UserRecord(user_id, read_wallet(wallet), read_time(fields.get("lastActive"), "lastActive", wallet))
    except BadFieldError as bad:
        return Entry(name, None, (f"{name}: {bad}",))
    return _with_optional_fields(name, record, fields)


def _shown_name(name: str, key: str, fields: Mapping[str, Any]) -> str:
    """What problems call an entry whose key may be a wallet, which would then be in logs and conditions."""
    wallet, user_id = fields.get("wallet"), fields.get("userId")
    known = wallet if isinstance(wallet, str) else None
    if not (holds_wallet(key, known) or any(key == each for field, each in fields.items() if field != "userId")):
        return name
    prefix = name[: len(name) - len(key)]
    if isinstance(user_id, str) and USER_ID.fullmatch(user_id) and not holds_wallet(user_id, known):
        return f"{prefix}(the entry of {user_id})"
    return f"{prefix}(a key of {len(key)} characters, like a wallet)"


def _with_optional_fields(name: str, record: UserRecord, fields: dict[str, Any]) -> Entry:
    found: dict[str, Any] = {}
    problems: tuple[str, ...] = ()
    for field, (attribute, read, instead) in _OPTIONAL.items():
        value = fields.get(field)
        if value is not None:  # null is how many serialisers write "not there"
            try:
                found[attribute] = read(value, field, record.wallet)
            except BadFieldError as bad:
                problems += (f"{name}: {bad}{instead}",)
    if found:
        record = replace(record, **found)
    active_from = record.last_active - AHEAD
    request_from = active_from if record.sync_requested_at is None else record.sync_requested_at - AHEAD
    return Entry(name, record, problems, active_from, request_from, max(active_from, request_from))


def load_fields(raw: object) -> dict[str, Any]:
    """The fields of a record written as JSON. Raises: BadFieldError."""
    try:
        value = _DECODER.decode(raw)  # type: ignore[arg-type]
    except json.JSONDecodeError as error:
        where = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise BadFieldError(f"not JSON ({where}): write an object such as {_EXAMPLE}") from None
    except RecursionError:
        raise BadFieldError(f"JSON nested too deeply: write an object such as {_EXAMPLE}") from None
    except (ValueError, TypeError):
        raise BadFieldError(f"not JSON: write an object such as {_EXAMPLE}") from None
    if not isinstance(value, dict):
        raise BadFieldError(f"not a JSON object: write one such as {_EXAMPLE}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def read_user_id(value: object, key: str) -> str:
    """Raises: BadFieldError, as all of these. key: the id where there is no value."""
    user_id = key if value is None else value
    if isinstance(user_id, str) and USER_ID.fullmatch(user_id):
        return user_id
    source = "the key, which is the userId where none is given," if value is None else "userId"
    raise BadFieldError(f"{source} is not 1 to 128 characters out of A-Z a-z 0-9 . _ : @ -")


def read_wallet(value: object) -> str:
    if value is None:
        raise BadFieldError("wallet is missing")
    if not isinstance(value, str):
        raise BadFieldError("wallet is not a text")
    if not 0 < len(value) <= LONGEST_WALLET or not _is_text(value):
        raise BadFieldError(f"wallet is not 1 to {LONGEST_WALLET} characters of text")
    return value


def _is_text(value: str) -> bool:
    """Half a surrogate pair gets through JSON and breaks whoever writes it in UTF-8 later."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def read_time(value: object, field: str, wallet: object) -> int:
    """Milliseconds since the epoch. wallet: of the same record, which no sentence may repeat."""
    if value is None:
        raise BadFieldError(f"{field} is missing: {_WRITE_TIME}")
    if not isinstance(value, str):
        raise BadFieldError(f"{field} is not a text: {_WRITE_TIME}")
    try:
        return parse_instant(value)
    except ValueError:
        raise BadFieldError(f"{field} {_quote(value, _LIKE_A_TIME, wallet)} is not a time: {_WRITE_TIME}") from None


def read_interval(value: object, field: str, wallet: object) -> int:
    """Milliseconds."""
    try:
        if isinstance(value, str) and value.isascii() and value.isalnum():
            return parse_duration(value)
    except ValueError:
        pass
    quoted = f" {_quote(value, _LIKE_A_DURATION, wallet)}" if isinstance(value, str) else ""
    raise BadFieldError(f"{field}{quoted} is not a duration: write such as 5m or 1h30m")


def read_time_zone(value: object, field: str, wallet: object) -> str:
    if isinstance(value, str) and value in zone_names():
        return value
    quoted = f" {_quote(value, _LIKE_A_ZONE, wallet)}" if isinstance(value, str) else ""
    raise BadFieldError(f"{field}{quoted} is not a time zone: write a name such as Europe/Berlin")


def read_tokens(value: object, field: str, wallet: object) -> Mapping[str, int]:
    """Milliseconds since the epoch by token."""
    try:
        return _tokens(value) or NO_TOKENS
    except ValueError as error:
        example = '{"<token>": "2026-01-31T09:30:00Z"}'
        raise BadFieldError(f"{field} {error}: write an object such as {example}") from None


def _tokens(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise ValueError("is not an object")
    if len(value) > MOST_TOKENS:
        raise ValueError(f"has more than {MOST_TOKENS} entries")
    if not all(0 < len(token) <= LONGEST_TOKEN and _is_text(token) for token in value):
        raise ValueError(f"has a token that is not 1 to {LONGEST_TOKEN} characters of text")
    if not all(isinstance(changed, str) for changed in value.values()):
        raise ValueError("has a time that is not a text")
    try:
        return {token: parse_instant(changed) for token, changed in value.items()}
    except ValueError:
        raise ValueError("has a time that is not RFC 3339") from None


_Reader = Callable[[object, str, str], Any]
_OPTIONAL: dict[str, tuple[str, _Reader, str]] = {
    "interval": ("interval", read_interval, "; the policy's intervals are used"),
    "timeZone": ("time_zone", read_time_zone, "; the policy's is used"),
    "syncRequestedAt": ("sync_requested_at", read_time, ""),
    "changedTokens": ("changed_tokens", read_tokens, "; all tokens are synced"),
}
"""By field: the attribute, the rule, and what holds where it is broken."""


@cache
def zone_names() -> frozenset[str]:
    """All IANA names there are. From tzdata's own list: `zoneinfo` would open whatever path a record names."""
    return frozenset((importlib.resources.files("tzdata") / "zones").read_text("utf-8").split())


def _quote(value: str, shape: re.Pattern[str], wallet: object) -> str:
    """The value as a problem shows it: only where it has the shape of what was meant, and is no part of the wallet.

    Anything else may be a wallet in the wrong field, whatever it looks like.
    """
    known = wallet.lower() if isinstance(wallet, str) else ""
    written = value.lower()
    is_of_wallet = (known and known in written) or (len(written) >= _LONG_PART and written in known)
    return f"(a text of {len(value)} characters)" if is_of_wallet or not shape.fullmatch(value) else json.dumps(value)
