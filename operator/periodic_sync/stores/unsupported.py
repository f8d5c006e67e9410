"""In place of a store that can't be used: it only says why."""

from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

from periodic_sync.core.outcomes import Outcome
from periodic_sync.core.tick import Tick
from periodic_sync.stores.base import StoreNotReady


class UnsupportedStore:
    """A `Store` that is never ready."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def read(self, now: int) -> NoReturn:
        raise StoreNotReady(self._why)

    async def states(self, user_ids: Collection[str]) -> NoReturn:
        raise StoreNotReady(self._why)

    async def active(self, since: int) -> NoReturn:
        raise StoreNotReady(self._why)

    async def population(self, tick: Tick) -> NoReturn:
        raise StoreNotReady(self._why)

    async def apply(self, outcomes: Sequence[Outcome]) -> None:
        if outcomes:
            raise StoreNotReady(self._why)

    async def tidy(self, now: int) -> None:
        """There is nothing to tidy."""

    def follow(self, wake: Callable[[], None]) -> None:
        """Nothing happens here."""

    async def close(self) -> None:
        """There is nothing to close."""
