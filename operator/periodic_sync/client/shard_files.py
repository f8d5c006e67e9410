"""All ConfigMaps of one store's records: who is where, where there is room, and how changes get there."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from periodic_sync.api.errors import AlreadyExistsError
from periodic_sync.api.names import STORE_LABEL
from periodic_sync.client.backend import Clock, Written, untold
from periodic_sync.client.entries import Active, Change, Found, Put, Remove, write
from periodic_sync.client.shard_file import Result, ShardFile, found_in, rank, read_file
from periodic_sync.client.shard_writer import RecordMaps, ShardWriter
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.configmap import MOST_SHARDS, records_selection
from periodic_sync.stores.mirror import Mirror
from periodic_sync.stores.records import Entry

FRESH_SECONDS = 10.0
"""So long what was read stands for what is there, where that is only about whether anything has to be written."""
_READ_ROUNDS = 3
_ROUNDS = 8
_FIELDS_BYTES = 64


@dataclass(frozen=True, slots=True)
class Place:
    """Where a user's record is."""

    shard: str
    key: str
    entry: Entry


class ShardFiles:
    """For any number of tasks."""

    def __init__(self, maps: RecordMaps, namespace: str, name: str, clock: Clock, written: Written = untold) -> None:
        """name: the store's, and of the main ConfigMap."""
        self._maps, self._namespace, self._name, self._clock = maps, namespace, name, clock
        self._written = written
        self._mirror: Mirror[ShardFile] = Mirror(maps, records_selection(namespace, name), read_file)
        self._lock = asyncio.Lock()
        self._read_at: float | None = None
        self._writers: dict[str, ShardWriter] = {}

    async def read(self, *, at_most: float = 0.0) -> None:
        """See what is there; what was read so lately (seconds) will do. Raises: StoreNotReady, ApiError."""
        asked_at = self._clock.monotonic()
        async with self._lock:
            if self._read_at is not None and (self._read_at > asked_at or asked_at - self._read_at < at_most):
                return
            started = self._clock.monotonic()
            await self._mirror.refresh(rounds=_READ_ROUNDS, strict=False)
            self._read_at = started

    def files(self) -> list[ShardFile]:
        """The main one first, the others by name."""
        held = self._mirror.held
        return [held[name].value for name in sorted(held, key=lambda name: (name != self._name, name))]

    def place_of(self, user_id: str) -> Place | None:
        """Where the entry is that counts."""
        now = self._clock.now()
        best: tuple[float, Place] | None = None
        for file in self.files():
            if (found := file.counting(user_id, now)) is not None:
                order = rank(found[1], now)
                if best is None or order > best[0]:
                    best = (order, Place(file.shard.name, *found))
        return best[1] if best else None

    async def change(self, changes: Sequence[Change]) -> list[bool]:
        """Make changes, each of another user. Returns: for each whether there is a record of that user.

        Raises: StoreNotReady, ApiError; then some, all or none are made.
        """
        # Activity that is exact enough is not written; whatever else is there already has to be seen there.
        is_fresh = not all(isinstance(change, Active) for change in changes)
        await self.read(at_most=0.0 if is_fresh else FRESH_SECONDS)
        answers, left = dict.fromkeys(range(len(changes)), False), dict(enumerate(changes))
        for _ in range(_ROUNDS):
            results = await self._submit(left, may_create=is_fresh)
            answers |= {number: True for number, result in results.items() if result is Result.DONE}
            left = {number: change for number, change in left.items() if results[number] is not Result.DONE}
            if not left or (is_fresh and all(self._is_final(change, results[n]) for n, change in left.items())):
                return [answers[number] for number in range(len(changes))]
            if full := [change for number, change in left.items() if results[number] is Result.FULL]:
                await self.read()
                await self._make_room(full)
            await self.read()
            is_fresh = True
        raise StoreNotReady(
            f"The users of the store {self._namespace}/{self._name} keep moving while they are written: call again"
        )

    async def remove(self, user_ids: Iterable[str]) -> set[str]:
        """Erase users from every shard. Returns: who was there. Raises: StoreNotReady, ApiError."""
        wanted, removed = set(user_ids), set[str]()
        for _ in range(_ROUNDS):
            await self.read()
            there = [(file.shard.name, user_id) for file in self.files() for user_id in wanted & file.users.keys()]
            if not there:
                return removed
            await asyncio.gather(*(self._writer(shard).submit(Remove(user_id)) for shard, user_id in there))
            removed |= {user_id for _, user_id in there}
        raise StoreNotReady(
            f"Users who are being removed from the store {self._namespace}/{self._name} keep coming back: stop whoever "
            "registers them, then call again"
        )

    async def close(self) -> None:
        """Return once all that is under way is written, or is known not to be."""
        await asyncio.gather(*(writer.finish() for writer in self._writers.values()))

    async def _submit(self, changes: Mapping[int, Change], *, may_create: bool) -> dict[int, Result]:
        """One try for each. may_create: what was read is fresh, so that who is not there can be taken for new."""
        asked: dict[int, asyncio.Future[Result]] = {}
        for number, change in changes.items():
            place = self.place_of(change.user_id)
            if place is not None:
                asked[number] = self._writer(place.shard).submit(change)
            elif change.creates and may_create:
                size = _size_of(change, self._clock.now())
                asked[number] = self._writer(await self._shard_with_room(size)).submit(change, size=size)
        results = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
        return {number: results.get(number, Result.UNKNOWN) for number in changes}

    @staticmethod
    def _is_final(change: Change, result: Result) -> bool:
        return result is Result.UNKNOWN and not change.creates

    async def _make_room(self, changes: Iterable[Change]) -> None:
        """Users whose entries have outgrown their shard move to another: written there first, then removed here."""
        for change in changes:
            place = self.place_of(change.user_id)
            if place is None:
                continue
            held = self._mirror.held[place.shard].value
            fields = found_in(held, place.key).fields
            size = len(write(change.edit(found_in(held, place.key), self._clock.now()))) + _FIELDS_BYTES
            target = await self._shard_with_room(size, other_than=place.shard)
            if await self._writer(target).submit(Put(change.user_id, fields), size=size) is Result.DONE:
                expected = held.shard.entries[place.key][0]
                await self._writer(place.shard).submit(Remove(change.user_id, expected))

    async def _shard_with_room(self, size: int, other_than: str = "") -> str:
        rooms = {
            file.shard.name: file.room - self._writer(file.shard.name).coming
            for file in self.files()
            if file.shard.name != other_than
        }
        best = max(rooms, key=lambda name: rooms[name], default=None)
        return best if best is not None and rooms[best] >= size else await self._new_shard()

    async def _new_shard(self) -> str:
        async with self._lock:
            if len(self._mirror.held) >= MOST_SHARDS:
                raise StoreNotReady(
                    f"The store {self._namespace}/{self._name} is full: it has {MOST_SHARDS} ConfigMaps. Move it to "
                    "Redis with `periodic-sync migrate`, or remove users"
                )
            for number in range(1, 2 * MOST_SHARDS):
                name = f"{self._name}-{number}"
                if name in self._mirror.held:
                    continue
                metadata = {"name": name, "labels": {STORE_LABEL: self._name}}
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}
                try:
                    stored = await self._maps.create(self._namespace, body)
                except AlreadyExistsError:
                    continue  # another client's, which the next look shows, or somebody else's
                self._mirror.put(stored, read_file(stored, None))
                return name
            raise StoreNotReady(
                f"ConfigMaps {self._name}-1 and on, in namespace {self._namespace}, are not this store's"
            )

    def _writer(self, shard: str) -> ShardWriter:
        if shard not in self._writers:
            self._writers[shard] = ShardWriter(
                self._maps, self._namespace, shard, self._mirror, self._lock, self._clock, self._written
            )
        return self._writers[shard]


def _size_of(change: Change, now: int) -> int:
    """About what a new user takes, in bytes."""
    return len(write(change.edit(Found({}, None), now))) + len(change.user_id) + _FIELDS_BYTES
