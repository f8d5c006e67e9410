"""Writing one ConfigMap of records: at most once a second, everything that came in between together.

A write is a merge patch of the keys that change, with the resource version they were worked out from: it costs some
hundred bytes where a PUT would send the whole ConfigMap, can't touch anybody else's keys, and is refused where somebody
wrote in between. A JSON patch has no better precondition, and fails on a ConfigMap that has no `data` yet.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from periodic_sync.api.errors import ApiError, ConflictError, NotFoundError
from periodic_sync.client.backend import Clock, Written, untold
from periodic_sync.client.entries import Change
from periodic_sync.client.shard_file import LAST_APPLIED, Plan, Result, ShardFile, plan, read_file
from periodic_sync.stores.base import ConfigMaps, StoreNotReady
from periodic_sync.stores.mirror import Mirror

SECONDS_BETWEEN_WRITES = 1.0
_ROUNDS = 10


class RecordMaps(ConfigMaps, Protocol):
    """ConfigMaps, as whoever writes records needs them."""

    async def merge(self, namespace: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        """A merge patch; with `metadata.resourceVersion` a compare-and-swap. Returns: metadata only.

        Raises: ConflictError, NotFoundError, ApiError.
        """
        ...


class ShardWriter:
    """One ConfigMap. `lock`: held while the mirror changes, so that nobody reads a shard older than a write."""

    def __init__(
        self,
        maps: RecordMaps,
        namespace: str,
        name: str,
        mirror: Mirror[ShardFile],
        lock: asyncio.Lock,
        clock: Clock,
        written: Written = untold,
    ) -> None:
        self._maps, self._namespace, self._name = maps, namespace, name
        self._mirror, self._lock, self._clock, self._told = mirror, lock, clock, written
        self._waiting: list[tuple[Change, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None
        self._written_at: float | None = None
        self.coming = 0
        """Bytes of new users who wait to be written."""

    def submit(self, change: Change, *, size: int = 0) -> asyncio.Future[Result]:
        """Make a change with the next write. size: of a new user. The answer raises as `ConfigMaps` does."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, answer))
        self.coming += size
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name=f"writer of {self._name}")
        return answer

    async def finish(self) -> None:
        """Return once all that was submitted is written."""
        if self._task is not None:
            await self._task

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # whoever calls at the same moment comes along
            if self._written_at is not None:
                await self._clock.sleep(max(0.0, self._written_at + SECONDS_BETWEEN_WRITES - self._clock.monotonic()))
            waiting, self._waiting = self._waiting, []
            self.coming = 0
            try:
                async with self._lock:
                    results = await self._write([change for change, _ in waiting])
            except Exception as error:
                for _, answer in waiting:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), result in zip(waiting, results, strict=True):
                if not answer.done():
                    answer.set_result(result)

    async def _write(self, changes: Sequence[Change]) -> Sequence[Result]:
        for _ in range(_ROUNDS):
            held = self._mirror.held.get(self._name)
            if held is None:
                return [Result.UNKNOWN] * len(changes)
            planned = plan(held.value, changes, self._clock.now())
            if not planned.data:
                return planned.results
            try:
                stored = await self._maps.merge(self._namespace, self._name, _patch(planned, held.version))
            except (ConflictError, NotFoundError):
                await self._read_again(held.value)
                continue
            except ApiError:
                self._mirror.drop(self._name)  # it may have been written all the same
                raise
            self._written_at = self._clock.monotonic()
            self._mirror.put(stored, planned.after)
            self._told(len(changes))
            return planned.results
        raise StoreNotReady(
            f"Others keep writing ConfigMap {self._namespace}/{self._name}: call again; fewer processes should write it"
        )

    async def _read_again(self, before: ShardFile) -> None:
        try:
            body = await self._maps.get(self._namespace, self._name)
        except NotFoundError:
            self._mirror.drop(self._name)
        else:
            self._mirror.put(body, read_file(body, before))


def _patch(planned: Plan, version: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"resourceVersion": version}
    if planned.applied is not None:
        metadata["annotations"] = {LAST_APPLIED: planned.applied}
    return {"metadata": metadata, "data": dict(planned.data)}
