"""A day of a policy, played in simulated time: batches fill up, and the opening is no burst."""

import random
import time

import pytest

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.core.plan import plan
from periodic_sync.core.users import UserState
from scheduling import NOON, World, instant, per_minute, policy, random_arrivals, tick_of, user

MIDNIGHT = instant("2026-11-25T00:00+00:00")
OPENING = MIDNIGHT + 9 * HOUR


def average_fill(world: World, start: int, end: int) -> float:
    sizes = [users for at, users, _ in world.batches if start <= at < end]
    return sum(sizes) / len(sizes)


@pytest.fixture(scope="module")
def day() -> World:
    """A day of 120 users who register at random moments of its first two hours; batches take 2 to 20 seconds."""
    dice = random.Random(3)
    world = World(policy(), MIDNIGHT, work=lambda _: dice.randrange(2 * SECOND, 20 * SECOND))
    world.register(random_arrivals(120, MIDNIGHT, 2 * HOUR))
    world.run(MIDNIGHT + DAY)
    return world


def test_users_who_registered_at_odd_moments_drift_together_into_full_batches(day: World) -> None:
    assert average_fill(day, MIDNIGHT, MIDNIGHT + HOUR) < 4, "the day should begin with scattered users"
    assert average_fill(day, MIDNIGHT + 3 * HOUR, OPENING) > 8
    assert average_fill(day, OPENING + HOUR, MIDNIGHT + 17 * HOUR) > 8.5
    assert average_fill(day, MIDNIGHT + 18 * HOUR, MIDNIGHT + DAY) > 9


def test_everyone_is_synced_once_an_interval_all_day(day: World) -> None:
    gaps = [(it.gap / it.interval, it.claimed_at) for it in day.syncs if it.gap is not None]
    assert min(gap for gap, _ in gaps) >= 0.9
    # On the way into the short interval the gap may still be the long one; apart from that nobody is late.
    assert max(gap for gap, at in gaps if not OPENING <= at < OPENING + 5 * MINUTE) <= 1.01
    assert max(gap for gap, _ in gaps) <= 3.01


def test_the_day_takes_few_turns(day: World) -> None:
    assert day.engine.turns <= 2.5 * len(day.batches)


def peak_after_the_opening(*, spreads: bool) -> int:
    world = World(policy(jobs={"maxConcurrentBatches": 1000}), OPENING - 2 * HOUR, spreads=spreads)
    world.register(random_arrivals(400, OPENING - 2 * HOUR, 30 * MINUTE))
    world.run(OPENING + 20 * MINUTE)
    return max(per_minute(world, OPENING, OPENING + 20 * MINUTE))


def test_the_opening_is_spread_over_the_first_interval() -> None:
    spread, burst = peak_after_the_opening(spreads=True), peak_after_the_opening(spreads=False)
    # 400 users in batches of ten every five minutes are eight batches a minute, if evenly spread.
    assert spread <= 11
    assert burst >= 2 * spread


def test_after_a_night_switched_off_everyone_catches_up_once() -> None:
    world = World(policy(jobs={"maxConcurrentBatches": 1000}), OPENING + HOUR)
    world.register(random_arrivals(100, OPENING + HOUR, SECOND))
    world.run(OPENING + 90 * MINUTE)
    world.engine.now += 5 * HOUR
    count = len(world.syncs)
    world.run(world.engine.now + MINUTE)
    assert len(world.syncs) - count == 100


def test_ten_thousand_users_are_planned_in_a_blink() -> None:
    """About 30 ms of one core; the margin is for slow and busy machines."""
    dice = random.Random(1)
    users = [
        (
            user(f"u{n}", last_active=NOON - dice.randrange(HOUR)),
            UserState(last_synced=NOON - dice.randrange(6 * MINUTE)),
        )
        for n in range(10_000)
    ]
    tick = tick_of()
    seconds = []
    for _ in range(3):
        start = time.process_time()
        result = plan(users, tick)
        seconds.append(time.process_time() - start)
    assert result.counters.total == 10_000
    assert min(seconds) < 0.25
