"""uvicorn's HTTP on httptools, with what it lacks: who says nothing, speaks too slowly, or too much, is hung up on."""

import asyncio
from enum import Enum, auto
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
"""For a connection's first request, for the headers of each once they have begun, and for what is left of a request
after its answer."""
HEADER_BYTES = 64 * 1024
"""Of a request, its body left out. The parser itself keeps whatever comes."""
PIPELINED = 16
"""Requests of one connection that may wait for the answer to the one before."""
SPARE = 64
"""Connections beyond the limit that are still told so; further ones are closed without a word."""


class _Part(Enum):
    """Where in a request the connection is."""

    NONE = auto()
    HEADERS = auto()
    BODY = auto()


class LimitedProtocol(HttpToolsProtocol):
    _timer: asyncio.TimerHandle | None = None
    _part = _Part.NONE
    _has_completed = False
    _bytes = 0
    """Of the request that is coming in, its body left out."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency + SPARE:
            self.connections.discard(self)
            transport.abort()
            return
        self._start()

    def data_received(self, data: bytes) -> None:
        self._has_completed = False
        self._bytes += len(data)
        super().data_received(data)
        if self._part is _Part.NONE and self._has_completed:
            self._bytes = 0
        elif self._bytes > HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response(f"Headers may have {HEADER_BYTES} bytes at most.")
        elif self._part is not _Part.BODY:
            self._start()

    def on_message_begin(self) -> None:
        self._part = _Part.HEADERS
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._part = _Part.BODY
        self._stop()
        if self._bytes > HEADER_BYTES and self._header_bytes() > HEADER_BYTES:
            raise ValueError("too long")  # the parser stops, and the answer is 400, as to all it can't read
        if len(self.pipeline) >= PIPELINED:
            raise ValueError("too many requests at once")
        if not self._is_clear():
            raise ValueError("others on the way may read it otherwise")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # Twice, so that a body may come in small chunks, each of which has its length before it.
        self._bytes = max(0, self._bytes - 2 * len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._part = _Part.NONE
        self._has_completed = True
        self._stop()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._part is _Part.BODY and not self.pipeline:
            self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _is_clear(self) -> bool:
        """What RFC 9112 has a server refuse, and the parser doesn't: one Host, and no chunks before HTTP 1.1."""
        names = [name for name, _ in self.headers]
        if self.parser.get_http_version() == "1.0":
            return names.count(b"host") <= 1 and b"transfer-encoding" not in names
        return names.count(b"host") == 1

    def _header_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _start(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
