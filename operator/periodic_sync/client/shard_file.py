"""One ConfigMap of records as it was read, and what a few changes make of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from periodic_sync.client.entries import Change, Fields, Found, Remove, fields_in, key_of, other_key_of, write
from periodic_sync.stores.records import Entry, judge, read_entry
from periodic_sync.stores.shards import KIB, LARGE_SHARD, Shard, read_shard

FULL_FOR_UPDATES = 1000 * KIB
"""Values of a ConfigMap may be 1024 KiB; up to 900 KiB new users are added, the rest is for users to grow."""
FULL_WEIGHT = 1300 * KIB
"""Of the whole object, of which etcd takes 1.5 MiB: keys come on top of the values, twice with the managed fields."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KEY_OVERHEAD = 24

Entries = Mapping[str, tuple[object, Entry]]


class Result(Enum):
    """What became of one change."""

    DONE = "done"
    """It stands there now, or did before."""
    UNKNOWN = "unknown"
    """There is no record of the user here."""
    FULL = "full"
    """There is no room for it here."""


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One ConfigMap of records."""

    shard: Shard = field(repr=False)
    users: Mapping[str, tuple[str, ...]]
    """Data keys by user id, of entries that can't be read as well."""
    weight: int
    """Bytes of keys and values, with what the API server notes of each key."""
    applied: str = field(repr=False)
    """What `kubectl apply` keeps of it."""

    @property
    def room(self) -> int:
        """For new users, in bytes."""
        return min(LARGE_SHARD - self.shard.size, FULL_WEIGHT - self.weight)

    def counting(self, user_id: str, now: int) -> tuple[str, Entry] | None:
        """The key and entry that count for a user: of several the newest, one that can be read before all others."""
        found = [(key, self.shard.entries[key][1]) for key in self.users.get(user_id, ())]
        return max(found, key=lambda each: rank(each[1], now), default=None)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write. data: as in a merge patch; nothing to do where it is empty. applied: None: as it is."""

    data: Mapping[str, str | None] = field(repr=False)
    applied: str | None = field(repr=False)
    results: Sequence[Result]
    after: ShardFile = field(repr=False)


def rank(entry: Entry, now: int) -> float:
    """How much an entry counts: by the last activity; not at all where it is skipped."""
    record = judge(entry, now).record
    return record.last_active if record else float("-inf")


def read_file(body: Mapping[str, Any], before: ShardFile | None) -> ShardFile:
    shard = read_shard(body, before.shard if before else None)
    users: dict[str, tuple[str, ...]] = {}
    for key, (raw, entry) in shard.entries.items():
        user_id = _user_of(key, raw, entry)
        users[user_id] = (*users.get(user_id, ()), key)
    weight = shard.size + sum(_weight(key) for key in shard.entries)
    applied = (body["metadata"].get("annotations") or {}).get(LAST_APPLIED, "")
    return ShardFile(shard, users, weight, applied)


def plan(file: ShardFile, changes: Sequence[Change], now: int) -> Plan:
    """Make the changes, in their order."""
    draft = _Draft(file, now)
    results = [draft.remove(it) if isinstance(it, Remove) else draft.change(it) for it in changes]
    applied = _without(file.applied, [key for key, text in draft.data.items() if text is None])
    shard = Shard(file.shard.name, draft.entries, draft.size)
    after = ShardFile(shard, draft.users, draft.weight, file.applied if applied is None else applied)
    return Plan(draft.data, applied, results, after)


def found_in(file: ShardFile, key: str) -> Found:
    raw, entry = file.shard.entries[key]
    return Found(fields_in(raw), entry.record)


class _Draft:
    def __init__(self, file: ShardFile, now: int) -> None:
        self.data: dict[str, str | None] = {}
        self.entries = dict(file.shard.entries)
        self.users = dict(file.users)
        self.size, self.weight = file.shard.size, file.weight
        self._name, self._now = file.shard.name, now

    def remove(self, change: Remove) -> Result:
        keys = self.users.get(change.user_id, ())
        if change.expected is not None and any(self.entries[key][0] != change.expected for key in keys):
            return Result.DONE
        self.users.pop(change.user_id, None)
        for key in keys:
            raw, _ = self.entries.pop(key)
            self.data[key] = None
            self.size -= _bytes(raw)
            self.weight -= _bytes(raw) + _weight(key)
        return Result.DONE if keys else Result.UNKNOWN

    def change(self, change: Change) -> Result:
        keys = self.users.get(change.user_id, ())
        key = max(keys, key=lambda key: rank(self.entries[key][1], self._now), default=None)
        raw, entry = self.entries[key] if key is not None else (None, None)
        if (entry is None or entry.record is None) and not change.creates:
            return Result.UNKNOWN
        found = Found(fields_in(raw), entry.record if entry else None)
        fields = change.edit(found, self._now)
        if key is not None and fields == found.fields:
            return Result.DONE
        return self._put(key, change.user_id, fields, raw)

    def _put(self, key: str | None, user_id: str, fields: Fields, raw: object) -> Result:
        is_new = key is None
        key = self._free_key(user_id) if key is None else key
        text = write(fields if key == user_id and "userId" not in fields else {**fields, "userId": user_id})
        more = len(text) - _bytes(raw)
        size, weight = self.size + more, self.weight + more + (_weight(key) if is_new else 0)
        if more > 0 and (size > (LARGE_SHARD if is_new else FULL_FOR_UPDATES) or weight > FULL_WEIGHT):
            return Result.FULL
        self.size, self.weight, self.data[key] = size, weight, text
        self.entries[key] = (text, read_entry(f"{self._name}/{key}", key, text))
        if is_new:
            self.users[user_id] = (key,)
        return Result.DONE

    def _free_key(self, user_id: str) -> str:
        key = key_of(user_id)
        return key if key not in self.entries else other_key_of(user_id)


def _user_of(key: str, raw: object, entry: Entry) -> str:
    if entry.record is not None:
        return entry.record.user_id
    named = fields_in(raw).get("userId")
    return named if isinstance(named, str) else key


def _without(applied: str, keys: Sequence[str]) -> str | None:
    """What `kubectl apply` keeps, without these keys. None: nothing is to be changed."""
    if not applied or not keys:
        return None
    try:
        configuration = json.loads(applied)
        data = configuration["data"]
        kept = {key: value for key, value in data.items() if key not in keys}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if len(kept) == len(data):
        return None
    return json.dumps({**configuration, "data": kept}, separators=(",", ":"))


def _weight(key: str) -> int:
    return 2 * len(key) + _KEY_OVERHEAD


def _bytes(raw: object) -> int:
    if not isinstance(raw, str):
        return 0
    return len(raw) if raw.isascii() else len(raw.encode(errors="surrogatepass"))
