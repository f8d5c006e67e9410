"""Around every request: a line in the log, its metrics, and a time by which it is answered."""

import asyncio
import logging
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from periodic_sync.api.wallets import shown_id
from periodic_sync.server.access import Caller
from periodic_sync.server.problems import answer, unavailable
from periodic_sync.stores.records import USER_ID
from periodic_sync.telemetry.api import ApiTelemetry

log = logging.getLogger("periodic_sync.server.access_log")


class AccessLog:
    """The route and not the address, which names a user: whom it was about is told at debug only, and never an id that
    is none, or looks like a wallet. Bodies and queries are told never."""

    def __init__(self, app: ASGIApp, telemetry: ApiTelemetry) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        self._telemetry.request_began()
        began, status = time.monotonic(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            seconds, route = time.monotonic() - began, _template(scope.get("route"))
            self._telemetry.request_ended(route, scope["method"], status, seconds)
            self._tell(scope, route, status, seconds)

    @staticmethod
    def _tell(scope: Scope, route: str, status: int, seconds: float) -> None:
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
            about |= _whose(scope.get("path_params") or {}, does_exist=status < 400)
        log.log(logging.DEBUG if quiet else logging.INFO, "request", extra=about)


def _template(route: object) -> str:
    return getattr(route, "path", "none")


def _whose(found: Mapping[str, str], *, does_exist: bool) -> dict[str, str]:
    """Anything may stand in an address; only where the policy exists is it known to be one."""
    user_id = found.get("user_id", "")
    shown = {"user": shown_id(user_id)} if USER_ID.fullmatch(user_id) else {}
    if does_exist and "policy" in found:
        shown["policy"] = f"{found['namespace']}/{found['policy']}"
    return shown


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
