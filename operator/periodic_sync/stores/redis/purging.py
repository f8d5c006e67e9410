"""Erasing everything that stands under one prefix: found by SCAN, unlinked in pieces.

By the prefix, and not by the users that are known: what a crash or an older release has left goes too.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from periodic_sync.stores.redis.commands import Commands, Script
from periodic_sync.stores.redis.keys import SEEN, Keys

SCANNED = 1_000
"""Keys that one SCAN looks at."""
UNLINKED = 500
"""Keys in one script: a server does nothing else meanwhile."""

UNLINK = Script("unlink", "return redis.call('UNLINK', unpack(KEYS))")


@dataclass(frozen=True, slots=True)
class Left:
    """What there is under a prefix."""

    users: int
    owner: str
    """`<cluster>/<namespace>/<policy>`; "": nobody's."""
    exists: bool


async def left(commands: Commands, keys: Keys) -> Left:
    """Raises: StoreNotReady."""
    seen = keys.shared[SEEN - 1]
    asked = [("ZCARD", seen), ("HGET", keys.meta, "owner"), ("EXISTS", *keys.shared)]
    users, owner, there = await commands.read(keys.meta, asked)
    return Left(int(users), (owner or b"").decode(errors="replace"), bool(there))


async def count_keys(commands: Commands, keys: Keys) -> int:
    """Raises: StoreNotReady."""
    return sum([len(found) async for found in _scanned(commands, keys)])


async def purge(commands: Commands, keys: Keys) -> AsyncIterator[int]:
    """Erase them all, the users first: what is left after a stop is purged by the same again.

    Yields: how many keys are gone so far. Raises: StoreNotReady.
    """
    gone, shared = 0, frozenset(key.encode() for key in keys.shared)
    async for found in _scanned(commands, keys):
        users = [key for key in found if key not in shared]
        for start in range(0, len(users), UNLINKED):
            gone += int(await commands.run(UNLINK, users[start : start + UNLINKED]))
            yield gone
    gone += int(await commands.run(UNLINK, keys.shared))
    yield gone


async def _scanned(commands: Commands, keys: Keys) -> AsyncIterator[Sequence[bytes]]:
    """Keys under the prefix, each at least once. They are all on the server that has the slot of their tag."""
    cursor: bytes | int = 0
    while True:
        command = ("SCAN", cursor, "MATCH", _pattern(keys.base), "COUNT", SCANNED)
        [(cursor, found)] = await commands.read(keys.meta, [command])
        yield found
        if int(cursor) == 0:
            return


def _pattern(prefix: str) -> str:
    return re.sub(r"([*?\[\]\\^])", r"\\\1", prefix) + "*"
