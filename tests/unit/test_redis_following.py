"""The task that notices writes ends when it is told to, whatever its call makes of that."""

import asyncio

from periodic_sync.stores.redis.following import Follower
from periodic_sync.stores.redis.keys import Keys


class Swallows:
    """A server whose call answers in the very moment in which it is cancelled."""

    asked = 0

    async def read(self, *_: object) -> list[bytes]:
        self.asked += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return [b"1"]
        return [b"1"]


async def test_a_cancellation_that_is_swallowed_ends_it_all_the_same() -> None:
    server = Swallows()
    follower = Follower(server, Keys("p:"), lambda: None, seconds=0)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await follower.close()
    assert server.asked == 1
