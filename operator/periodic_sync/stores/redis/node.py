"""One server: a small pool of connections to it, and the check that it is one to rely on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection as PlainConnection
from redis.asyncio.connection import SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import DataError, RedisError

from periodic_sync.stores.redis.commands import Command
from periodic_sync.stores.redis.troubles import RedisNotReady, explain, timed_out
from periodic_sync.stores.redis.urls import Address, RedisUrl

CLIENT_NAME = "periodic-sync"
"""What `redis-cli client list` shows."""
_MOST_CONNECTIONS = 4
"""A turn asks one thing after the other; whatever comes on top waits for a connection."""


@dataclass(frozen=True, slots=True)
class Access:
    """How servers are spoken to: what of a URL is not an address.

    ca: PEM certificates of authorities to trust on top of the system's, or "". seconds: the most that connecting,
    and then each answer, may take.
    """

    url: RedisUrl
    ca: str
    seconds: float

    def pool(self, address: Address, *, authenticate: bool = True, database: int = 0) -> BlockingConnectionPool:
        settings: dict[str, Any] = {"connection_class": SSLConnection if self.url.tls else PlainConnection}
        if authenticate and self.url.password is not None:
            settings |= {"username": self.url.username, "password": self.url.password}
        if self.url.tls:
            settings |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_data": self.ca or None}
        return BlockingConnectionPool(
            max_connections=_MOST_CONNECTIONS,
            timeout=self.seconds,
            host=address.host,
            port=address.port,
            db=database,
            socket_timeout=self.seconds,
            socket_connect_timeout=self.seconds,
            # By default a script whose answer is late is sent up to ten times more, and carried out as often.
            retry=Retry(NoBackoff(), 0),
            client_name=CLIENT_NAME,
            driver_info=None,
            # RESP3 would bring maps, floats and messages that nobody asked for, and nothing that is needed here.
            protocol=2,
            **settings,
        )


class Node:
    """One server. Errors of redis-py leave here as RedisNotReady, with the original as `__cause__`."""

    def __init__(
        self, access: Access, address: Address, *, kind: str = "Redis", authenticate: bool = True, database: int = 0
    ) -> None:
        """kind: what it is, as a sentence begins."""
        self.address = address
        self.name = f"{kind} at {address}"
        self.checked_at: float | None = None
        """When it was last found fit, on the clock of whoever checks it."""
        self._url = access.url
        # Any, since much of redis-py's interface carries no types.
        self._redis: Any = Redis.from_pool(access.pool(address, authenticate=authenticate, database=database))
        # Answers as the server gives them, the same from every version of redis-py.
        self._redis.response_callbacks.clear()
        self._busy = 0
        self._reached = False
        self._retired = False

    async def execute(self, command: Command) -> Any:
        async with self._in_use():
            return await self._redis.execute_command(*command)

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Raises: the first error among the answers."""
        async with self._in_use():
            pipeline = self._redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
            return answers

    def silence(self, seconds: float) -> RedisNotReady:
        """That it has not answered for so long."""
        return timed_out(self.name, seconds, self._url, reached=self._reached)

    async def retire(self) -> None:
        """Close it once the calls that are under way have ended, at once without any."""
        self._retired = True
        if not self._busy:
            await self._close()

    async def _close(self) -> None:
        # Whoever is cancelled in here must not leave sockets behind.
        await asyncio.shield(self._redis.aclose())

    @contextlib.asynccontextmanager
    async def _in_use(self) -> AsyncIterator[None]:
        self._busy += 1
        try:
            with _heeding_cancellation(), self._explained():
                yield
            self._reached = True
        finally:
            self._busy -= 1
            if self._retired and not self._busy:
                await self._close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise  # a value that can't be sent is a mistake of this program
        except (RedisError, OSError) as error:
            raise explain(error, self.name, self._url, reached=self._reached) from error


@contextlib.contextmanager
def _heeding_cancellation() -> Iterator[None]:
    """redis-py sends within asyncio.wait_for, which before Python 3.12 passes over a cancellation that comes as sending
    ends: a task that is told to end would go on, and so would a call whose time is up."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except Exception as error:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task and task.cancelling() > before:
        raise asyncio.CancelledError


def sections(text: bytes) -> Mapping[str, str]:
    """The fields of an answer to INFO."""
    lines = text.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
