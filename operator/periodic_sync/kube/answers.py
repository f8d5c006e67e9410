"""Answers of others, kept for a while, and asked for once however many wait for them."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST = 10_000


class Answers(Generic[K, V]):
    """What was answered by key. Errors are told to all who wait, and not kept."""

    def __init__(self, *, seconds: Callable[[V], float], clock: Callable[[], float], most: int = MOST) -> None:
        """seconds: how long an answer holds, from when it was asked for. clock: seconds, only forward."""
        self._seconds, self._clock, self._most = seconds, clock, most
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asked: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """Raises: as `ask`."""
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept[0]:
            self._kept.move_to_end(key)
            return kept[1]
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(self._ask(key, ask))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)  # whoever gives up must not take it from the others

    async def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        began = self._clock()
        try:
            found = await ask()
        finally:
            del self._asked[key]
        self._kept[key] = (began + self._seconds(found), found)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return found
