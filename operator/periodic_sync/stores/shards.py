"""The ConfigMaps of user records: each one's entries, and all of them merged to the users there are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from periodic_sync.api.names import STORE_LABEL
from periodic_sync.api.wallets import shown_id
from periodic_sync.core.users import UserRecord
from periodic_sync.stores.records import Entry, judge, read_entry

KIB = 1024
LARGE_SHARD = 900 * KIB
"""From this size on people are warned; the API server refuses a ConfigMap of more than 1 MiB."""
MANY_USERS = 10_000
"""The number of users that the ConfigMap store is good for."""
SHOWN = 5
"""How many problems, and how many users of a warning, are named."""
_LIMIT = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Shard:
    """One ConfigMap of records."""

    name: str
    entries: Mapping[str, tuple[object, Entry]]
    """By data key: the text, and what was read from it."""
    size: int
    """Bytes of its values, as the API server counts them against its limit."""


@dataclass(frozen=True, slots=True)
class Users:
    """The users of all shards together, as judged for every moment in [since, until)."""

    records: Mapping[str, UserRecord]
    skipped: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    since: int
    until: float

    def holds_at(self, now: int) -> bool:
        return self.since <= now < self.until


def read_shard(body: Mapping[str, Any], before: Shard | None) -> Shard:
    """Read a ConfigMap; an entry whose text is the same as before is not parsed again."""
    name = body["metadata"]["name"]
    known = before.entries if before else {}
    entries: dict[str, tuple[object, Entry]] = {}
    size = 0
    for key, raw in (body.get("data") or {}).items():
        old = known.get(key)
        entries[key] = old if old is not None and old[0] == raw else (raw, read_entry(f"{name}/{key}", key, raw))
        size += _size(raw)
    for key, raw in (body.get("binaryData") or {}).items():
        entry_name = f"{name}/{shown_id(key)}"
        problem = f"{entry_name}: is under binaryData: write it as text under data"
        entries[key] = (None, Entry(entry_name, None, (problem,)))
        size += len(raw) * 3 // 4
    return Shard(name, entries, size)


def merge_shards(store: str, shards: Iterable[Shard], now: int) -> Users:
    """All users, each once: the entry with the newest lastActive counts, of equal ones the first.

    store: the store's name, for what the warnings advise. shards: the main one first.
    """
    shards = list(shards)
    merge = _Merge(now)
    for shard in shards:
        for _, entry in shard.entries.values():
            merge.add(entry)
    warnings = (*merge.warnings(), *_size_warnings(store, shards, len(merge.records)))
    return Users(merge.records, merge.skipped, tuple(merge.problems), warnings, merge.since, merge.until)


class _Merge:
    def __init__(self, now: int) -> None:
        self.now = now
        self.records: dict[str, UserRecord] = {}
        self.skipped = 0
        self.problems: list[str] = []
        self.since = 0
        self.until = float("inf")
        self._names: dict[str, str] = {}
        self._repeated: dict[str, list[str]] = {}

    def add(self, entry: Entry) -> None:
        record = entry.record
        if entry.problems or entry.counts_from > self.now:
            record = self._judge(entry)
        if entry.counts_from <= self.now and entry.counts_from > self.since:
            self.since = entry.counts_from
        if record is None:
            return
        user_id = record.user_id
        known = self.records.get(user_id)
        if known is not None:
            self._repeated.setdefault(user_id, [self._names[user_id]]).append(entry.name)
            if record.last_active <= known.last_active:
                return
        self.records[user_id] = record
        self._names[user_id] = entry.name

    def _judge(self, entry: Entry) -> UserRecord | None:
        for moment in (entry.active_from, entry.request_from):
            if moment > self.now:
                self.until = min(self.until, moment)
            elif entry.record is not None:
                self.since = max(self.since, moment)
        parsed = judge(entry, self.now)
        self.skipped += bool(parsed.problems)
        self.problems += parsed.problems[: max(0, SHOWN - len(self.problems))]
        return parsed.record

    def warnings(self) -> Iterable[str]:
        if self._repeated:
            count = len(self._repeated)
            who = "1 user is" if count == 1 else f"{count} users are"
            named = [
                f"{shown_id(user_id, self.records[user_id].wallet)} in {' and '.join(names[:3])}"
                for user_id, names in list(self._repeated.items())[:SHOWN]
            ]
            more = ", …" if count > SHOWN else ""
            yield (
                f"{who} there more than once, the entry with the newest lastActive counts ({', '.join(named)}{more}): "
                "delete the others"
            )


def _size_warnings(store: str, shards: Iterable[Shard], users: int) -> Iterable[str]:
    for shard in shards:
        if shard.size >= LARGE_SHARD:
            yield (
                f"ConfigMap {shard.name} holds {shard.size // KIB} KiB, and the API server refuses more than "
                f"{_LIMIT // KIB} KiB: move users to another ConfigMap with the label {STORE_LABEL}={store}"
            )
    if users > MANY_USERS:
        yield f"{users} users are more than the {MANY_USERS} that a ConfigMap store is good for: use a Redis store"


def _size(raw: object) -> int:
    if not isinstance(raw, str):
        return 0
    return len(raw) if raw.isascii() else len(raw.encode(errors="surrogatepass"))
