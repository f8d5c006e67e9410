"""Noticing what applications write, so that a user who is due by it need not wait for the next tick.

Asked for twice a second in place of being told by PUBLISH: a subscription takes a connection of its own, gets lost in
failovers, and not every managed server has it.
"""

import asyncio
from collections.abc import Callable

from periodic_sync.api.errors import ApiError
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.commands import Commands
from periodic_sync.stores.redis.keys import Keys

ASK_EVERY_SECONDS = 0.5
TROUBLE = b"trouble"


class Follower:
    """Calls `wake` when somebody became due by a write, or when the server answers again."""

    def __init__(
        self, commands: Commands, keys: Keys, wake: Callable[[], None], *, seconds: float = ASK_EVERY_SECONDS
    ) -> None:
        self._commands, self._keys, self.wake, self._seconds = commands, keys, wake, seconds
        self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        known: object = TROUBLE  # so that nothing written before the first look is missed
        while True:
            changes = await self._changes()
            if changes != known and changes != TROUBLE:
                self.wake()
            known = changes
            await asyncio.sleep(self._seconds)

    async def _changes(self) -> object:
        """How many such writes there were."""
        try:
            (changes,) = await self._commands.read(self._keys.meta, [("HGET", self._keys.meta, "changes")])
        except (StoreNotReady, ApiError):
            return TROUBLE  # which the turns tell of
        return changes
