"""Who is due by the last sync alone: the same users as by the rules."""

from hypothesis import given, settings
from hypothesis import strategies as st

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.core.cutoffs import Cutoff, Cutoffs, UserClass, cutoffs, is_spread
from periodic_sync.core.due import Case, examine, may_go_along
from periodic_sync.core.ledger import IntervalEdit, Intervals
from periodic_sync.core.spread import PLACES, place_of
from periodic_sync.core.tick import CLOCK_SKEW, Tick
from periodic_sync.core.users import UserState
from scheduling import NOON, instant, ledger_of, policy, tick_of, user

OPENING = instant("2026-11-25T09:00+00:00")
EVERYWHERE = {"first": 0, "last": PLACES - 1}


@st.composite
def ticks(draw: st.DrawFn) -> Tick:
    """In a spread, shortly before one, and far from any."""
    intervals = draw(st.sampled_from([("5m", "15m"), ("15m", "5m"), ("30m", "30m"), ("10s", "2h"), ("20m", "20m")]))
    stale = draw(st.sampled_from(["21m", "31m", "1h", "3h"]))
    spec = policy(
        intervals={"marketHours": intervals[0], "offHours": intervals[1]}, thresholds={"stale": stale, "active": "24h"}
    )
    now = draw(st.sampled_from([OPENING, NOON, instant("2026-11-25T17:00+00:00")]))
    now += draw(st.integers(-2 * MINUTE, 20 * MINUTE))
    edit = draw(st.none() | st.just(IntervalEdit(now - 3 * MINUTE, Intervals(40 * MINUTE, 50 * MINUTE))))
    return tick_of(spec, now=now, ledger=ledger_of(spec, edit=edit), cohorts=draw(st.integers(1, 200)))


CLASSES = st.builds(UserClass, st.sampled_from([None, None, 1_000, MINUTE, 45 * MINUTE, 2 * HOUR])) | st.builds(
    UserClass, st.none(), st.sampled_from(["Asia/Tokyo", "Europe/Berlin", "No/Where"])
)


def case_of(users: UserClass, tick: Tick, user_id: str, last: int) -> Case:
    record = user(user_id, last_active=tick.now, interval=users.interval, time_zone=users.zone)
    return examine(record, UserState(last_synced=last), tick)


def holds(cutoff: Cutoff, last: int, *, is_in: bool) -> bool:
    return is_in if last <= cutoff.sure else not is_in if last > cutoff.possible else True


@settings(max_examples=400, deadline=None)
@given(ticks(), CLASSES, st.text(min_size=1), st.data())
def test_they_tell_the_due_the_stale_and_those_who_go_along(
    tick: Tick, users: UserClass, user_id: str, data: st.DataObject
) -> None:
    place = place_of(user_id)
    width = data.draw(st.sampled_from([1, PLACES // 64, PLACES]))
    first = place // width * width
    told: Cutoffs = cutoffs(users, tick, first=first, last=first + width - 1)
    edges = st.sampled_from([told.stale.sure, told.stale.possible, told.due.sure, told.due.possible, told.along])
    near = edges.flatmap(lambda edge: st.integers(edge - 2, edge + 2))
    last = max(0, min(data.draw(near | st.integers(tick.now - DAY, tick.now)), tick.now + CLOCK_SKEW))
    case = case_of(users, tick, user_id, last)
    assert holds(told.due, last, is_in=case.due_at <= tick.now)
    assert holds(told.stale, last, is_in=case.is_stale)
    assert last <= told.along or not may_go_along(case, tick)


@settings(max_examples=100, deadline=None)
@given(ticks(), CLASSES)
def test_they_are_exact_where_the_place_does_not_matter(tick: Tick, users: UserClass) -> None:
    told = cutoffs(users, tick, **EVERYWHERE)
    if not is_spread(users, tick):
        assert told.due.sure == told.due.possible
        assert told.stale.sure == told.stale.possible


def test_the_plain_rule() -> None:
    told = cutoffs(UserClass(), tick_of(), **EVERYWHERE)
    assert told.due == Cutoff(NOON - 5 * MINUTE, NOON - 5 * MINUTE)
    assert told.stale == Cutoff(NOON - HOUR - 1, NOON - HOUR - 1)
    assert told.along == NOON - 5 * MINUTE + 30 * SECOND


def test_an_interval_of_ones_own_below_the_minimum_counts_as_the_minimum() -> None:
    assert cutoffs(UserClass(1_000), tick_of(), **EVERYWHERE).due.sure == NOON - MINUTE


def test_while_users_are_spread_out_each_place_has_its_moment() -> None:
    tick = tick_of(now=OPENING + MINUTE, cohorts=100)
    early = cutoffs(UserClass(), tick, first=0, last=PLACES // 10)
    late = cutoffs(UserClass(), tick, first=PLACES // 2, last=PLACES - 1)
    assert early.due.sure == early.due.possible == OPENING - 4 * MINUTE
    assert late.due == Cutoff(OPENING - 14 * MINUTE, OPENING - 14 * MINUTE)
    whole = cutoffs(UserClass(), tick, **EVERYWHERE)
    assert whole.due == Cutoff(late.due.sure, early.due.possible)
