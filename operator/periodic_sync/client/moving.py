"""Copying users, with what the operator knows of them, into Redis: as often as one likes, and never backwards."""

from collections.abc import Mapping, Sequence

from periodic_sync.client.redis_backend import RedisBackend
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.commands import Argument, Commands
from periodic_sync.stores.redis.keys import LAYOUT_VERSION, Keys
from periodic_sync.stores.redis.reading import pieces, read_users
from periodic_sync.stores.redis.schema import StoredUser
from periodic_sync.stores.redis.scripts import APPLY
from periodic_sync.stores.redis.store import state_text

_ROUNDS = 8

Users = Mapping[str, tuple[UserRecord, UserState]]
"""Records and states by user id."""


class Target:
    """The users under one prefix in Redis."""

    def __init__(self, commands: Commands, prefix: str) -> None:
        self._commands, self._keys = commands, Keys(prefix)
        self._backend = RedisBackend(commands, prefix=prefix)

    async def copy(self, users: Users) -> None:
        """Write these, where Redis knows nothing newer: a later activity, or a later claim. Raises: StoreNotReady."""
        known = await self._read(users)
        records = [record for user_id, (record, _) in users.items() if _is_news(record, known.get(user_id))]
        await self._backend.register(records)
        states = {user_id: state for user_id, (_, state) in users.items() if state != NEVER_SYNCED}
        for _ in range(_ROUNDS):
            states = await self._write(states)
            if not states:
                return
        raise StoreNotReady("Others keep writing the state of the same users in Redis: is an operator at work there?")

    async def lacks(self, users: Users) -> list[str]:
        """The ids of those who are not there, or of whom less is known there than here. Raises: StoreNotReady."""
        known = await self._read(users)
        return [user_id for user_id, (record, state) in users.items() if not _holds(known.get(user_id), record, state)]

    async def _write(self, states: Mapping[str, UserState]) -> dict[str, UserState]:
        """Returns: those that were written by somebody else meanwhile."""
        known, again = await self._read(states), set[str]()
        newer = {
            user_id: state
            for user_id, state in states.items()
            if user_id in known and state.last_claim > known[user_id].state.last_claim
        }
        for ids in pieces(newer):
            args: list[Argument] = [LAYOUT_VERSION, max(newer[user_id].last_claim for user_id in ids)]
            args += [state_text(user_id, known[user_id].state, newer[user_id]) for user_id in ids]
            keys = (*self._keys.shared, *map(self._keys.user, ids))
            again |= {each.decode() for each in await self._commands.run(APPLY, keys, args)}
        return {user_id: newer[user_id] for user_id in again}

    async def _read(self, user_ids: Mapping[str, object]) -> dict[str, StoredUser]:
        return (await read_users(self._commands, self._keys, user_ids)).users


def in_steps(users: Users, size: int) -> Sequence[Users]:
    """Cut, so that progress can be told."""
    items = list(users.items())
    return [dict(items[start : start + size]) for start in range(0, len(items), size)]


def _is_news(record: UserRecord, known: StoredUser | None) -> bool:
    return known is None or (known.record != record and known.record.last_active <= record.last_active)


def _holds(known: StoredUser | None, record: UserRecord, state: UserState) -> bool:
    if known is None or known.record.last_active < record.last_active:
        return False
    if known.state.last_claim == state.last_claim:
        return known.state == state
    return known.state.last_claim > state.last_claim
