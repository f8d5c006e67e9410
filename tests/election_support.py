"""Several electors and one Lease, in virtual time: requests that hang, are refused, get lost, or get no answer."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from periodic_sync.api.errors import AlreadyExistsError, ConflictError, ForbiddenError, UnavailableError
from periodic_sync.controller.election import Elector, new_identity
from periodic_sync.controller.loop import Trouble
from periodic_sync.core.election import LeaseRecord
from periodic_sync.kube.leases import LeaseVersion
from virtual_time import run

RENEW_DEADLINE, LEASE, PROMISE = 8.0, 12.0, 20.0
LATENCY = 0.01
TURNS_END = 2.0


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Server:
    """Holds one Lease, by compare-and-swap."""

    record: LeaseRecord | None = None
    version: int = 0
    told: list[Callable[[], None]] = field(default_factory=list)

    def write(self, record: LeaseRecord | None) -> None:
        self.record, self.version = record, self.version + 1
        for tell in self.told:
            tell()

    @property
    def holder(self) -> str:
        return self.record.holder if self.record else ""


class Way:
    """`Leases` of one elector. `fault`: "" or what happens to each request: hangs, refused, lost, unanswered, late."""

    namespace, name = "here", "periodic-sync"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.fault: Callable[[], str] = lambda: ""
        self.sent: list[str] = []

    async def read(self) -> LeaseVersion | None:
        return await self._send("read", self._found)

    async def create(self, record: LeaseRecord) -> LeaseVersion:
        def created() -> LeaseVersion:
            if self.server.record is not None:
                raise AlreadyExistsError("there")
            return self._write(record)

        return await self._send("create", created)

    async def swap(self, before: LeaseVersion, record: LeaseRecord) -> LeaseVersion:
        def swapped() -> LeaseVersion:
            if self.server.record is None or before.body["version"] != self.server.version:
                raise ConflictError("modified")
            return self._write(record)

        return await self._send("swap", swapped)

    async def follow(self, tell: Callable[[], None]) -> None:
        self.server.told.append(tell)
        await asyncio.Event().wait()

    def _found(self) -> LeaseVersion | None:
        if self.server.record is None:
            return None
        return LeaseVersion(self.server.record, {"version": self.server.version})

    def _write(self, record: LeaseRecord) -> LeaseVersion:
        self.server.write(record)
        return LeaseVersion(record, {"version": self.server.version})

    async def _send(self, kind: str, effect: Callable[[], Any]) -> Any:
        self.sent.append(kind)
        fault = self.fault()
        await asyncio.sleep(LATENCY)
        if fault == "refused":
            raise ForbiddenError("no")
        if fault == "lost":
            raise UnavailableError("lost")
        if fault == "hangs":
            await asyncio.sleep(1_000)
        answer = effect()
        if fault == "unanswered":
            await asyncio.sleep(1_000)
        if fault == "late":
            await asyncio.sleep(2.9)
        await asyncio.sleep(LATENCY)
        return answer


class Operator:
    """An elector and what it leads. `times`: when leading began and when the last turn had ended."""

    def __init__(self, server: Server, name: str) -> None:
        self.way = Way(server)
        self.identity = new_identity(name)
        self.elector = Elector(self.way, self.identity, self, lambda: int(now() * 1000))  # type: ignore[arg-type]
        self.works = False
        self.trouble: Trouble | None = None
        self.sent_before_rest = 0
        self.times: list[tuple[str, float]] = []
        self.task = asyncio.create_task(self.elector.run())

    def lead(self, trouble: Trouble | None) -> None:
        self.works, self.trouble = True, trouble
        self.times.append(("leads", now()))

    async def rest(self) -> None:
        self.sent_before_rest = len(self.way.sent)
        await asyncio.sleep(TURNS_END)
        self.works = False
        self.times.append(("rests", now()))

    def kill(self) -> None:
        """As SIGKILL: nothing of it is sent any more."""
        self.task.cancel()
        self.works = False

    async def stop(self) -> None:
        """As the operator does it: the loops end first."""
        self.works = False
        self.elector.stop()
        await self.task


async def until(condition: Callable[[], bool], *, within: float) -> float:
    """Returns: after how many seconds it was met."""
    began = now()
    while not condition():
        assert now() - began < within, f"not within {within} s"
        await asyncio.sleep(0.01)
    return now() - began


def simulated(test: Callable[[Server], Coroutine[Any, Any, None]]) -> None:
    run(test(Server()))
