"""The pace of calls, on a clock that moves only when somebody sleeps."""

import asyncio

import pytest

from periodic_sync.worker.backoff import TimeLimit
from periodic_sync.worker.pace import Clock, NotCalledError, Pacer, Stop
from worker_support import Time


def pacer_of(time: Time, rate: float | None, cutoff: float = float("inf")) -> Pacer:
    return Pacer(rate, TimeLimit(cutoff, cutoff), time.clock, Stop(time.clock))


async def moments(time: Time, pacer: Pacer, count: int) -> list[float]:
    found = []
    for _ in range(count):
        await pacer.turn()
        found.append(round(time.now - 100, 6))
    return found


async def test_calls_are_evenly_spaced_from_the_first_on() -> None:
    time = Time()
    pacer = pacer_of(time, 4)
    assert await moments(time, pacer, 4) == [0.0, 0.25, 0.5, 0.75]


async def test_without_a_rate_nothing_waits() -> None:
    time = Time()
    pacer = pacer_of(time, None)
    assert await moments(time, pacer, 3) == [0.0, 0.0, 0.0]


async def test_waking_up_late_does_not_lower_the_rate() -> None:
    time = Time(late=0.01)
    pacer = pacer_of(time, 4)
    assert await moments(time, pacer, 5) == [0.0, 0.26, 0.51, 0.76, 1.01]


async def test_a_rate_above_the_precision_of_sleeps_is_kept_on_average() -> None:
    time = Time(late=0.004)
    pacer = pacer_of(time, 1000)
    assert (await moments(time, pacer, 101))[-1] == pytest.approx(0.1, abs=0.005)


async def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    time = Time()
    pacer = pacer_of(time, 4)
    await pacer.turn()
    time.now += 60
    assert await moments(time, pacer, 3) == [60.0, 60.25, 60.5]


async def test_a_pause_holds_everyone_back_and_the_pace_goes_on_after_it() -> None:
    time = Time()
    pacer = pacer_of(time, 4)
    await pacer.turn()
    pacer.hold(10)
    pacer.hold(2)  # a shorter one doesn't end it
    assert await moments(time, pacer, 2) == [10.0, 10.25]


async def test_those_who_wait_together_are_let_go_one_by_one_in_the_order_of_asking() -> None:
    now = 100.0
    asleep: list[tuple[float, asyncio.Event]] = []

    async def sleep(seconds: float) -> None:
        asleep.append((now + seconds, woken := asyncio.Event()))
        await woken.wait()

    clock = Clock(lambda: now, lambda: now, sleep)
    pacer = Pacer(4, TimeLimit(), clock, Stop(clock))
    let_go: list[tuple[int, float]] = []

    async def ask(number: int) -> None:
        await pacer.turn()
        let_go.append((number, now - 100))

    asking = [asyncio.create_task(ask(number)) for number in range(5)]
    while not all(task.done() for task in asking):
        await asyncio.sleep(0)
        if asleep and len(let_go) == round((now - 100) * 4) + 1:
            now = min(moment for moment, _ in asleep)
            for _, woken in asleep:
                woken.set()
            asleep.clear()
    assert let_go == [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0)]


async def test_a_turn_past_the_cutoff_is_refused_without_waiting_for_it() -> None:
    time = Time()
    pacer = pacer_of(time, 0.1, cutoff=109.0)
    await pacer.turn()
    with pytest.raises(NotCalledError, match="deadline"):
        await pacer.turn()
    assert time.now == 100.0


@pytest.mark.parametrize(("seconds", "cutoff"), [(60, 150.0), (601, float("inf"))])
async def test_a_pause_that_cannot_be_outwaited_ends_the_calls_at_once(seconds: float, cutoff: float) -> None:
    time = Time()
    pacer = pacer_of(time, None, cutoff)
    pacer.hold(seconds)
    with pytest.raises(NotCalledError, match=f"asked for a pause of {seconds}s"):
        await pacer.turn()
    assert time.now == 100.0


async def test_a_stop_ends_the_wait_for_a_turn() -> None:
    never = asyncio.Event()

    async def sleep(_: float) -> None:
        asleep.set()
        await never.wait()

    asleep = asyncio.Event()
    clock = Clock(lambda: 100.0, lambda: 100.0, sleep)
    stop = Stop(clock)
    pacer = Pacer(1, TimeLimit(), clock, stop)
    await pacer.turn()
    second = asyncio.create_task(pacer.turn())
    third = asyncio.create_task(pacer.turn())
    await asleep.wait()
    stop.request()
    for waiting in (second, third):
        with pytest.raises(NotCalledError, match="interrupted"):
            await waiting
