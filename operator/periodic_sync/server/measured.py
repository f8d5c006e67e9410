"""A store that is timed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from periodic_sync.client.backend import Backend, Known, Page
from periodic_sync.client.users import Removal
from periodic_sync.core.users import UserRecord
from periodic_sync.telemetry.api import ApiTelemetry
from periodic_sync.telemetry.api_definitions import UserOperation

T = TypeVar("T")


class MeasuredBackend:
    """A `Backend`, as long as another one takes."""

    def __init__(self, backend: Backend, store: str, telemetry: ApiTelemetry, clock: Callable[[], float]) -> None:
        """store: its kind. clock: seconds, only forward."""
        self.import_size = backend.import_size
        self._backend, self._store, self._telemetry, self._clock = backend, store, telemetry, clock

    async def _timed(self, operation: UserOperation, call: Awaitable[T]) -> T:
        began, is_answered = self._clock(), False
        try:
            found = await call
            is_answered = True
            return found
        finally:
            self._telemetry.store_asked(self._store, operation, self._clock() - began, is_answered)

    async def register(self, records: Sequence[UserRecord]) -> None:
        await self._timed(UserOperation.REGISTER, self._backend.register(records))

    async def record_activity(self, times: Mapping[str, int]) -> set[str]:
        return await self._timed(UserOperation.ACTIVITY, self._backend.record_activity(times))

    async def request_sync(self, times: Mapping[str, int]) -> set[str]:
        return await self._timed(UserOperation.SYNC, self._backend.request_sync(times))

    async def mark_tokens_changed(self, user_id: str, tokens: Mapping[str, int]) -> bool:
        return await self._timed(UserOperation.TOKENS, self._backend.mark_tokens_changed(user_id, tokens))

    async def remove(self, user_ids: Collection[str]) -> Removal:
        return await self._timed(UserOperation.REMOVE, self._backend.remove(user_ids))

    async def get(self, user_id: str) -> Known | None:
        return await self._timed(UserOperation.GET, self._backend.get(user_id))

    def users(self) -> AsyncIterator[Known]:
        return self._backend.users()

    async def page(self, after: str | None, limit: int) -> Page:
        return await self._timed(UserOperation.PAGE, self._backend.page(after, limit))

    async def close(self) -> None:
        await self._backend.close()
