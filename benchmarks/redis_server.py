"""A redis-server for a benchmark: on loopback, without persistence, ended with it."""

import asyncio
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotConnected

from localcluster.packages import redis_server

DEADLINE_SECONDS = 20


@asynccontextmanager
async def running_redis() -> AsyncIterator[str]:
    """Yields: its URL. Raises: LocalClusterError where there is no redis-server."""
    program = redis_server()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
        process = await asyncio.create_subprocess_exec(
            "redis-server", *settings, executable=program, stdout=subprocess.DEVNULL
        )
        try:
            url = f"redis://127.0.0.1:{port}"
            await _wait_for(url)
            yield url
        finally:
            process.terminate()
            await process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def redis_pid(url: str) -> int:
    """Of the server that answers there."""
    with SyncRedis.from_url(url) as redis:
        return int(redis.info("server")["process_id"])


async def _wait_for(url: str) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS), Redis.from_url(url) as redis:
        while True:
            try:
                await redis.ping()
                return
            except NotConnected:
                await asyncio.sleep(0.05)
