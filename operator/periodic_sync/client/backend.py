"""What the client asks of a store, whichever it is."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from periodic_sync.client.users import Removal
from periodic_sync.core.users import UserRecord, UserState


class Known(NamedTuple):
    """One user as a store has it. state: None where it can't be read."""

    record: UserRecord
    state: UserState | None


class Page(NamedTuple):
    """Some users in the store's own order. rest: whom to go on after; None: that was all."""

    users: list[Known]
    rest: str | None


Written = Callable[[int], None]
"""Told after a write that changes were gathered for: how many."""


def untold(changes: int) -> None:
    """Where nobody counts them."""


class Clock(Protocol):
    """The time, and waiting."""

    def now(self) -> int:
        """Milliseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds, only forward."""
        ...

    async def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """This machine's."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Backend(Protocol):
    """Users of one store. Valid values only: `Client` has checked them. Every method raises StoreNotReady, ApiError.

    What a call writes is stored when it returns. Instants are milliseconds.
    """

    import_size: int
    """How many users of an import are best written at once."""

    async def register(self, records: Sequence[UserRecord]) -> None:
        """Add users, each once among these, or update them; the last activity only grows."""
        ...

    async def record_activity(self, times: Mapping[str, int]) -> set[str]:
        """Returns: who is not registered."""
        ...

    async def request_sync(self, times: Mapping[str, int]) -> set[str]:
        """Returns: who is not registered."""
        ...

    async def mark_tokens_changed(self, user_id: str, tokens: Mapping[str, int]) -> bool:
        """Returns: whether the user is registered."""
        ...

    async def remove(self, user_ids: Collection[str]) -> Removal: ...

    async def get(self, user_id: str) -> Known | None: ...

    def users(self) -> AsyncIterator[Known]:
        """All of them; one that changes meanwhile may come twice, and none is left out."""
        ...

    async def page(self, after: str | None, limit: int) -> Page:
        """The next users, at most `limit`, after the `rest` of another page; nobody who stays is left out.

        Raises: ValueError where `after` is none of those.
        """
        ...

    async def close(self) -> None: ...
