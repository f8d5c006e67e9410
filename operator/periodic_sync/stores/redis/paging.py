"""All users a page at a time, by their last activity and, of one instant, by their ids."""

from typing import NamedTuple

from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.commands import Command, Commands
from periodic_sync.stores.redis.keys import SEEN, Keys

_TRIES = 20


class Place(NamedTuple):
    """Where a user stands: last activity (ms), and the id as Redis compares it."""

    seen: int
    user_id: bytes


async def page_after(commands: Commands, keys: Keys, after: Place | None, limit: int) -> tuple[list[Place], bool]:
    """The next users, at most `limit`, and whether they are the last.

    Whoever is active meanwhile moves towards the end and may come twice; nobody is left out. Raises: StoreNotReady.
    """
    for _ in range(_TRIES):
        start = 0 if after is None else await _rank_after(commands, keys, after)
        # With the one before, since ranks shift while others write: it shows whether the page still joins.
        found = await _ranks(commands, keys, max(0, start - 1), start + limit)
        if after is None or start == 0 or (found and found[0] <= after):
            rest = [place for place in found if after is None or place > after]
            return rest[:limit], len(rest) <= limit
    raise StoreNotReady("Too much is written to Redis for a page to be read: call again")


async def _rank_after(commands: Commands, keys: Keys, after: Place) -> int:
    """How many stand at or before that place."""
    seen = keys.shared[SEEN - 1]
    counts: list[Command] = [("ZCOUNT", seen, "-inf", f"({after.seen}"), ("ZCOUNT", seen, "-inf", after.seen)]
    low, high = map(int, await commands.read(keys.meta, counts))
    while low < high:
        middle = (low + high) // 2
        there = await _ranks(commands, keys, middle, middle)
        if there and there[0] <= after:
            low = middle + 1
        else:
            high = middle
    return low


async def _ranks(commands: Commands, keys: Keys, first: int, last: int) -> list[Place]:
    command = ("ZRANGE", keys.shared[SEEN - 1], first, last, "WITHSCORES")
    (answer,) = await commands.read(keys.meta, [command])
    return [Place(int(float(score)), each) for each, score in zip(answer[::2], answer[1::2], strict=True)]
