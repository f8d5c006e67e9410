"""Loops for policies: which begin, which are woken, and how they end."""

import asyncio
import time
from collections.abc import Callable

import pytest

from periodic_sync.api.errors import UnavailableError
from periodic_sync.controller import policies as policies_module
from periodic_sync.controller.loop import PolicyGoneError, Schedule, Trouble
from periodic_sync.controller.policies import Policies
from periodic_sync.core.objects import PolicyRef
from virtual_time import run

FIRST, SECOND = PolicyRef("shop", "portfolios", "uid-1"), PolicyRef("shop", "portfolios", "uid-2")


class Turns:
    """One policy that counts its turns. `takes`: how long each is, in seconds."""

    def __init__(self, policy: PolicyRef, wake: Callable[[], None]) -> None:
        self.policy, self.wake = policy, wake
        self.began = self.ended = 0
        self.told: list[str] = []
        self.is_stopped = self.is_gone = False
        self.takes = self.closing_takes = 0.0

    async def turn(self) -> Schedule:
        self.began += 1
        if self.is_gone:
            raise PolicyGoneError
        await asyncio.sleep(self.takes)
        self.ended += 1
        return Schedule(0, None)

    async def recovered(self, error: str, seconds: float) -> None:
        self.told.append(error)

    async def stopped(self) -> None:
        await asyncio.sleep(self.closing_takes)
        self.is_stopped = True


class Api:
    """Lists these policies; None: it can't."""

    def __init__(self) -> None:
        self.there: list[PolicyRef] | None = []
        self.asked: list[float] = []

    async def list(self, *_: object, **__: object) -> list[dict[str, dict[str, str]]]:
        self.asked.append(asyncio.get_running_loop().time())
        if self.there is None:
            raise UnavailableError("away")
        return [{"metadata": {"namespace": p.namespace, "name": p.name, "uid": p.uid}} for p in self.there]


class Bench:
    """Policies that are led, without an API server, and all turns that were made for them."""

    def __init__(self) -> None:
        self.made: list[Turns] = []
        self.api = Api()
        self.policies = Policies(self.api, self._begin)  # type: ignore[arg-type]
        self.policies.lead()

    def _begin(self, policy: PolicyRef, wake: Callable[[], None]) -> Turns:
        self.made.append(Turns(policy, wake))
        return self.made[-1]


async def settle() -> None:
    """Let everything happen that follows within a second of an event."""
    await asyncio.sleep(1)


def test_a_policy_that_is_seen_gets_a_loop_and_is_woken_when_it_has_changed() -> None:
    async def test() -> None:
        bench = Bench()
        for turns, essence in ((1, ()), (2, (1,)), (2, (1,)), (3, (2,))):
            bench.policies.seen(FIRST, essence)
            await settle()
            assert [made.began for made in bench.made] == [turns]
        assert [loop.name for loop in bench.policies.loops] == ["shop/portfolios"]

    run(test())


def test_a_policy_with_a_name_that_is_too_long_is_left_alone() -> None:
    async def test() -> None:
        bench = Bench()
        bench.policies.seen(PolicyRef("shop", "p" * 41, "uid-3"), ())
        assert bench.policies.loops == []

    run(test())


def test_a_policy_made_again_under_its_name_is_another_one() -> None:
    async def test() -> None:
        bench = Bench()
        bench.policies.seen(FIRST, ())
        bench.policies.seen(SECOND, ())
        await settle()
        assert [made.policy for made in bench.made] == [FIRST, SECOND]
        bench.made[0].is_gone = True
        bench.policies.seen(FIRST, ("changed",))
        await settle()
        assert [made.is_stopped for made in bench.made] == [True, False]
        assert len(bench.policies.loops) == 1

    run(test())


def test_a_policy_that_is_gone_begins_anew_if_it_is_seen_after_all() -> None:
    async def test() -> None:
        bench = Bench()
        bench.policies.seen(FIRST, ())
        bench.made[0].is_gone = True
        await settle()
        assert bench.policies.loops == []
        bench.policies.seen(FIRST, ())
        await settle()
        assert [made.ended for made in bench.made] == [0, 1]

    run(test())


def test_turns_may_wake_their_own_loop_also_when_it_has_ended() -> None:
    async def test() -> None:
        bench = Bench()
        bench.policies.seen(FIRST, ())
        await settle()
        bench.made[0].wake()
        await settle()
        assert bench.made[0].began == 2
        await bench.policies.stop(within_seconds=1)
        bench.made[0].wake()

    run(test())


@pytest.mark.parametrize(
    ("changes", "turns"),
    [
        pytest.param([("uid-1", "job", (1,))], 2, id="a Job that is new"),
        pytest.param([("uid-1", "job", (1,))] * 3, 2, id="the same again"),
        pytest.param([("uid-1", "job", (1,)), ("uid-1", "job", (2,))], 3, id="a Job that changed"),
        pytest.param([("uid-1", "job", (1,)), ("uid-1", "another", (1,))], 3, id="another Job that is alike"),
        pytest.param([("uid-9", "job", (1,))], 1, id="a Job of nobody"),
        pytest.param([("", "job", (1,))], 1, id="a Job without an owner"),
    ],
)
def test_jobs_wake_their_policy_where_they_differ(
    changes: list[tuple[str, str, tuple[object, ...]]], turns: int
) -> None:
    async def test() -> int:
        bench = Bench()
        bench.policies.seen(FIRST, ())
        await settle()
        for policy_uid, job_uid, essence in changes:
            bench.policies.job_seen(policy_uid, job_uid, essence)
            await settle()
        return bench.made[0].began

    assert run(test()) == turns


def test_what_is_remembered_of_objects_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """After forgetting, the same news wakes once more, which costs a turn and nothing else."""
    monkeypatch.setattr(policies_module, "MOST_REMEMBERED", 3)

    async def test() -> int:
        bench = Bench()
        bench.policies.seen(FIRST, ())
        await settle()
        for number in (1, 2, 3, 4, 1):
            bench.policies.job_seen("uid-1", f"job-{number}", ())
            await settle()
        return bench.made[0].began

    assert run(test()) == 1 + 5


class TestStopping:
    def test_turns_that_run_are_let_end_and_none_begins(self) -> None:
        async def test() -> Bench:
            bench = Bench()
            bench.policies.seen(FIRST, ())
            bench.made[0].takes = 20
            await settle()
            bench.policies.seen(FIRST, ())
            await bench.policies.stop(within_seconds=30)
            bench.policies.seen(SECOND, ())
            await settle()
            return bench

        bench = run(test())
        assert [(made.began, made.ended, made.is_stopped) for made in bench.made] == [(1, 1, True)]
        assert bench.policies.loops == []

    def test_turns_that_take_too_long_are_cut_off(self) -> None:
        async def test() -> Bench:
            bench = Bench()
            bench.policies.seen(FIRST, ())
            bench.made[0].takes = 10_000
            await settle()
            await bench.policies.stop(within_seconds=30)
            assert asyncio.get_running_loop().time() < 40
            return bench

        bench = run(test())
        assert [(made.ended, made.is_stopped) for made in bench.made] == [(0, True)]

    def test_without_policies_there_is_nothing_to_wait_for(self) -> None:
        run(Bench().policies.stop(within_seconds=30))


class TestStandingBy:
    def test_nothing_that_is_seen_gets_a_loop_and_nothing_is_listed(self) -> None:
        async def test() -> Bench:
            bench = Bench()
            await bench.policies.rest()
            listing = asyncio.create_task(bench.policies.keep_listing())
            bench.policies.seen(FIRST, ())
            bench.policies.job_seen("uid-1", "job", ())
            await asyncio.sleep(100)
            listing.cancel()
            return bench

        bench = run(test())
        assert (bench.made, bench.api.asked) == ([], [])

    def test_whoever_begins_to_lead_finds_by_a_list_what_there_is(self) -> None:
        async def test() -> None:
            bench = Bench()
            await bench.policies.rest()
            listing = asyncio.create_task(bench.policies.keep_listing())
            bench.api.there = [FIRST, SECOND]
            await asyncio.sleep(100)
            bench.policies.lead()
            await settle()
            assert [made.policy for made in bench.made] == [FIRST, SECOND]
            listing.cancel()

        run(test())

    def test_what_kept_everybody_from_leading_is_told_by_the_policies_that_were_there(self) -> None:
        async def test() -> Bench:
            bench = Bench()
            await bench.policies.rest()
            listing = asyncio.create_task(bench.policies.keep_listing())
            bench.api.there = [FIRST]
            bench.policies.lead(Trouble("the API server is away", time.monotonic() - 30))
            await settle()
            bench.policies.seen(SECOND, ())
            await settle()
            listing.cancel()
            return bench

        assert [made.told for made in run(test()).made] == [["the API server is away"], []]

    def test_a_list_that_fails_is_asked_for_again_soon(self) -> None:
        async def test() -> None:
            bench = Bench()
            listing = asyncio.create_task(bench.policies.keep_listing())
            bench.api.there = None
            await asyncio.sleep(5)
            bench.api.there = [FIRST]
            await asyncio.sleep(2)
            assert len(bench.made) == 1
            await asyncio.sleep(100)
            assert len(bench.api.asked) == 4 + 3
            listing.cancel()

        run(test())

    def test_whoever_stops_leading_ends_its_turns_and_cuts_off_those_that_take_too_long(self) -> None:
        async def test() -> None:
            bench = Bench()
            bench.policies.seen(FIRST, ())
            bench.policies.seen(SECOND, ())
            bench.made[0].takes, bench.made[1].takes = 1.5, 10_000
            await settle()
            await bench.policies.rest()
            assert asyncio.get_running_loop().time() < 4
            bench.policies.seen(FIRST, ("changed",))
            await settle()
            assert [(made.began, made.ended, made.is_stopped) for made in bench.made] == [(1, 1, True), (1, 0, True)]
            assert bench.policies.loops == []

        run(test())

    def test_what_can_t_be_closed_holds_up_nobody(self) -> None:
        async def test() -> None:
            bench = Bench()
            bench.policies.seen(FIRST, ())
            bench.made[0].takes = bench.made[0].closing_takes = 10_000
            await settle()
            await bench.policies.rest()
            assert asyncio.get_running_loop().time() < 1 + 2 + 1 + 0.1

        run(test())

    def test_leading_again_within_the_pause_between_two_lists_it_lists_at_once(self) -> None:
        async def test() -> None:
            bench = Bench()
            bench.api.there = [FIRST]
            listing = asyncio.create_task(bench.policies.keep_listing())
            await settle()
            await bench.policies.rest()
            bench.policies.lead()
            await settle()
            assert [made.began for made in bench.made] == [1, 1]
            listing.cancel()

        run(test())
