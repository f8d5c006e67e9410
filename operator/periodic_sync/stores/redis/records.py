"""What applications write: registering users, telling of activity, asking for syncs, erasing."""

import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

from periodic_sync.core.users import UserRecord
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.records import MOST_TOKENS
from periodic_sync.stores.redis.commands import Argument, Commands, Script
from periodic_sync.stores.redis.keys import LAYOUT_VERSION, Keys
from periodic_sync.stores.redis.reading import pieces, read_users
from periodic_sync.stores.redis.schema import StoredUser, class_name, record_fields
from periodic_sync.stores.redis.scores import slice_of
from periodic_sync.stores.redis.scripts import ACTIVITY, PAGE, REGISTER, REMOVE, REQUEST, TOKENS
from periodic_sync.stores.redis.troubles import RedisNotReady

PAGE_SIZE = 1_000
"""Users of one page, of which there is one in memory."""


class Place(NamedTuple):
    """Where a user stands: last activity (ms; of foreign members any number), and the id as Redis compares it."""

    seen: float
    user_id: bytes


class RedisRecords:
    """The users under one prefix, as applications see them. Valid values only: whoever calls has checked them.

    Every method raises StoreNotReady. Then it is not known whether it was carried out; doing it again does no harm.
    """

    def __init__(self, commands: Commands, *, prefix: str) -> None:
        self._commands = commands
        self._keys = Keys(prefix)

    async def register(self, records: Iterable[UserRecord]) -> None:
        """Add users, or update their wallet, interval and time zone; their last activity only grows."""
        by_id = {record.user_id: record for record in records}
        for ids in pieces(by_id):
            args: list[Argument] = [LAYOUT_VERSION, secrets.token_hex(8)]
            for user_id in ids:
                record = by_id[user_id]
                fields = record_fields(record)
                args += [user_id, slice_of(user_id), record.last_active]
                args += [class_name(record.interval, record.time_zone), len(fields), *fields]
            await self._run(REGISTER, ids, args)

    async def record_activity(self, times: Mapping[str, int]) -> set[str]:
        """Users were active at these instants. Returns: those who are not registered."""
        return await self._tell(ACTIVITY, times)

    async def request_sync(self, times: Mapping[str, int]) -> set[str]:
        """Ask for a sync of these users, at these instants. Returns: those who are not registered."""
        return await self._tell(REQUEST, times)

    async def mark_tokens_changed(self, user_id: str, tokens: Mapping[str, int], *, forget_before: int) -> bool:
        """Add tokens that changed at these instants. Returns: whether the user is registered."""
        changes = [part for pair in tokens.items() for part in pair]
        return bool(await self._run(TOKENS, [user_id], (forget_before, MOST_TOKENS, *changes)))

    async def remove(self, user_ids: Iterable[str]) -> set[str]:
        """Erase every trace of them. Returns: those who were registered."""
        removed: set[str] = set()
        for ids in pieces(dict.fromkeys(user_ids)):
            removed |= {user_id.decode() for user_id in await self._run(REMOVE, ids, ids)}
        return removed

    async def get(self, user_ids: Iterable[str]) -> dict[str, StoredUser]:
        """Those of them that are registered, and can be read."""
        return (await read_users(self._commands, self._keys, dict.fromkeys(user_ids))).users

    async def users(self) -> AsyncIterator[StoredUser]:
        """All users, as `page` gives them."""
        place: Place | None = None
        while True:
            users, place = await self.page(place, PAGE_SIZE)
            for user in users:
                yield user
            if place is None:
                return

    async def page(self, after: Place | None, limit: int) -> tuple[list[StoredUser], Place | None]:
        """Users by their last activity, at most `limit`, and the place to go on from; None: that was all.

        Whoever is active meanwhile moves towards the end and may come twice; nobody is left out.
        """
        answer = await self._run(PAGE, (), (limit, *((f"{after.seen!r}", after.user_id) if after else ())))
        places = [Place(float(score), each) for each, score in zip(answer[::2], answer[1::2], strict=True)]
        given = places[:limit]
        found: dict[str, StoredUser] = {}
        for ids in pieces(place.user_id.decode() for place in given if place.user_id.isascii()):
            found |= await self.get(ids)
        return list(found.values()), given[-1] if len(places) > limit else None

    async def _tell(self, script: Script, times: Mapping[str, int]) -> set[str]:
        unknown: set[str] = set()
        for ids in pieces(times):
            args = [part for user_id in ids for part in (user_id, slice_of(user_id), times[user_id])]
            unknown |= {user_id.decode() for user_id in await self._run(script, ids, args)}
        return unknown

    async def _run(self, script: Script, user_ids: Iterable[str], args: Iterable[Argument]) -> Any:
        try:
            return await self._commands.run(script, (*self._keys.shared, *map(self._keys.user, user_ids)), [*args])
        except RedisNotReady as error:
            raise StoreNotReady(_told(error.answer, self._keys) or str(error)) from error


def _told(answer: str, keys: Keys) -> str:
    """What a script itself refuses, for people."""
    kind, _, value = answer.partition(" ")
    if kind == "VERSION":
        return (
            f"The users under {keys.prefix!r} in Redis are of layout version {value}; this release knows "
            f"{LAYOUT_VERSION}: use the release that wrote them. Nothing was changed"
        )
    if kind == "CLASSES":
        return f"The policy's users have {value} different intervals and time zones already: use one that is in use"
    return ""
