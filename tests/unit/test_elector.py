"""Several electors and one Lease, in virtual time: who leads when requests hang, are refused, or get no answer."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from periodic_sync.api.errors import AlreadyExistsError, ConflictError, ForbiddenError, UnavailableError
from periodic_sync.controller.election import Elector, new_identity
from periodic_sync.controller.loop import Trouble
from periodic_sync.core.election import LeaseRecord
from periodic_sync.kube.leases import LeaseVersion
from virtual_time import VirtualLoop, run

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
            if self.server.record is not None and before.body["version"] != self.server.version:
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
        self.times: list[tuple[str, float]] = []
        self.task = asyncio.create_task(self.elector.run())

    def lead(self, trouble: Trouble | None) -> None:
        self.works, self.trouble = True, trouble
        self.times.append(("leads", now()))

    async def rest(self) -> None:
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


def test_one_alone_leads_at_once_and_keeps_the_lease() -> None:
    async def test(server: Server) -> None:
        only = Operator(server, "a")
        assert await until(lambda: only.works, within=1) < 0.1
        await asyncio.sleep(100)
        assert [what for what, _ in only.times] == ["leads"]
        assert server.record is not None
        assert (server.record.holder, server.record.transitions) == (only.identity, 0)
        assert 40 <= only.way.sent.count("swap") <= 51  # a renewal every 2 s, and a little
        assert only.way.sent.count("read") == 1

    simulated(test)


def test_killed_the_leader_is_succeeded_within_the_promise() -> None:
    async def test(server: Server) -> None:
        operators = [Operator(server, name) for name in "abc"]
        await until(lambda: any(each.works for each in operators), within=1)
        for _ in range(2):
            [leader] = [each for each in operators if each.works]
            operators.remove(leader)
            leader.kill()
            took = await until(lambda: any(each.works for each in operators), within=PROMISE)
            assert [each.trouble for each in operators if each.works] == [None]
            assert LEASE - 3 < took < LEASE + 1
        assert server.record is not None
        assert server.record.transitions == 2

    simulated(test)


def test_stopped_the_leader_is_succeeded_at_once() -> None:
    async def test(server: Server) -> None:
        first = Operator(server, "a")
        await until(lambda: first.works, within=1)
        second = Operator(server, "b")
        await asyncio.sleep(5)
        await first.stop()
        assert await until(lambda: second.works, within=1) < 0.1
        assert server.holder == second.identity

    simulated(test)


def test_stopped_one_that_stands_by_leaves_the_lease_alone() -> None:
    async def test(server: Server) -> None:
        first = Operator(server, "a")
        await until(lambda: first.works, within=1)
        second = Operator(server, "b")
        await asyncio.sleep(5)
        await second.stop()
        assert server.holder == first.identity
        assert set(second.way.sent) == {"read"}

    simulated(test)


@pytest.mark.parametrize("fault", ["hangs", "refused", "lost"])
def test_a_leader_that_can_t_renew_has_stopped_before_another_leads_and_stands_by_again(fault: str) -> None:
    async def test(server: Server) -> None:
        first = Operator(server, "a")
        await until(lambda: first.works, within=1)
        second = Operator(server, "b")
        await asyncio.sleep(5)
        first.way.fault = lambda: fault
        await until(lambda: second.works, within=PROMISE)
        [(_, began), (_, rested)] = first.times
        assert RENEW_DEADLINE < rested - began < 5 + RENEW_DEADLINE + TURNS_END + 0.1
        assert second.times[0][1] > rested
        first.way.fault = lambda: ""
        await asyncio.sleep(5)
        await second.stop()
        assert await until(lambda: first.works, within=1) < 0.1

    simulated(test)


def test_answers_that_are_lost_cost_a_leader_nothing_as_long_as_one_comes_in_time() -> None:
    async def test(server: Server) -> None:
        only = Operator(server, "a")
        await until(lambda: only.works, within=1)
        faults = iter(["unanswered", "", ""] * 20)
        only.way.fault = lambda: next(faults, "")
        await asyncio.sleep(100)
        assert [what for what, _ in only.times] == ["leads"]

    simulated(test)


@pytest.mark.parametrize("fault", ["unanswered", "hangs"])
def test_without_an_api_server_nobody_leads_and_afterwards_one_does(fault: str) -> None:
    async def test(server: Server) -> None:
        operators = [Operator(server, name) for name in "ab"]
        await until(lambda: any(each.works for each in operators), within=1)
        for each in operators:
            each.way.fault = lambda: fault
        await until(lambda: not any(each.works for each in operators), within=RENEW_DEADLINE + TURNS_END + 1)
        await asyncio.sleep(60)
        assert not any(each.works for each in operators)
        for each in operators:
            each.way.fault = lambda: ""
        await until(lambda: any(each.works for each in operators), within=PROMISE)
        [leader] = [each for each in operators if each.works]
        assert leader.trouble is not None
        assert "no answer from the API server" in leader.trouble.error
        await asyncio.sleep(60)
        assert sum(each.works for each in operators) == 1

    simulated(test)


@pytest.mark.parametrize("by_hand", ["deleted", "emptied"])
def test_a_lease_that_is_taken_away_by_hand_is_held_by_one_again(by_hand: str) -> None:
    async def test(server: Server) -> None:
        operators = [Operator(server, name) for name in "ab"]
        await asyncio.sleep(5)
        server.write(None if by_hand == "deleted" else LeaseRecord("", "", "", 7))
        await asyncio.sleep(5)
        assert [each.identity for each in operators if each.works] == [server.holder]

    simulated(test)


def test_after_a_freeze_it_steps_down_before_it_asks_anything() -> None:
    async def test(server: Server) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        only = Operator(server, "a")
        await asyncio.sleep(5.05)
        server.write(LeaseRecord("pod-b_2", "t", "t", 1))
        asked = len(only.way.sent)
        loop._seconds += 60
        await until(lambda: not only.works, within=TURNS_END + 3)
        assert len(only.way.sent) <= asked + 1  # what was on its way when it froze
        await asyncio.sleep(5)
        assert (only.works, server.holder) == (False, "pod-b_2")

    simulated(test)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        pytest.param("lost", "the Lease could not be renewed for 8 s", id="the API server is away"),
        pytest.param("taken", "pod-b_2 holds the Lease", id="somebody has taken it"),
    ],
)
def test_why_it_no_longer_leads_is_told(caplog: pytest.LogCaptureFixture, what: str, why: str) -> None:
    async def test(server: Server) -> None:
        only = Operator(server, "a")
        await until(lambda: only.works, within=1)
        if what == "lost":
            only.way.fault = lambda: "lost"
        else:
            server.write(LeaseRecord("pod-b_2", "t", "t", 1))
        await until(lambda: not only.works, within=RENEW_DEADLINE + TURNS_END + 1)

    simulated(test)
    told = [vars(record)["why"] for record in caplog.records if record.message == "no longer leading"]
    assert told == [why]


def test_trouble_is_told_once_and_again_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    async def test(server: Server) -> None:
        only = Operator(server, "a")
        only.way.fault = lambda: "refused"
        await asyncio.sleep(20)
        only.kill()

    simulated(test)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "the Lease is out of reach, trying again"
    ]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_to_requests_two_never_work_at_once(seed: int) -> None:
    """While clocks run alike. Where they don't, the ledger keeps two who work apart."""

    async def test(server: Server) -> None:
        chance = random.Random(seed)
        random.seed(seed)
        operators = [Operator(server, name) for name in "abc"]
        for each in operators:
            each.way.fault = lambda: chance.choice(["", "", "", "late", "hangs", "lost", "refused", "unanswered"])
        leaders = set()
        for _ in range(6_000):
            await asyncio.sleep(0.1)
            working = [each.identity for each in operators if each.works]
            assert len(working) <= 1
            leaders.update(working)
        assert len(leaders) > 1
        for each in operators:
            each.way.fault = lambda: ""
        await until(lambda: sum(each.works for each in operators) == 1, within=PROMISE)

    simulated(test)
