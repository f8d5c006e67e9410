"""uvicorn's WebSocket, with what it lacks: a peer that takes nothing any more is cut off, and holds up no end."""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

FLUSH_SECONDS = 2.0
"""How long a peer may take to read what it was sent before the end, and that it is the end."""
MOST_UNREAD_PONGS = 256 * 1024
"""Bytes. Pings are answered however fast they come; whoever does not read the answers is cut off."""

MOST_SAID = 1024
"""Bytes of a message from a reader, who has nothing to say."""

DROP = "drop"
"""Of a scope's state: ends the connection with a code and a reason, whatever is still waiting to be sent."""


class EventSocket(WebSocketsSansIOProtocol):
    async def run_asgi(self) -> None:
        self.scope["state"][DROP] = self.drop
        try:
            await super().run_asgi()
        finally:
            self._abort_soon()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # else uvicorn takes each refusal for a defect of the application

    def drop(self, code: int, reason: str) -> None:
        """Unlike `send`, which waits until the peer has read what it was sent before."""
        if self.close_sent or self.transport.is_closing():
            return
        self.stop_keepalive()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self._abort_soon()

    def handle_ping(self) -> None:
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MOST_UNREAD_PONGS:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._abort_soon()

    def _abort_soon(self) -> asyncio.TimerHandle:
        """Harmless where it has ended by then."""
        transport: Any = self.transport
        return self.loop.call_later(FLUSH_SECONDS, transport.abort)
