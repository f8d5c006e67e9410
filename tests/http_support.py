"""A server of the test's own process with the HTTP API's protocol, and connections that send it what they like."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from periodic_sync.server.process import _Server
from periodic_sync.server.protocol import LimitedProtocol
from turns_support import until


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[int]:
    """The port of a server of this process."""
    async with serving(hello, ws="none", **options) as (port, _):
        yield port


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[tuple[int, _Server]]:
    """The port of a server of this process, and the server."""
    config = uvicorn.Config(app, port=0, http=LimitedProtocol, lifespan="off", log_config=None, **options)
    server = _Server(config)
    task = asyncio.create_task(server.serve())

    async def has_started() -> bool:
        return server.started

    await until(has_started)
    yield server.servers[0].sockets[0].getsockname()[1], server
    server.should_exit = True
    await task


async def answered(port: int, sent: bytes) -> bytes:
    """All that comes until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
