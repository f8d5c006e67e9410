"""Around every request: a line in the log, and a time by which it is answered."""

import asyncio
import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from periodic_sync.server.access import Caller
from periodic_sync.server.problems import answer, unavailable

log = logging.getLogger("periodic_sync.server.access_log")


class AccessLog:
    """The route and not the address, which names a user: that is told at debug only. Bodies and queries never."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.monotonic(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._tell(scope, status, time.monotonic() - began)

    @staticmethod
    def _tell(scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        quiet = route in ("/livez", "/readyz") and status < 400
        caller = scope.get("state", {}).get("caller")
        about: dict[str, object] = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
            "caller": caller.name if isinstance(caller, Caller) else "",
        }
        if log.isEnabledFor(logging.DEBUG):
            about["path"] = scope["path"]
        log.log(logging.DEBUG if quiet else logging.INFO, "request", extra=about)


class Deadline:
    """So many seconds for a request as a whole."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                await self._app(scope, receive, noting)
        except TimeoutError:
            if has_begun or not limit.expired():
                raise
            text = f"No answer within {self._seconds:g} s; it may have been carried out, and again does no harm"
            await answer(unavailable("TimedOut", text))(scope, receive, send)
