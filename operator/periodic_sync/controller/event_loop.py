"""How busy the process is: how late it wakes up."""

import asyncio
from collections.abc import Callable

EVERY_SECONDS = 1.0


async def watch(tell: Callable[[float], None]) -> None:
    """Tell by how many seconds each wake-up was late, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        wanted = loop.time() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        tell(max(0.0, loop.time() - wanted))
