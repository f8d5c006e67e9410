"""The loop of one policy, in virtual time: when turns follow each other, and what trouble does to that."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from periodic_sync.api.errors import ConflictError, ForbiddenError, NotFoundError, UnavailableError
from periodic_sync.controller import loop as loop_module
from periodic_sync.controller.loop import CONFLICTS_IN_A_ROW, TICK, PolicyGoneError, PolicyLoop, Schedule
from periodic_sync.core.transitions import SupersededError
from virtual_time import run

Act = Callable[[int], Schedule | Coroutine[Any, Any, Schedule | None] | None]
"""What the turn of that number does; None: nothing more until the tick."""

NEVER = Schedule(0, None)
AWAY = UnavailableError("the API server can't be reached: refused")


@pytest.fixture(autouse=True)
def _virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time() if _in_loop() else 0.0)
    monkeypatch.setattr(loop_module, "time", clock)


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Policy:
    """A policy whose turns do as they are told, and which notes when they began."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.began: list[float] = []
        self.recoveries: list[tuple[str, float]] = []

    async def turn(self) -> Schedule:
        self.began.append(asyncio.get_running_loop().time())
        done = self.act(len(self.began))
        result = await done if isinstance(done, Coroutine) else done
        return NEVER if result is None else result

    async def recovered(self, error: str, seconds: float) -> None:
        self.recoveries.append((error, round(seconds)))

    async def stopped(self) -> None:
        pass


def raising(*errors: Exception | None) -> Act:
    """Turns that fail one after the other; those after that are well."""

    def act(number: int) -> None:
        error = errors[number - 1] if number <= len(errors) else None
        if error is not None:
            raise error

    return act


def play(
    act: Act, *, seconds: float, during: Callable[[PolicyLoop], Coroutine[Any, Any, None]] | None = None
) -> Policy:
    """Run a loop for that long and stop it; `during` runs beside it."""
    policy = Policy(act)

    async def test() -> None:
        loop = PolicyLoop("shop/portfolios", policy)
        running = asyncio.create_task(loop.run())
        beside = asyncio.create_task(during(loop)) if during else None
        await asyncio.wait({running}, timeout=seconds)
        loop.stop()
        await running
        if beside:
            await beside

    run(test())
    return policy


def gaps(policy: Policy) -> list[float]:
    return [round(after - before, 1) for before, after in zip(policy.began, policy.began[1:], strict=False)]


class TestRests:
    def test_without_anything_to_wait_for_there_is_a_turn_each_tick(self) -> None:
        assert gaps(play(lambda _: None, seconds=35)) == [pytest.approx(TICK / 1000, abs=0.2)] * 3

    def test_the_next_moment_that_matters_comes_before_the_tick(self) -> None:
        assert gaps(play(lambda _: Schedule(now=5_000, at=7_000), seconds=7)) == [pytest.approx(2, abs=0.2)] * 3

    def test_a_moment_beyond_the_tick_waits_for_no_more_than_the_tick(self) -> None:
        assert gaps(play(lambda _: Schedule(now=0, at=3_600_000), seconds=11)) == [pytest.approx(10, abs=0.2)]

    def test_a_moment_that_has_passed_never_makes_a_hot_loop(self) -> None:
        turns = len(play(lambda _: Schedule(now=9_000, at=1_000), seconds=1).began)
        assert 15 <= turns <= 21

    def test_the_loop_rests_as_long_as_a_turn_took_up_to_a_second(self) -> None:
        async def slow(_: int) -> Schedule:
            await asyncio.sleep(0.7)
            return Schedule(now=0, at=0)

        assert set(gaps(play(slow, seconds=10))) == {1.4}


class TestWaking:
    def test_an_event_ends_the_rest(self) -> None:
        async def event(loop: PolicyLoop) -> None:
            await asyncio.sleep(3)
            loop.wake()

        policy = play(lambda _: None, seconds=5, during=event)
        assert [round(at) for at in policy.began] == [0, 3]

    def test_an_event_during_a_turn_leads_to_another_turn(self) -> None:
        async def slow(number: int) -> None:
            await asyncio.sleep(2 if number == 1 else 0)

        async def event(loop: PolicyLoop) -> None:
            await asyncio.sleep(1)
            loop.wake()

        policy = play(slow, seconds=8, during=event)  # type: ignore[arg-type]
        assert [round(at) for at in policy.began] == [0, 3]

    def test_a_crowd_of_events_is_one_turn(self) -> None:
        async def crowd(loop: PolicyLoop) -> None:
            await asyncio.sleep(3)
            for _ in range(1000):
                loop.wake()

        assert len(play(lambda _: None, seconds=5, during=crowd).began) == 2


class TestTrouble:
    @pytest.mark.parametrize("error", [ConflictError("taken"), SupersededError("generation 1")])
    def test_a_lost_race_is_retried_at_once(self, error: Exception) -> None:
        policy = play(raising(error, error, error), seconds=1)
        assert len(policy.began) == 4
        assert policy.began[3] < 0.01
        assert policy.recoveries == []

    def test_too_many_lost_races_in_a_row_are_no_race(self) -> None:
        policy = play(raising(*[ConflictError("taken")] * 100), seconds=5)
        assert gaps(policy)[CONFLICTS_IN_A_ROW - 1 :] == [pytest.approx(1, abs=0.2), pytest.approx(2, abs=0.2)]

    @pytest.mark.parametrize(
        "error", [AWAY, ForbiddenError("no"), NotFoundError("no"), RuntimeError("a bug")], ids=repr
    )
    def test_trouble_is_waited_out_longer_each_time(self, error: Exception) -> None:
        policy = play(raising(*[error] * 100), seconds=40)
        assert gaps(policy) == [pytest.approx(pause, abs=1.2) for pause in (1, 2, 4, 8, 10, 10)]

    def test_a_turn_that_succeeds_begins_anew_with_short_pauses(self) -> None:
        policy = play(raising(AWAY, AWAY, AWAY, None, AWAY), seconds=20)
        assert gaps(policy)[:5] == [pytest.approx(pause, abs=0.2) for pause in (1, 2, 4, 10, 1)]

    def test_long_trouble_is_told_once_it_is_over_with_its_first_cause(self) -> None:
        policy = play(raising(AWAY, UnavailableError("other"), UnavailableError("other")), seconds=30)
        assert policy.recoveries == [(str(AWAY), 7)]

    def test_short_trouble_is_worth_no_event(self) -> None:
        assert play(raising(AWAY), seconds=30).recoveries == []

    def test_a_recovery_that_can_t_be_told_is_more_trouble_and_ends_nothing(self) -> None:
        class Mute(Policy):
            async def recovered(self, error: str, seconds: float) -> None:
                raise AWAY

        policy = Mute(raising(AWAY, AWAY, AWAY))

        async def test() -> None:
            loop = PolicyLoop("p", policy)
            running = asyncio.create_task(loop.run())
            await asyncio.wait({running}, timeout=40)
            assert not running.done()
            loop.stop()
            await running

        run(test())
        assert len(policy.began) >= 5

    def test_an_event_during_a_pause_is_a_reason_to_try(self) -> None:
        async def event(loop: PolicyLoop) -> None:
            await asyncio.sleep(3.5)
            loop.wake()

        policy = play(raising(AWAY, AWAY, AWAY), seconds=5, during=event)
        assert [round(at, 1) for at in policy.began] == [0, pytest.approx(1, abs=0.2), pytest.approx(3, abs=0.3), 3.5]


class TestTheEnd:
    def test_a_policy_that_is_gone_ends_its_loop(self) -> None:
        assert len(play(raising(None, PolicyGoneError()), seconds=100).began) == 2

    def test_stop_ends_the_rest(self) -> None:
        async def test() -> float:
            loop = PolicyLoop("p", Policy(lambda _: None))
            running = asyncio.create_task(loop.run())
            await asyncio.sleep(2)
            loop.stop()
            await running
            return asyncio.get_running_loop().time()

        assert run(test()) == pytest.approx(2, abs=0.2)

    def test_stop_lets_the_turn_that_runs_end_and_begins_no_other(self) -> None:
        ended: list[float] = []

        async def slow(_: int) -> None:
            await asyncio.sleep(5)
            ended.append(asyncio.get_running_loop().time())

        async def test() -> int:
            policy = Policy(slow)  # type: ignore[arg-type]
            loop = PolicyLoop("p", policy)
            running = asyncio.create_task(loop.run())
            await asyncio.sleep(1)
            loop.wake()
            loop.stop()
            await running
            return len(policy.began)

        assert run(test()) == 1
        assert ended == [pytest.approx(5, abs=0.01)]


def test_the_heartbeat_tells_turns_and_rests_apart() -> None:
    async def slow(_: int) -> None:
        await asyncio.sleep(5)

    async def test() -> list[tuple[float | None, float]]:
        loop = PolicyLoop("p", Policy(slow))  # type: ignore[arg-type]
        running = asyncio.create_task(loop.run())
        seen = []
        for _ in range(2):
            await asyncio.sleep(3)
            seen.append((loop.turn_began, round(loop.last_ended)))
        loop.stop()
        await running
        return seen

    assert run(test()) == [(0.0, 0), (None, 5)]
