"""Who leads, of several electors in virtual time, whatever becomes of their requests."""

import asyncio
import random

import pytest

from election_support import LEASE, PROMISE, RENEW_DEADLINE, TURNS_END, Operator, Server, simulated, until
from periodic_sync.core.election import LeaseRecord
from virtual_time import VirtualLoop


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
        await until(lambda: len(only.way.sent) == 5, within=10)
        await asyncio.sleep(0.1)
        server.write(LeaseRecord("pod-b_2", "t", "t", 1))
        loop._seconds += 60
        await until(lambda: not only.works, within=TURNS_END + 0.1)
        assert only.sent_before_rest == 5
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


@pytest.mark.parametrize(("seconds", "times"), [(20, 1), (50, 2)])
def test_trouble_is_told_once_and_again_after_a_while(
    caplog: pytest.LogCaptureFixture, seconds: float, times: int
) -> None:
    async def test(server: Server) -> None:
        only = Operator(server, "a")
        only.way.fault = lambda: "refused"
        await asyncio.sleep(seconds)
        only.kill()

    simulated(test)
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert told == ["the Lease is out of reach, trying again"] * times


def test_trouble_of_one_that_stood_by_is_none_when_it_leads_later() -> None:
    async def test(server: Server) -> None:
        first = Operator(server, "a")
        await until(lambda: first.works, within=1)
        second = Operator(server, "b")
        second.way.fault = lambda: "lost"
        await asyncio.sleep(30)
        second.way.fault = lambda: ""
        await asyncio.sleep(5)
        await first.stop()
        await until(lambda: second.works, within=1)
        assert second.trouble is None

    simulated(test)


def test_trouble_keeps_its_first_cause_whatever_a_server_that_comes_back_says_at_first() -> None:
    async def test(server: Server) -> None:
        only = Operator(server, "a")
        await until(lambda: only.works, within=1)
        only.way.fault = lambda: "lost"
        await asyncio.sleep(30)
        only.way.fault = lambda: "refused"  # as an API server does while it still reads its roles
        await asyncio.sleep(5)
        only.way.fault = lambda: ""
        await until(lambda: only.works, within=5)
        assert only.trouble is not None
        assert only.trouble.error == "lost"

    simulated(test)


def test_trouble_that_a_leader_got_over_is_not_told_after_the_next_one() -> None:
    async def test(server: Server) -> None:
        only = Operator(server, "a")
        await until(lambda: only.works, within=1)
        for begins, lasts in ((0, 3), (50, 30)):
            await asyncio.sleep(begins)
            only.way.fault = lambda: "lost"
            await asyncio.sleep(lasts)
            only.way.fault = lambda: ""
        await until(lambda: only.works, within=5)
        assert only.trouble is not None
        assert 53 < only.trouble.since < 57

    simulated(test)


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
