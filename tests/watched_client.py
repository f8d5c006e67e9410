"""A client that counts its writes, and that fails, crashes or waits where a test tells it to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from periodic_sync.api.errors import UnavailableError
from periodic_sync.kube.client import KubeClient, Object


class Crash(Exception):  # noqa: N818
    """The operator's process is gone: nothing of it runs any more, nor is anything sent."""


@dataclass
class Gate:
    """Holds the first request of one kind until it is opened, as if the process were frozen for that long."""

    kind: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def arrive(self, kind: str) -> None:
        if kind == self.kind and not self.reached.is_set():
            self.reached.set()
            await self.opened.wait()


class WatchedClient(KubeClient):
    """A client of one operator.

    `plan` says from the number of a write, and its kind, what goes wrong: "" for nothing, "lost" on the way there or
    "unanswered" on the way back, or a crash "crash-before" or "crash-after" it took effect.
    """

    def __init__(self, like: KubeClient, plan: Callable[[int, str], str] = lambda number, kind: "") -> None:
        super().__init__(like.api)
        self.writes: list[str] = []
        """Kinds such as `PUT ledger`, `POST job` and `PATCH status`."""
        self.plan = plan
        self.gate: Gate | None = None
        self.is_dead = False

    def hold(self, kind: str) -> Gate:
        self.gate = Gate(kind)
        return self.gate

    async def _send(self, method: str, path: str, **more: Any) -> Object:
        kind = f"{method} {_kind(path, more.get('body'))}"
        self._live()
        if self.gate is not None:
            await self.gate.arrive(kind)
        send = super()._send
        if method == "GET":
            return await send(method, path, **more)
        return await self._write(kind, lambda: send(method, path, **more))

    async def _write(self, kind: str, send: Callable[[], Awaitable[Object]]) -> Object:
        self._live()
        fault = self.plan(len(self.writes), kind)
        self.writes.append(kind)
        self.is_dead = fault.startswith("crash")
        if fault == "lost":
            raise UnavailableError("the connection broke on the way there")
        if fault == "crash-before":
            raise Crash
        answer = await send()
        if fault == "unanswered":
            raise UnavailableError("the connection broke on the way back")
        if fault == "crash-after":
            raise Crash
        return answer

    def _live(self) -> None:
        if self.is_dead:
            raise Crash


def _kind(path: str, body: Object | None) -> str:
    parts = path.split("/")
    if parts[-1] == "status":
        return "status"
    name = str(body["metadata"].get("name", "")) if body and "metadata" in body else parts[-1]
    if "configmaps" not in parts:
        kinds = {"jobs": "job", "pods": "pod", "events": "event", "syncpolicies": "syncpolicy"}
        return next((kind for plural, kind in kinds.items() if plural in parts), parts[-1])
    if name.endswith("-ledger"):
        return "ledger"
    return "state" if "-state-" in name else "batch file" if "-" in name and name != "user-activity" else "config map"
