"""Reading users by their ids."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from periodic_sync.stores.redis.commands import Commands
from periodic_sync.stores.redis.keys import Keys
from periodic_sync.stores.redis.schema import FIELDS, DamagedUserError, StoredUser, read_user
from periodic_sync.stores.redis.scripts import READ

AT_ONCE = 250
"""Users in one script: a server does nothing else in the millisecond or so that this takes."""


def pieces(user_ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """As many as one script takes."""
    left = iter(user_ids)
    while ids := tuple(islice(left, AT_ONCE)):
        yield ids


@dataclass(slots=True)
class ReadUsers:
    users: dict[str, StoredUser] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """Those who can't be read, and why; never with a wallet in it."""


async def read_users(commands: Commands, keys: Keys, user_ids: Iterable[str]) -> ReadUsers:
    """Those of them that are registered. Raises: StoreNotReady."""
    found = ReadUsers()
    for ids in pieces(user_ids):
        answer = await commands.run(READ, (*keys.shared, *map(keys.user, ids)), (len(FIELDS), *FIELDS, *ids))
        for user_id, text in zip(ids, answer, strict=True):
            if not text:
                continue
            try:
                found.users[user_id] = read_user(user_id, text)
            except DamagedUserError as error:
                found.broken[user_id] = str(error)
    return found
