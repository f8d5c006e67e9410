"""Users in ConfigMaps, for the client."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from periodic_sync.api.errors import ForbiddenError
from periodic_sync.client.backend import Clock, Known, Page, Written, untold
from periodic_sync.client.entries import Active, Register, Request, Tokens
from periodic_sync.client.shard_files import ShardFiles
from periodic_sync.client.shard_writer import RecordMaps
from periodic_sync.client.users import Removal
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.stores.base import Owner, StoreNotReady
from periodic_sync.stores.records import judge
from periodic_sync.stores.shards import merge_shards
from periodic_sync.stores.state import StateParts

PARTS_OF_THRESHOLD = 20
"""A twentieth of the time that users count as active is how exact their last activity is."""
_LATER = (
    "What the operator knows of them (ids and times, no wallet) is still there: it forgets that 24 hours after it has "
    "seen that their records are gone, at the latest an hour later"
)


class ConfigMapBackend:
    """A `Backend`."""

    import_size = 5_000
    """A ConfigMap is written once a second, so much at once is what makes an import fast."""

    def __init__(
        self,
        maps: RecordMaps,
        *,
        namespace: str,
        name: str,
        owner: Owner | None,
        active: int,
        clock: Clock,
        written: Written = untold,
    ) -> None:
        """owner: the policy, where it is known. active: spec.thresholds.active in milliseconds."""
        self._name = name
        self._files = ShardFiles(maps, namespace, name, clock, written)
        self._state = StateParts(maps, namespace, owner) if owner else None
        self._state_lock = asyncio.Lock()
        self._within = active // PARTS_OF_THRESHOLD
        self._clock = clock

    async def register(self, records: Sequence[UserRecord]) -> None:
        await self._files.change([Register(record, self._within) for record in records])

    async def record_activity(self, times: Mapping[str, int]) -> set[str]:
        known = await self._files.change([Active(user_id, at, self._within) for user_id, at in times.items()])
        return {user_id for user_id, is_known in zip(times, known, strict=True) if not is_known}

    async def request_sync(self, times: Mapping[str, int]) -> set[str]:
        known = await self._files.change([Request(user_id, at) for user_id, at in times.items()])
        return {user_id for user_id, is_known in zip(times, known, strict=True) if not is_known}

    async def mark_tokens_changed(self, user_id: str, tokens: Mapping[str, int]) -> bool:
        (known,) = await self._files.change([Tokens(user_id, tokens)])
        return known

    async def remove(self, user_ids: Collection[str]) -> Removal:
        removed = await self._files.remove(user_ids)
        try:
            return Removal(frozenset(removed), "" if await self._forget(user_ids) else _LATER)
        except (ForbiddenError, StoreNotReady):
            return Removal(frozenset(removed), _LATER)

    async def get(self, user_id: str) -> Known | None:
        await self._files.read()
        place = self._files.place_of(user_id)
        record = judge(place.entry, self._clock.now()).record if place else None
        if record is None:
            return None
        states = await self._states()
        return Known(record, None if states is None else states.get(user_id, NEVER_SYNCED))

    async def users(self) -> AsyncIterator[Known]:
        records = await self._all()
        states = await self._states()
        for user_id, record in records.items():
            yield Known(record, None if states is None else states.get(user_id, NEVER_SYNCED))

    async def page(self, after: str | None, limit: int) -> Page:
        records = await self._all()
        states = await self._states()
        ids = sorted(records)
        start = 0 if after is None else bisect_right(ids, after)
        chosen = ids[start : start + limit]
        users = [Known(records[it], None if states is None else states.get(it, NEVER_SYNCED)) for it in chosen]
        return Page(users, chosen[-1] if start + limit < len(ids) else None)

    async def close(self) -> None:
        await self._files.close()

    async def _all(self) -> Mapping[str, UserRecord]:
        await self._files.read()
        shards = [file.shard for file in self._files.files()]
        return merge_shards(self._name, shards, self._clock.now()).records

    async def _states(self) -> Mapping[str, UserState] | None:
        """None: they can't be read."""
        if self._state is None:
            return None
        async with self._state_lock:
            try:
                await self._state.refresh()
            except (ForbiddenError, StoreNotReady):
                return None
            return self._state.states()

    async def _forget(self, user_ids: Collection[str]) -> bool:
        """Take users out of the operator's state. Returns: whether that is possible."""
        if self._state is None:
            return False
        async with self._state_lock:
            await self._state.refresh()
            states = self._state.states()
            claims = {user_id: states[user_id].last_claim for user_id in user_ids if user_id in states}
            if claims:
                await self._state.forget(claims)
            return True
