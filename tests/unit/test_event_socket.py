"""uvicorn's WebSocket under the HTTP API's protocol: who takes nothing is cut off, who is quiet stays."""

import asyncio
import base64
import socket as sockets
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from websockets.asyncio.client import connect

from http_support import serving
from periodic_sync.server import protocol
from periodic_sync.server.events import socket
from periodic_sync.server.events.socket import DROP, MOST_SAID, EventSocket
from periodic_sync.server.process import _Server
from turns_support import until

PATIENCE = 20


def served(app: Any, **options: Any) -> AbstractAsyncContextManager[tuple[int, _Server]]:
    return serving(app, ws=EventSocket, ws_max_size=MOST_SAID, **options)


async def quiet(scope: Any, receive: Any, send: Any) -> None:
    """Says nothing until the other side goes."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def dropping(scope: Any, receive: Any, send: Any) -> None:
    """Says more than a peer that does not read can take, and drops it then."""
    await receive()
    await send({"type": "websocket.accept"})
    try:
        while True:
            async with asyncio.timeout(0.3):
                await send({"type": "websocket.send", "text": "x" * 65536})
    except TimeoutError:
        scope["state"][DROP](4408, "too slow")


def raw_reader(port: int) -> sockets.socket:
    """It asks for an upgrade, and reads nothing."""
    raw = sockets.create_connection(("127.0.0.1", port))
    key = base64.b64encode(b"0123456789abcdef").decode()
    raw.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
    )
    return raw


async def test_a_connection_that_was_upgraded_may_be_quiet_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.05)
    async with served(quiet) as (port, _), connect(f"ws://127.0.0.1:{port}") as connection:
        await asyncio.sleep(0.3)  # nothing is said for longer than headers may take
        await (await connection.ping())


async def test_who_takes_nothing_is_cut_off_and_is_no_connection_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "FLUSH_SECONDS", 0.1)
    async with served(dropping) as (port, server):
        raw = raw_reader(port)

        async def is_there() -> bool:
            return bool(server.server_state.connections)

        async def is_gone() -> bool:
            return not server.server_state.connections

        await until(is_there)
        async with asyncio.timeout(PATIENCE):
            await until(is_gone)
        raw.close()


async def test_who_is_slow_is_told_why_where_it_reads_on_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "FLUSH_SECONDS", 10.0)
    async with served(dropping) as (port, server):
        raw = raw_reader(port)

        async def is_dropped() -> bool:
            return any(connection.close_sent for connection in server.server_state.connections)  # type: ignore[union-attr]

        await until(is_dropped)
        reader, writer = await asyncio.open_connection(sock=raw)
        async with asyncio.timeout(PATIENCE):
            read = await _all(reader, writer)
        assert read.endswith(b"\x88\x0a\x11\x38too slow")  # 4408


async def _all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Until the end is told, which is answered."""
    read = b""
    while not read.endswith(b"too slow"):
        read += await reader.read(2**20)
    writer.write(b"\x88\x82\0\0\0\0\x11\x38")
    return read + await reader.read()


async def test_pings_whose_answers_are_not_read_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "MOST_UNREAD_PONGS", 1000)
    async with served(quiet) as (port, server):
        raw = raw_reader(port)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        ping = b"\x89\xfd\0\0\0\0" + b"x" * 125
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(OSError):
                await loop.sock_sendall(raw, ping * 500_000)
        raw.close()

        async def is_gone() -> bool:
            return not server.server_state.connections

        await until(is_gone)


async def test_who_does_not_answer_pings_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "FLUSH_SECONDS", 0.1)
    async with served(quiet, ws_ping_interval=0.1, ws_ping_timeout=0.1) as (port, server):
        raw = raw_reader(port)

        async def is_gone() -> bool:
            return not server.server_state.connections

        await until(is_gone)
        raw.close()


async def test_the_end_of_the_server_waits_for_nobody_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "FLUSH_SECONDS", 0.1)
    async with served(quiet) as (port, _), connect(f"ws://127.0.0.1:{port}") as connection:
        raw = raw_reader(port)
        await (await connection.ping())
    raw.close()
