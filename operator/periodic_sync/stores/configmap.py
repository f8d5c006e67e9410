"""The ConfigMap store: records in ConfigMaps that people and applications write, state in ConfigMaps of the operator.

Format, figures and how to look into it: docs/reference/configmap-store.md.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.api.names import STORE_LABEL
from periodic_sync.core.outcomes import Outcome
from periodic_sync.core.plan import Population
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.stores.base import ConfigMaps, Owner, Report, StoreNotReady
from periodic_sync.stores.mirror import Mirror, Selection
from periodic_sync.stores.shards import MANY_USERS, Shard, Users, merge_shards, read_shard
from periodic_sync.stores.state import StateParts

KEEP = DAY
"""How long a user's state is kept after the record left."""
_FORGET_EVERY = HOUR
"""Forgetting rewrites the whole state, so those who are due for it wait for each other this long."""
_NOTE_EVERY = MINUTE
_LATELY = 5 * SECOND
"""Tidying takes what was read so recently, so that it costs a turn no second read."""
_READ_ROUNDS = 3
MOST_SHARDS = 32
MOST_USERS = 50_000
"""Past these a store would take the memory and the time that the operator has for all policies."""


@dataclass(frozen=True, slots=True)
class Snapshot(Report):
    """All that the store holds, at one moment. The same object again means that nothing has changed."""

    records: Mapping[str, UserRecord] = field(default_factory=dict)
    """Valid records by user id."""
    states: Mapping[str, UserState] = field(default_factory=dict)
    """What is known, by user id; users never claimed are absent, users who left within 24 h are still there."""


class ConfigMapStore:
    """A `Store`. One object serves one policy, from any number of tasks; several operators may each have their own."""

    def __init__(self, maps: ConfigMaps, *, namespace: str, name: str, owner: Owner) -> None:
        """name: `spec.store.configMap.name`."""
        self._name = name
        self._shards: Mirror[Shard] = Mirror(maps, records_selection(namespace, name), read_shard)
        self._state = StateParts(maps, namespace, owner)
        self._lock = asyncio.Lock()
        self._users: tuple[int, Users] | None = None
        self._snapshot: tuple[Users, Mapping[str, UserState], Snapshot] | None = None
        self._read_at: int | None = None
        self._noted_at: int | None = None

    async def read(self, now: int) -> Snapshot:
        """See `Store`. Raises: StoreNotReady where the main ConfigMap is missing or state can't be read, ApiError."""
        async with self._lock:
            return await self._read(now)

    async def states(self, user_ids: Collection[str]) -> Mapping[str, UserState]:
        """See `Store`. As last read or written."""
        return self._state.states()

    async def active(self, since: int) -> int:
        """See `Store`. Of the records as last read."""
        return sum(record.last_active >= since for record in self._held.records.values())

    async def population(self, tick: Tick) -> Population:
        """See `Store`. The records as last read, with the states as last read or written."""
        states = self._state.states()
        return Population(
            [(record, states.get(user_id, NEVER_SYNCED)) for user_id, record in self._held.records.items()]
        )

    async def apply(self, outcomes: Sequence[Outcome]) -> None:
        """See `Store`. All outcomes of one call are one write, nearly always."""
        if outcomes:
            async with self._lock:
                await self._state.apply(outcomes)

    async def tidy(self, now: int) -> None:
        """See `Store`. Whoever's entry is malformed counts as gone too."""
        async with self._lock:
            records = (await self._read_lately(now)).records
            states, known = self._state.states(), self._state.gone()
            gone = {user_id: min(known.get(user_id, now), now) for user_id in states.keys() - records.keys()}
            # A user whose last claim is recent may have come back and been synced since this view of the records.
            claims = {user_id: states[user_id].last_claim for user_id in gone}
            due = {u: claim for u, claim in claims.items() if max(gone[u], claim) <= now - KEEP}
            if due and min(gone[user_id] for user_id in due) <= now - KEEP - _FORGET_EVERY:
                await self._state.forget(due)
                gone = {user_id: since for user_id, since in gone.items() if user_id not in due}
            lately = self._noted_at is not None and 0 <= now - self._noted_at < _NOTE_EVERY
            if gone != known and not lately:
                await self._state.note_gone(gone)
                self._noted_at = now

    def follow(self, wake: Callable[[], None]) -> None:
        """See `Store`. One watch serves the ConfigMap stores of all policies."""

    async def close(self) -> None:
        """See `Store`. There is nothing to close."""

    @property
    def _held(self) -> Snapshot:
        if self._snapshot is None:
            raise AssertionError("the store has not been read")
        return self._snapshot[2]

    async def _read_lately(self, now: int) -> Snapshot:
        if self._snapshot and self._read_at is not None and 0 <= now - self._read_at < _LATELY:
            return self._snapshot[2]
        return await self._read(now)

    async def _read(self, now: int) -> Snapshot:
        self._read_at = None
        # The records need not be of one moment: torn, they are as if a writer had been a little slower or faster.
        answers = await asyncio.gather(
            self._shards.refresh(rounds=_READ_ROUNDS, strict=False), self._state.refresh(), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        users, states = self._merged_users(now), self._state.states()
        if len(users.records) > MOST_USERS:
            raise StoreNotReady(
                f"{len(users.records)} users are far more than a ConfigMap store is good for, and would hold up other "
                f"policies: keep at most {MANY_USERS}, at the very most {MOST_USERS}, or use a Redis store"
            )
        if self._snapshot is None or self._snapshot[0] is not users or self._snapshot[1] is not states:
            highest = max((state.last_claim for state in states.values()), default=0)
            snapshot = Snapshot(
                users.skipped, users.problems, users.warnings, highest, records=users.records, states=states
            )
            self._snapshot = (users, states, snapshot)
        self._read_at = now
        return self._snapshot[2]

    def _merged_users(self, now: int) -> Users:
        generation = self._shards.generation
        if self._users is None or self._users[0] != generation or not self._users[1].holds_at(now):
            held = self._shards.held
            others = sorted(name for name in held if name != self._name)
            shards = [held[name].value for name in (self._name, *others)]
            self._users = (generation, merge_shards(self._name, shards, now))
        return self._users[1]


def records_selection(namespace: str, name: str) -> Selection:
    """The ConfigMaps that hold the records of a store."""
    missing = (
        f"ConfigMap {namespace}/{name}, the store of this policy, does not exist: create it with "
        f"`kubectl --namespace {namespace} create configmap {name}` and add users to it, or correct "
        "spec.store.configMap.name"
    )
    too_many = (
        f"More than {MOST_SHARDS} ConfigMaps in namespace {namespace} carry the label {STORE_LABEL}={name}: put more "
        f"users into each, up to 900 KiB, and keep a ConfigMap store to {MANY_USERS} users"
    )
    return Selection(
        namespace,
        f"{STORE_LABEL}={name}",
        main=name,
        main_missing=missing,
        most=MOST_SHARDS,
        too_many=too_many,
    )
