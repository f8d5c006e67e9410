"""`GET /v1/namespaces/{namespace}/policies/{policy}/events`, as WebSocket."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response, WebSocket
from starlette.websockets import WebSocketDisconnect

from periodic_sync.api.errors import ApiError
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client.backend import Clock
from periodic_sync.client.errors import store_errors
from periodic_sync.core.event_marks import Cursor
from periodic_sync.server.access import Caller
from periodic_sync.server.events.catching_up import CatchingUp
from periodic_sync.server.events.entering import SUBPROTOCOL, Readers, authorization_of, cursor_of
from periodic_sync.server.events.hub import Hub, Place, TooSlowError, greeting
from periodic_sync.server.events.hubs import Hubs, is_same
from periodic_sync.server.events.leaving import Leave
from periodic_sync.server.events.socket import DROP
from periodic_sync.server.guard import Guard, named
from periodic_sync.server.policies import Policies
from periodic_sync.server.problems import Problem, answer, problem_of, unavailable
from periodic_sync.telemetry.api import EventTelemetry
from periodic_sync.telemetry.api_definitions import GONE

PATH = "/v1/namespaces/{namespace}/policies/{policy}/events"
VERB, RESOURCE = "watch", "syncpolicies/events"
ENTERING_SECONDS = 20.0
STALL_SECONDS = 10.0
"""A reader that takes nothing for so long is ended."""
REVIEW_SECONDS = 60.0
UNREVIEWED_SECONDS = 300.0
"""Without an answer for so long it is not known any more whether somebody may read; as with any right."""
MOST_CATCHING_UP = 50
"""Each holds a watch of the API server until it has met the hub."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Somebody at the door who may come in."""

    namespace: str
    name: str
    authorization: str = field(repr=False)
    caller: Caller
    policy: SyncPolicy
    hub: Hub
    begin: Cursor
    ahead: frozenset[str]
    greeting: list[str]
    place: Place | None


class EventRoute:
    """For any number of readers."""

    def __init__(
        self,
        guard: Guard,
        policies: Policies,
        hubs: Hubs,
        readers: Readers,
        clock: Clock,
        telemetry: EventTelemetry,
    ) -> None:
        self._guard, self._policies, self._hubs, self._readers = guard, policies, hubs, readers
        self._clock, self._telemetry = clock, telemetry
        self._catching_up = asyncio.Semaphore(MOST_CATCHING_UP)

    def router(self) -> APIRouter:
        routes = APIRouter()
        routes.add_websocket_route(PATH, self.read)
        routes.add_api_route(PATH, self.refuse, methods=["GET"], include_in_schema=False)
        return routes

    async def refuse(self, request: Request) -> Response:
        """HTTP that is no WebSocket."""
        text = "Events are told over WebSocket: docs/reference/live-events.md shows how to read them"
        return answer(Problem(426, "UpgradeRequired", text, headers={"Upgrade": "websocket", "Connection": "Upgrade"}))

    async def read(self, socket: WebSocket) -> None:
        began, left, account = time.monotonic(), GONE, ""
        try:
            async with AsyncExitStack() as stack:
                try:
                    async with asyncio.timeout(ENTERING_SECONDS):
                        reader = await stack.enter_async_context(self._entered(socket))
                except Exception as error:
                    problem = _problem(error)
                    left = str(problem.status)
                    await socket.send_denial_response(answer(problem))
                    return
                account = reader.caller.name
                log.info("events", extra={"route": PATH, "status": "open", "caller": account})
                await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None)
                leave = await self._until_the_end(socket, reader)
                left = leave.shown
                if not leave.has_left:
                    socket.scope["state"][DROP](leave.code, leave.reason)
        except WebSocketDisconnect:
            left = GONE
        except Exception:
            left = "500"
            raise
        finally:
            self._telemetry.reader_ended(left)
            seconds = round(time.monotonic() - began, 1)
            log.info("events", extra={"route": PATH, "status": left, "seconds": seconds, "caller": account})

    @asynccontextmanager
    async def _entered(self, socket: WebSocket) -> AsyncIterator[_Reader]:
        """Raises: Problem, StoreUnavailableError, ApiError."""
        namespace, name = socket.path_params["namespace"], socket.path_params["policy"]
        authorization = authorization_of(socket.headers.get("authorization", ""), socket.scope["subprotocols"])
        caller = await self._guard.enter(authorization, named(VERB, RESOURCE, namespace, name))
        after = cursor_of(socket.query_params.get("after", ""))
        async with AsyncExitStack() as stack:
            stack.enter_context(self._readers.one_more(caller.name))
            policy = await self._policies.find(namespace, name)
            with store_errors():
                hub = await stack.enter_async_context(self._hubs.use(policy, after))
                begin, greeted = greeting(hub, after)
                ahead = await hub.ahead(begin)
            place = hub.enter(begin if after else None, ahead)
            if place is None and self._catching_up.locked():
                raise unavailable("TooManyReaders", "As many are catching up here as may: try again later")
            yield _Reader(namespace, name, authorization, caller, policy, hub, begin, ahead, greeted, place)

    async def _until_the_end(self, socket: WebSocket, reader: _Reader) -> Leave:
        works = (self._send(socket, reader), _listen(socket), self._review(reader))
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task for task in tasks if task in done).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, socket: WebSocket, reader: _Reader) -> Leave:
        try:
            for text in reader.greeting:
                await self._give(socket, text)
            place = reader.place or await self._catch_up(socket, reader)
            while True:
                await self._give(socket, await reader.hub.next(place))
        except (TooSlowError, TimeoutError):
            return Leave.TOO_SLOW

    async def _catch_up(self, socket: WebSocket, reader: _Reader) -> Place:
        self._telemetry.catch_up_began()
        catching_up = CatchingUp(reader.hub, reader.begin, self._clock, reader.ahead)
        async with self._catching_up, aclosing(catching_up.messages()) as messages:
            async for message in messages:
                if isinstance(message, Place):
                    return message
                await self._give(socket, message)
        raise AssertionError("it ends with a place")

    async def _give(self, socket: WebSocket, text: str) -> None:
        """Raises: TimeoutError where it can't be sent on, since the reader has not taken what came before."""
        async with asyncio.timeout(STALL_SECONDS):
            await socket.send_text(text)
        self._telemetry.message_sent()

    async def _review(self, reader: _Reader) -> Leave:
        """May it still read, and are these still the policy's events?"""
        reviewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(REVIEW_SECONDS * random.uniform(0.8, 1.0))
            try:
                await self._guard.enter(reader.authorization, named(VERB, RESOURCE, reader.namespace, reader.name))
                if not is_same(await self._policies.find(reader.namespace, reader.name), reader.policy):
                    return Leave.POLICY_REPLACED
                reviewed = self._clock.monotonic()
            except (Problem, ApiError) as error:
                leave = _REFUSALS.get(problem_of(error).status)
                if leave is not None:
                    return leave
                if self._clock.monotonic() - reviewed > UNREVIEWED_SECONDS:
                    return Leave.NOT_KNOWN


_REFUSALS = {401: Leave.TOKEN_EXPIRED, 403: Leave.NOT_ALLOWED, 404: Leave.NO_SUCH_POLICY}


async def _listen(socket: WebSocket) -> Leave:
    message = await socket.receive()
    return Leave.GONE if message["type"] == "websocket.disconnect" else Leave.SAID_SOMETHING


def _problem(error: Exception) -> Problem:
    if isinstance(error, TimeoutError):
        return unavailable("TimedOut", f"The policy's events could not be reached within {ENTERING_SECONDS:g} s")
    problem = problem_of(error)
    if problem.status == 500:
        log.exception("reader refused", exc_info=error)
    return problem
