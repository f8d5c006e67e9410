"""What one connection may send: headers, pipelined requests, bodies that never end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from http_support import answered, served
from periodic_sync.server import protocol

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def is_refused(port: int, sent: bytes) -> bool:
    """At once, and not by a timer. A reset may take the answer with it."""
    async with asyncio.timeout(protocol.HEADER_SECONDS / 2):
        got = await answered(port, sent)
    return not got or b"HTTP/1.1 400" in got


def bad(name: str, sent: bytes) -> Any:
    return pytest.param(sent, id=name)


HUGE = b"x" * (protocol.HEADER_BYTES + 1)


@pytest.mark.parametrize(
    "sent",
    [
        bad("a header that does not end", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + HUGE),
        bad("a header that ends", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + HUGE + b"\r\n\r\n"),
        bad("many headers", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"),
        bad("an address", b"GET /" + HUGE + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
        bad(
            "a trailer that does not end",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: " + HUGE,
        ),
        bad(
            "two lengths",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        bad("a length twice", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"),
        bad("chunks before they were known", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        bad("no host", b"GET / HTTP/1.1\r\n\r\n"),
        bad("two hosts", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        bad("no HTTP", b"hello there\r\n\r\n"),
    ],
)
async def test_what_is_too_long_or_no_http_is_refused_and_the_connection_closed(sent: bytes) -> None:
    async with served() as port:
        assert await is_refused(port, sent)


async def test_headers_within_the_limit_and_bodies_in_small_chunks_pass() -> None:
    long = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + HUGE[:-200] + b"\r\n\r\n"
    chunks = (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nabcde\r\n" * 50_000 + b"0\r\n\r\n"
    )
    async with served() as port:
        assert (await answered(port, long + chunks + LAST)).count(b"HTTP/1.1 200") == 3


async def test_some_requests_may_be_sent_before_the_first_is_answered_but_not_any_number() -> None:
    async with served() as port:
        assert (await answered(port, GET * (protocol.PIPELINED - 1) + LAST)).count(
            b"HTTP/1.1 200"
        ) == protocol.PIPELINED
        assert await is_refused(port, GET * 1_000)


async def test_requests_follow_one_another_for_longer_than_headers_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.05)
    async with served() as port, connected(port) as (reader, writer):
        for _ in range(5):
            writer.write(GET)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.03)  # all together longer than one may take


async def test_a_body_that_goes_on_after_the_answer_is_not_listened_to_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.05)
    async with served() as port, connected(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")

        async def dribble() -> None:
            while not writer.is_closing():
                writer.write(b"x")
                await asyncio.sleep(0.01)

        slow = asyncio.create_task(dribble())
        try:
            async with asyncio.timeout(5):
                assert (await reader.read()).startswith(b"HTTP/1.1 200")
        except ConnectionResetError:
            pass  # closed as well
        finally:
            slow.cancel()


async def test_empty_lines_keep_no_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.05)
    async with served() as port, connected(port) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"ok")
        writer.write(b"\r\n")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
