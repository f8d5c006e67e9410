"""What tests of Redis connections share: a script that counts, and calls that are told, or healed after a while."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from periodic_sync.stores.redis.commands import Script
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.troubles import RedisNotReady
from periodic_sync.stores.redis.urls import parse_url
from redis_support import until

COUNT = Script("count", "return redis.call('INCR', KEYS[1])")
KEY = "{portfolios:}count"
SECONDS = 10.0
"""For a call, so that a machine that is busy fails no test; where a test waits for it to be over, it is SHORT."""
SHORT = 1.0
SECRET = "s3cr3t"


@dataclass
class Clock:
    now: float = 0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def connected(
    url: str, *, ca: str = "", seconds: float = SECONDS, clock: Callable[[], float] | None = None
) -> AsyncIterator[Connection]:
    connection = Connection(parse_url(url), ca=ca, seconds=seconds, clock=clock or Clock())
    try:
        yield connection
    finally:
        await connection.close()


async def trouble(connection: Connection) -> RedisNotReady:
    """What a call says."""
    with pytest.raises(RedisNotReady) as caught:
        await connection.run(COUNT, [KEY])
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"
    return caught.value


async def told(url: str, seconds: float = SECONDS) -> RedisNotReady:
    async with connected(url, seconds=seconds) as connection:
        return await trouble(connection)


async def healed(connection: Connection) -> int:
    """What a script answers as soon as it does; until then it may be refused, for reasons that pass."""

    async def attempt() -> int:
        try:
            answer: int = await connection.run(COUNT, [KEY])
        except RedisNotReady as error:
            if error.passes:
                return 0
            raise
        return answer

    found: int = await until(attempt, "the connection is healed")
    return found
