"""What the worker's tests share: time that only sleeping moves, and a sync service that follows a script."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from periodic_sync.worker.backoff import TimeLimit
from periodic_sync.worker.batch import Batch, User
from periodic_sync.worker.log import Log
from periodic_sync.worker.main import open_session
from periodic_sync.worker.pace import Clock, Stop
from periodic_sync.worker.run import Run
from periodic_sync.worker.settings import HttpSettings, Settings


class Time:
    """A clock whose sleeps take no time but move it; `late` is how much every sleep oversleeps, in seconds."""

    def __init__(self, late: float = 0.0) -> None:
        self.now = 100.0
        self.late = late
        self.sleeps: list[float] = []
        self.clock = Clock(lambda: self.now, lambda: self.now, self._sleep, lambda: 0.5)

    async def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds + self.late


@dataclass(frozen=True)
class Call:
    """One request that the service saw, and when by the test's own clock."""

    user: str
    path: str
    method: str
    body: object
    headers: dict[str, str]
    at: float


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Service:
    """Answers `/users/<id>/sync`: what the user's script says next, 200 once it is used up."""

    now: Callable[[], float]
    scripts: dict[str, list[Answer]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    @property
    def users(self) -> list[str]:
        return [call.user for call in self.calls]

    def script(self, user: str, *answers: Answer | int) -> None:
        self.scripts[user] = [status(each) if isinstance(each, int) else each for each in answers]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        user = request.match_info["user"]
        text = await request.text()
        headers = {name.title(): value for name, value in request.headers.items()}
        self.calls.append(
            Call(user, request.raw_path, request.method, json.loads(text) if text else None, headers, self.now())
        )
        self.arrived.set()
        script = self.scripts.get(user)
        return await (script.pop(0) if script else status(200))(request)


def status(code: int, **headers: str) -> Answer:
    """An answer of that status; header names are written with underscores."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


async def hang(_: web.Request) -> web.StreamResponse:
    """Never answers; the server ends it when it closes."""
    await asyncio.Event().wait()
    raise AssertionError


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Closes the connection without a word."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def running_service(now: Callable[[], float]) -> AsyncIterator[Service]:
    """A service on a free port of 127.0.0.1."""
    service = Service(now)
    app = web.Application()
    app.router.add_route("*", "/users/{user}/sync", service.handle)
    async with TestServer(app, host="127.0.0.1", shutdown_timeout=0) as server:
        service.url = f"http://127.0.0.1:{server.port}/users/{{userId}}/sync"
        yield service


NO_LIMIT = TimeLimit()


class Bench:
    """Everything around one run."""

    def __init__(self, service: Service, time: Time) -> None:
        self.service = service
        self.time = time
        self.clock = time.clock
        self.stop = Stop(time.clock)
        self.log = io.StringIO()

    async def sync(
        self,
        *ids: str,
        wallet: str = "0xWALLET",
        limit: TimeLimit = NO_LIMIT,
        drain_seconds: float = 20.0,
        token: str | None = None,
        **http: Any,
    ) -> dict[str, str]:
        """Returns: the reason for each user who failed."""
        users = tuple(User(id=id, wallet=wallet) for id in ids)
        batch = Batch(version=1, policy="portfolios", batch="b1", priority="high", users=users)
        settings = Settings(HttpSettings.model_validate({"url": self.service.url, **http}), token)
        async with open_session(settings) as session:
            failures = await Run(
                batch,
                settings.http,
                session,
                limit=limit,
                clock=self.clock,
                stop=self.stop,
                log=Log(self.clock.wall, self.log, batch="b1"),
                drain_seconds=drain_seconds,
            ).sync()
        return {ids[position]: failure.reason for position, failure in failures.items()}
