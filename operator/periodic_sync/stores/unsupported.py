"""A store of a kind that this version does not know: it only says so."""

from collections.abc import Sequence
from typing import NoReturn

from periodic_sync.core.outcomes import Outcome
from periodic_sync.stores.base import StoreNotReady


class UnsupportedStore:
    """A `Store` that is never ready."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def read(self, now: int) -> NoReturn:
        raise StoreNotReady(self._why)

    async def apply(self, outcomes: Sequence[Outcome]) -> None:
        if outcomes:
            raise StoreNotReady(self._why)

    async def tidy(self, now: int) -> None:
        """There is nothing to tidy."""
