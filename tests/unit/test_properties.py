"""What holds of every plan, whoever the users are and whatever the ledger says."""

import random
from itertools import pairwise
from statistics import median

from hypothesis import given, settings
from hypothesis import strategies as st

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.api.names import Priority, Reason
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.batch_files import Batch
from periodic_sync.core.batches import Candidate, urgency
from periodic_sync.core.due import examine, judge
from periodic_sync.core.ledger import (
    Breaker,
    IntervalEdit,
    Intervals,
    Ledger,
    ManualRequest,
    OpenJob,
    RecentClaim,
    Refusal,
    Scope,
)
from periodic_sync.core.limits import users_left
from periodic_sync.core.outcomes import FAILED_UNEXPLAINED, RETURNED, SUCCEEDED, Verdict, batch_limit, failed_users
from periodic_sync.core.plan import DUE, Plan, User, plan
from periodic_sync.core.spread import Drop, drop_due
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from scheduling import NOON, World, instant, ledger_of, policy, random_arrivals

HELD = {Reason.WORKER_FAILING, Reason.RATE_LIMITED, Reason.WAITING_FOR_CAPACITY}
FREE_OF_GAPS = {Reason.DUE_REQUESTED, Reason.DUE_BULK, Reason.DUE_STALE}

ago = st.integers(-10 * MINUTE, 3 * HOUR) | st.integers(4 * MINUTE, 6 * MINUTE)
records = st.builds(
    UserRecord,
    st.integers(0, 10**6).map("u{}".format),
    wallet=st.just("0x1"),
    last_active=st.sampled_from([NOON, NOON - 23 * HOUR, NOON - DAY - 1]),
    interval=st.none() | st.integers(SECOND, 4 * HOUR),
    time_zone=st.sampled_from([None, None, "Asia/Tokyo", "America/New_York", "Mars/Base"]),
    sync_requested_at=st.none() | st.none() | st.integers(1, NOON),
)
states = st.just(NEVER_SYNCED) | st.builds(
    UserState,
    last_synced=st.none() | ago.map(lambda before: NOON - before),
    last_claim=st.integers(0, 20),
    last_outcome=st.integers(0, 20),
    failures=st.sampled_from([0, 0, 0, 1, 5]),
    failed_at=st.integers(0, HOUR).map(lambda before: NOON - before),
    unexplained=st.sampled_from([0, 0, 0, 1, 2, 10]),
    request_served=st.integers(0, NOON),
)
populations = st.lists(st.tuples(records, states), max_size=60, unique_by=lambda it: it[0].user_id)


@st.composite
def ticks(draw: st.DrawFn, users: list[User]) -> Tick:
    """Any spec and ledger, with some of the users in flight and some named in a request."""
    spec = policy(
        enabled=draw(st.sampled_from([True, True, True, False])),
        batchSize=draw(st.integers(1, 12)),
        jobs={
            "maxConcurrentBatches": draw(st.integers(1, 8)),
            "batchesPerJob": draw(st.integers(1, 4)),
            "usersPerMinute": draw(st.none() | st.integers(1, 50)),
        },
    )
    jobs = st.builds(
        OpenJob,
        name=st.just("j"),
        claim=st.integers(1, 20),
        claimed_at=st.just(NOON),
        priorities=st.just((Priority.LOW,) * 3),
        sizes=st.just((1, 1, 1)),
        open=st.frozensets(st.integers(0, 2), min_size=1),
        probe=st.booleans(),
    )
    ledger = ledger_of(
        spec,
        jobs=tuple(draw(st.lists(jobs, max_size=2))),
        last_claim=20,
        recent=tuple(draw(st.lists(st.builds(RecentClaim, ago.map(lambda it: NOON - it), st.integers(1, 9))))),
        request=draw(st.none() | st.builds(ManualRequest, st.just("t"), st.sampled_from(Scope), st.integers(0, 20))),
        breaker=Breaker(draw(st.sampled_from([0, 0, 2, 3])), NOON - draw(st.integers(0, MINUTE))),
        refusal=draw(st.none() | st.none() | st.just(Refusal(1, NOON - 20 * SECOND, 1, "quota"))),
        edit=draw(st.none() | st.just(IntervalEdit(NOON - MINUTE, Intervals(10 * MINUTE, 15 * MINUTE)))),
        cohorts_at=draw(st.sampled_from([0, 10**13])),
        cohorts=draw(st.integers(1, 9)),
    )
    ids = [record.user_id for record, _ in users]
    some = st.frozensets(st.sampled_from(ids)) if ids else st.just(frozenset[str]())
    in_flight = {user_id: NOON - draw(st.integers(0, MINUTE)) for user_id in draw(some)}
    return Tick(spec, ledger, NOON, in_flight, draw(some), may_claim=draw(st.sampled_from([True, True, True, False])))


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[User], Plan]:
    users = draw(populations)
    return users, plan(users, draw(ticks(users)))


@settings(max_examples=300, deadline=None)
@given(situations())
def test_every_plan_keeps_the_rules(situation: tuple[list[User], Plan]) -> None:
    users, result = situation
    _nobody_is_claimed_twice(result)
    _everyone_has_one_reason(users, result)
    _limits_are_kept(users, result)
    _the_most_urgent_go_first(users, result)
    _suspects_stay_among_themselves(users, result)
    _nobody_is_synced_too_soon(users, result)
    if result.wake_at is not None:
        assert result.wake_at > result.tick.now


def _nobody_is_claimed_twice(result: Plan) -> None:
    ids = [it.record.user_id for job in result.jobs for batch in job.batches for it in batch.users]
    assert len(ids) == len(set(ids)) == result.counters.claimed
    assert result.claimed == set(ids)
    assert not result.claimed & set(result.tick.in_flight)


def _everyone_has_one_reason(users: list[User], result: Plan) -> None:
    answers = {record.user_id: result.explain(record, state) for record, state in users}
    counted = dict.fromkeys(Reason, 0)
    for user_id, answer in answers.items():
        counted[answer.reason] += 1
        assert (answer.held_from is not None) == (answer.reason in HELD)
        assert (answer.priority is not None) == (answer.reason in DUE | HELD)
        if answer.reason in DUE:
            assert user_id in result.claimed, "someone due is neither claimed nor held"
        elif answer.reason in HELD:
            assert user_id not in result.claimed
    assert counted == result.counters.by_reason
    assert result.counters.due == sum(counted[reason] for reason in DUE | HELD)
    assert sum(counted.values()) == result.counters.total == len(users)


def _limits_are_kept(users: list[User], result: Plan) -> None:
    tick, spec = result.tick, result.tick.spec
    batches = [batch for job in result.jobs for batch in job.batches]
    assert len(batches) <= max(0, spec.jobs.max_concurrent_batches - tick.ledger.batches_in_flight())
    assert all(1 <= len(batch.users) <= spec.batch_size for batch in batches)
    assert all(len(job.batches) <= spec.jobs.batches_per_job for job in result.jobs)
    assert len(result.claimed) <= users_left(tick)
    if tick.ledger.breaker.is_open:
        assert len(batches) <= 1
        assert all(job.probe for job in result.jobs)
        assert not batches or not any(job.probe for job in tick.ledger.jobs)
    if not spec.enabled or not tick.may_claim or tick.ledger.refusal is not None:
        assert not batches
    elif result.hold is not None and result.hold.reason is Reason.WAITING_FOR_CAPACITY:
        in_flight = tick.ledger.batches_in_flight()
        assert len(batches) + in_flight >= spec.jobs.max_concurrent_batches, "someone waits for nothing"


def _the_most_urgent_go_first(users: list[User], result: Plan) -> None:
    """Among users without unexplained failures: whoever is left is less urgent than whoever goes. Probes aside."""
    if result.tick.ledger.breaker.is_open:
        return
    go: list[tuple[int, int, int, str]] = []
    wait: list[tuple[int, int, int, str]] = []
    for record, state in users:
        case = examine(record, state, result.tick)
        decision = judge(case, result.tick)
        if decision.reason in DUE and not state.unexplained:
            key = urgency(Candidate(case, decision), result.tick)
            (go if record.user_id in result.claimed else wait).append(key)
    assert not go or not wait or max(go) < min(wait)


def _suspects_stay_among_themselves(users: list[User], result: Plan) -> None:
    by_id = {record.user_id: state for record, state in users}
    for job in result.jobs:
        for batch in job.batches:
            counts = {by_id[it.record.user_id].unexplained for it in batch.users}
            assert len(counts) == 1
            assert len(batch.users) <= batch_limit(result.tick.spec.batch_size, counts.pop())


def _nobody_is_synced_too_soon(users: list[User], result: Plan) -> None:
    if result.tick.ledger.breaker.is_open:
        return  # probes ignore back-off, and are retries all
    for record, state in users:
        if record.user_id not in result.claimed or state.last_synced is None or state.last_synced > NOON:
            continue
        case = examine(record, state, result.tick)
        is_retry = state.failures or state.unexplained
        if not is_retry and judge(case, result.tick).reason not in FREE_OF_GAPS:
            assert 10 * (NOON - state.last_synced) >= 9 * case.interval


@given(situations())
@settings(max_examples=100, deadline=None)
def test_a_plan_put_in_effect_leaves_nobody_of_it_due(situation: tuple[list[User], Plan]) -> None:
    users, result = situation
    tick = result.tick
    in_flight = {**tick.in_flight, **dict.fromkeys(result.claimed, NOON)}
    again = plan(users, Tick(tick.spec, tick.ledger, tick.now, in_flight, tick.named))
    assert not again.claimed & result.claimed


@given(st.integers(1, HOUR), st.integers(1, HOUR), st.integers(0, 2 * HOUR), st.integers(1, 50), st.text(min_size=1))
def test_a_drop_makes_nobody_later_than_before_nor_sooner_than_the_new_interval(
    new: int, more: int, before_moment: int, cohorts: int, user_id: str
) -> None:
    old, last = new + more, NOON - before_moment
    due = drop_due(Drop(NOON, old, new), last, last + old, user_id, cohorts)
    assert last + new <= due <= max(last + old, last + new)
    assert due >= min(NOON, last + old)
    assert due < max(NOON, last) + new or due == last + new


INTERVALS = {"marketHours": "1m", "offHours": "2m", "userMinimum": "10s"}


def crowded(users: int, *, batches: int, work: int) -> World:
    """More work than capacity: batches of two, each for so long."""
    spec = policy(intervals=INTERVALS, batchSize=2, jobs={"maxConcurrentBatches": batches})
    world = World(spec, NOON, work=lambda _: work)
    world.register((NOON, f"u{number}") for number in range(users))
    return world


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 30), st.integers(1, 3), st.integers(5 * SECOND, 30 * SECOND))
def test_under_any_load_everyone_takes_turns(users: int, batches: int, work: int) -> None:
    world = crowded(users, batches=batches, work=work)
    world.run(NOON + HOUR)
    rounds = -(-users // (2 * batches))
    longest_turn = max(MINUTE, rounds * work) + 2 * work
    for number in range(users):
        mine = [NOON, *(it.claimed_at for it in world.syncs if it.user_id == f"u{number}"), NOON + HOUR]
        assert max(later - sooner for sooner, later in pairwise(mine)) <= longest_turn


class Unlucky:
    """A worker for which batches with a poison user die, some fail, some are evicted, by chance; the clock is aside."""

    def __init__(self, seed: int, poison: str | None) -> None:
        self.dice = random.Random(seed)
        self.poison = poison

    def __call__(self, batch: Batch, now: int) -> Verdict:
        ids = [it.user_id for it in batch.users]
        if self.poison in ids:
            return FAILED_UNEXPLAINED
        luck = self.dice.random()
        if luck < 0.05:
            return failed_users([ids[0]])
        return RETURNED if luck < 0.1 else SUCCEEDED


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_a_day_s_ill_luck_breaks_no_gap_and_one_poison_user_stops_nobody(seed: int) -> None:
    world = World(policy(), NOON, fails=Unlucky(seed, "u3"))
    world.register(random_arrivals(40, NOON, HOUR, seed))
    world.run(NOON + 3 * HOUR)
    for sync in world.syncs:
        aside = sync.is_retry or sync.reason in FREE_OF_GAPS
        assert aside or sync.gap is None or 10 * sync.gap >= 9 * sync.interval
    others = [state for user_id, state in world.states.items() if user_id != "u3"]
    assert all(state.last_synced and state.last_synced >= NOON + 2 * HOUR for state in others)
    assert world.states["u3"].failures > 3
    together = [size for _, size, _ in world.batches[-200:] if size > 1]
    assert median(together) >= 3, "one poison user keeps the batches of the others small"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 10]), st.sampled_from([3, 12, 60]))
def test_with_the_service_down_nobody_is_blamed_much_and_all_are_synced_on_its_return(
    seed: int, concurrent: int, users: int
) -> None:
    back = NOON + 20 * MINUTE
    world = World(
        policy(jobs={"maxConcurrentBatches": concurrent}),
        NOON,
        fails=lambda _, now: SUCCEEDED if now < NOON + 8 * MINUTE or now >= back else FAILED_UNEXPLAINED,
    )
    world.register(random_arrivals(users, NOON, MINUTE, seed))
    world.run(back)
    assert world.ledger.breaker.is_open
    probes = [at for at, _, probe in world.batches if probe]
    assert all(later - sooner >= 30 * SECOND for sooner, later in pairwise(probes))
    world.run(back + 10 * MINUTE)
    assert not world.ledger.breaker.is_open
    assert all((state.last_synced or 0) >= back - MINUTE for state in world.states.values())


def test_windows_of_two_zones_keep_their_own_time_through_a_change_of_clocks() -> None:
    """New York changes its clocks three weeks before Berlin: its users' busy hours move, Berlin's do not."""
    spec: SyncPolicySpec = policy(marketHours={"timeZone": "Europe/Berlin"})
    state = UserState(last_synced=0)
    opens: dict[tuple[str, str], int] = {}
    for day in ("2026-03-07", "2026-03-08"):
        for zone in ("Europe/Berlin", "America/New_York"):
            record = UserRecord("u", "0x1", last_active=0, time_zone=zone)
            for hour in range(24):
                tick = Tick(spec, Ledger(), instant(f"{day}T{hour:02}:00+00:00"))
                if examine(record, state, tick).interval == 5 * MINUTE:
                    opens.setdefault((day, zone), hour)
    assert list(opens.values()) == [8, 14, 8, 13]
