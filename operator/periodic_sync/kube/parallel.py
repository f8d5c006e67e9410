"""Many requests at once, bounded, where one that fails stops none of the others."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

from periodic_sync.api.errors import ApiError

IN_PARALLEL = 16
"""Requests of one kind at once: past this the API server gains nothing and other clients lose."""

T = TypeVar("T")


async def answers(requests: Iterable[Awaitable[T]]) -> list[T | ApiError]:
    """What each request answered, in order: its result or its error. Anything but an ApiError is raised at the end."""
    limit = asyncio.Semaphore(IN_PARALLEL)

    async def bounded(request: Awaitable[T]) -> T:
        async with limit:
            return await request

    results = await asyncio.gather(*(bounded(request) for request in requests), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, ApiError):
            raise result
    return results  # type: ignore[return-value]


async def results(requests: Iterable[Awaitable[T]]) -> list[T]:
    """The results of all requests. Raises: the first error among them, once all have ended."""
    answered = await answers(requests)
    for answer in answered:
        if isinstance(answer, ApiError):
            raise answer
    return answered  # type: ignore[return-value]
