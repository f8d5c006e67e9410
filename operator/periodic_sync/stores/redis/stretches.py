"""All users by their last activity, a stretch at a time; of one instant all or none, as they have no other order."""

from periodic_sync.stores.redis.commands import Commands
from periodic_sync.stores.redis.keys import SEEN, Keys
from periodic_sync.stores.redis.questions import ALL, Found, first

STRETCH = 5_000
"""Users of one stretch, at least, unless it is the last."""
INFINITE = float("inf")


async def stretch_up(commands: Commands, keys: Keys, low: float) -> Found:
    """The earliest of those last active from `low` (ms) on. Raises: StoreNotReady."""
    return await _whole(commands, keys, await first(commands, keys, SEEN, low, INFINITE, STRETCH))


async def stretch_down(commands: Commands, keys: Keys, low: float, high: float) -> Found:
    """The latest of those last active from `low` to before `high`, latest first. Raises: StoreNotReady."""
    top = "+inf" if high == INFINITE else f"({high:.0f}"
    seen = keys.shared[SEEN - 1]
    command = ("ZREVRANGEBYSCORE", seen, top, f"{low:.0f}", "WITHSCORES", "LIMIT", 0, STRETCH)
    (answer,) = await commands.read(keys.meta, [command])
    found = [
        (float(score), each.decode(errors="replace")) for each, score in zip(answer[::2], answer[1::2], strict=True)
    ]
    return await _whole(commands, keys, found)


async def _whole(commands: Commands, keys: Keys, found: Found) -> Found:
    """With all of the last instant, of which some may have been cut off."""
    if len(found) < STRETCH:
        return found
    last = found[-1][0]
    return [each for each in found if each[0] != last] + await first(commands, keys, SEEN, last, last, ALL)
