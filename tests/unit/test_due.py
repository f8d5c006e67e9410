"""Why a user is, or is not, synced now: one reason code each, the first that matches."""

from collections.abc import Set
from dataclasses import replace

import pytest

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.api.names import Priority, Reason
from periodic_sync.api.spec import MarketHours, SyncPolicySpec
from periodic_sync.core.calendar import calendar_for
from periodic_sync.core.due import Decision, decide, tokens_to_sync
from periodic_sync.core.ledger import IntervalEdit, Intervals, ManualRequest, Scope
from periodic_sync.core.spread import Calendars, Drop, cohort_of, cohorts_needed, drop_due, latest_drop
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from scheduling import NOON, instant, ledger_of, policy, tick_of, user


def synced(ago: int, **fields: int) -> UserState:
    return UserState(last_synced=NOON - ago, last_claim=5, last_outcome=5, **fields)


def asked(scope: Scope, *, claim: int = 5, named: Set[str] = frozenset()) -> Tick:
    """A tick at noon with an open manual request."""
    request = ManualRequest("token", scope, claim)
    return tick_of(ledger=ledger_of(policy(), request=request), named=named)


GONE = user(last_active=NOON - DAY - 1)
HIGH, MEDIUM, LOW = Priority.HIGH, Priority.MEDIUM, Priority.LOW

CASES: dict[str, tuple[UserRecord, UserState, Tick, Decision]] = {
    "a disabled policy comes before everything": (
        user(sync_requested_at=NOON),
        NEVER_SYNCED,
        tick_of(policy(enabled=False), in_flight={"u1": NOON}, store_ready=False),
        Decision(Reason.POLICY_DISABLED),
    ),
    "without its store nothing is decided": (
        user(),
        NEVER_SYNCED,
        tick_of(store_ready=False, in_flight={"u1": NOON}),
        Decision(Reason.STORE_NOT_READY),
    ),
    "in flight, however due or asked for": (
        user(sync_requested_at=NOON),
        synced(2 * HOUR),
        tick_of(in_flight={"u1": NOON}),
        Decision(Reason.IN_FLIGHT),
    ),
    "asked for by the record": (
        user(sync_requested_at=NOON),
        synced(MINUTE, request_served=NOON - 1),
        tick_of(),
        Decision(Reason.DUE_REQUESTED, HIGH, NOON),
    ),
    "asked for by the record, and served": (
        user(sync_requested_at=NOON),
        synced(MINUTE, request_served=NOON),
        tick_of(),
        Decision(Reason.NOT_DUE, None, NOON + 4 * MINUTE, NOON + 4 * MINUTE),
    ),
    "asked for by name, inactive and backing off": (
        GONE,
        synced(MINUTE, failures=3, failed_at=NOON),
        asked(Scope.NAMED, named={"u1"}),
        Decision(Reason.DUE_REQUESTED, HIGH, NOON),
    ),
    "another was asked for by name": (
        user(),
        synced(MINUTE),
        asked(Scope.NAMED, named={"u2"}),
        Decision(Reason.NOT_DUE, None, NOON + 4 * MINUTE, NOON + 4 * MINUTE),
    ),
    "asked for by name, and served by a later claim": (
        GONE,
        synced(MINUTE),
        asked(Scope.NAMED, claim=4, named={"u1"}),
        Decision(Reason.INACTIVE),
    ),
    "all are asked for, inactive ones too": (
        GONE,
        NEVER_SYNCED,
        asked(Scope.ALL),
        Decision(Reason.DUE_BULK, LOW, NOON),
    ),
    "all are asked for, also in back-off": (
        user(),
        synced(2 * HOUR, failures=1, failed_at=NOON - 1),
        asked(Scope.ALL),
        Decision(Reason.DUE_BULK, LOW, NOON),
    ),
    "the stale lose nothing when all are asked for": (
        user(),
        synced(2 * HOUR),
        asked(Scope.ALL),
        Decision(Reason.DUE_BULK, HIGH, NOON),
    ),
    "nor does someone who is due": (
        user(),
        synced(6 * MINUTE),
        asked(Scope.ACTIVE),
        Decision(Reason.DUE_BULK, MEDIUM, NOON),
    ),
    "the active are asked for, and this one is not": (
        GONE,
        NEVER_SYNCED,
        asked(Scope.ACTIVE),
        Decision(Reason.INACTIVE),
    ),
    "a completed request is over": (
        GONE,
        NEVER_SYNCED,
        tick_of(ledger=ledger_of(policy(), request=ManualRequest("token", Scope.ALL, 5, completed=True))),
        Decision(Reason.INACTIVE),
    ),
    "seen exactly within the threshold is active": (
        user(last_active=NOON - DAY),
        NEVER_SYNCED,
        tick_of(),
        Decision(Reason.DUE_STALE, HIGH, NOON),
    ),
    "backing off, stale or not": (
        user(),
        synced(2 * HOUR, failures=2, failed_at=NOON - 20 * SECOND),
        tick_of(),
        Decision(Reason.BACKING_OFF, None, NOON + 40 * SECOND, NOON + 40 * SECOND),
    ),
    "retried when the back-off is over, however young the data": (
        user(),
        synced(MINUTE, failures=1, failed_at=NOON - 30 * SECOND),
        tick_of(),
        Decision(Reason.DUE_REGULAR, MEDIUM, NOON),
    ),
    "a failure in the future does not hold anyone": (
        user(),
        synced(6 * MINUTE, failures=9, failed_at=NOON + 5 * HOUR),
        tick_of(),
        Decision(Reason.DUE_REGULAR, MEDIUM, NOON - MINUTE),
    ),
    "an unexplained failure is due again at once": (
        user(),
        synced(MINUTE, unexplained=1),
        tick_of(),
        Decision(Reason.DUE_REGULAR, MEDIUM, NOON),
    ),
    "an unexplained failure of one's own backs off": (
        user(),
        synced(MINUTE, unexplained=10, failures=1, failed_at=NOON),
        tick_of(),
        Decision(Reason.BACKING_OFF, None, NOON + 30 * SECOND, NOON + 30 * SECOND),
    ),
    "never synced is stale": (user(), NEVER_SYNCED, tick_of(), Decision(Reason.DUE_STALE, HIGH, NOON)),
    "older than the threshold is stale": (
        user(),
        synced(HOUR + 1),
        tick_of(),
        Decision(Reason.DUE_STALE, HIGH, NOON - 55 * MINUTE - 1),
    ),
    "as old as the threshold is not": (
        user(),
        synced(HOUR),
        tick_of(),
        Decision(Reason.DUE_REGULAR, MEDIUM, NOON - 55 * MINUTE),
    ),
    "an interval of one's own longer than the threshold keeps one from being stale": (
        user(interval=3 * HOUR),
        synced(2 * HOUR),
        tick_of(),
        Decision(Reason.NOT_DUE, None, NOON + HOUR, NOON + HOUR),
    ),
    "the stale threshold forces a sync before a longer interval of the policy": (
        user(),
        synced(HOUR + 1),
        tick_of(policy(intervals={"marketHours": "2h", "offHours": "5m"})),
        Decision(Reason.DUE_STALE, HIGH, NOON),
    ),
    "due for less than a minute is regular, with the threshold as short as the interval": (
        user(),
        synced(30 * MINUTE + 59 * SECOND),
        tick_of(policy(intervals={"marketHours": "30m", "offHours": "15m"}, thresholds={"stale": "30m"})),
        Decision(Reason.DUE_REGULAR, MEDIUM, NOON - 59 * SECOND),
    ),
    "and then it is stale": (
        user(),
        synced(31 * MINUTE + 1),
        tick_of(policy(intervals={"marketHours": "30m", "offHours": "15m"}, thresholds={"stale": "30m"})),
        Decision(Reason.DUE_STALE, HIGH, NOON - MINUTE - 1),
    ),
    "due when the interval is over": (
        user(),
        synced(5 * MINUTE),
        tick_of(),
        Decision(Reason.DUE_REGULAR, MEDIUM, NOON),
    ),
    "not due a millisecond before": (
        user(),
        synced(5 * MINUTE - 1),
        tick_of(),
        Decision(Reason.NOT_DUE, None, NOON + 1, NOON + 1),
    ),
    "one's own interval": (
        user(interval=2 * MINUTE),
        synced(2 * MINUTE),
        tick_of(),
        Decision(Reason.DUE_REGULAR, MEDIUM, NOON),
    ),
    "one's own interval counts as the minimum where it is shorter": (
        user(interval=SECOND),
        synced(30 * SECOND),
        tick_of(),
        Decision(Reason.NOT_DUE, None, NOON + 30 * SECOND, NOON + 30 * SECOND),
    ),
    "a shorter interval of the policy lowers the minimum": (
        user(interval=SECOND),
        synced(10 * SECOND),
        tick_of(policy(intervals={"marketHours": "10s"})),
        Decision(Reason.DUE_REGULAR, MEDIUM, NOON),
    ),
    "one's own time zone": (
        user(time_zone="Asia/Tokyo"),
        synced(6 * MINUTE),
        tick_of(),
        Decision(Reason.NOT_DUE, None, NOON + 9 * MINUTE, NOON + 9 * MINUTE),
    ),
    "a time zone that does not exist is the policy's": (
        user(time_zone="Mars/Base"),
        synced(5 * MINUTE),
        tick_of(),
        Decision(Reason.DUE_REGULAR, MEDIUM, NOON),
    ),
    "a sync in the future is due once": (
        user(),
        synced(-HOUR),
        tick_of(),
        Decision(Reason.DUE_REGULAR, MEDIUM, NOON),
    ),
    "a sync a moment ahead, by another machine's clock, is a sync": (
        user(),
        synced(-SECOND),
        tick_of(),
        Decision(Reason.NOT_DUE, None, NOON + 5 * MINUTE + SECOND, NOON + 5 * MINUTE + SECOND),
    ),
}


@pytest.mark.parametrize(("record", "state", "tick", "decision"), CASES.values(), ids=CASES.keys())
def test_the_first_rule_that_matches_answers(
    record: UserRecord, state: UserState, tick: Tick, decision: Decision
) -> None:
    assert decide(record, state, tick) == decision


OPENING = instant("2026-11-25T09:00+00:00")
CLOSING = instant("2026-11-25T17:00+00:00")


def due_at(now: int, last: int, *, cohorts: int = 1, user_id: str = "u1", **record: object) -> int | None:
    state = UserState(last_synced=last, last_claim=1, last_outcome=1)
    return decide(user(user_id, last_active=now, **record), state, tick_of(now=now, cohorts=cohorts)).due_at


class TestTheMarketChanges:
    """Defaults: five minutes while it is open, fifteen while it is closed."""

    def test_a_due_time_after_the_opening_is_told_before_it(self) -> None:
        assert due_at(OPENING - MINUTE, OPENING - 4 * MINUTE) == OPENING + MINUTE

    def test_the_closing_puts_off_whoever_would_come_due_after_it(self) -> None:
        assert due_at(CLOSING - MINUTE, CLOSING - 3 * MINUTE) == CLOSING + 12 * MINUTE
        assert due_at(CLOSING, CLOSING - 3 * MINUTE) == CLOSING + 12 * MINUTE

    def test_cohorts_come_due_one_after_the_other(self) -> None:
        seen = {
            (cohort_of(f"u{number}", 5), due_at(OPENING, OPENING - 10 * MINUTE, cohorts=5, user_id=f"u{number}"))
            for number in range(100)
        }
        assert seen == {(cohort, OPENING + cohort * MINUTE) for cohort in range(5)}

    def test_nobody_is_later_than_the_old_interval_had_it(self) -> None:
        for number in range(50):
            due = due_at(OPENING, OPENING - 14 * MINUTE, cohorts=50, user_id=f"u{number}")
            assert due is not None
            assert OPENING <= due <= OPENING + MINUTE

    def test_whoever_was_synced_after_the_opening_keeps_the_plain_interval(self) -> None:
        assert due_at(OPENING + 4 * MINUTE, OPENING + MINUTE, cohorts=50) == OPENING + 6 * MINUTE

    def test_an_interval_of_ones_own_is_never_spread(self) -> None:
        now = OPENING + SECOND
        assert due_at(now, OPENING - 10 * MINUTE, cohorts=50, interval=10 * MINUTE) == OPENING

    def test_another_zone_opens_for_its_own_users(self) -> None:
        tokyo = instant("2026-11-25T09:00+09:00")
        dues = {
            due_at(tokyo, tokyo - 10 * MINUTE, cohorts=5, user_id=f"u{number}", time_zone="Asia/Tokyo")
            for number in range(100)
        }
        assert dues == {tokyo + minutes * MINUTE for minutes in range(5)}

    def test_the_plain_rule_is_back_after_the_first_interval(self) -> None:
        assert due_at(OPENING + 5 * MINUTE, OPENING - 10 * MINUTE, cohorts=50) == OPENING - 5 * MINUTE


class TestAnIntervalIsEdited:
    SPEC = policy(intervals={"marketHours": "4m"})
    EDIT = IntervalEdit(NOON, Intervals(20 * MINUTE, 15 * MINUTE))

    def dues(self, now: int, last: int, edit: IntervalEdit) -> set[int | None]:
        tick = tick_of(self.SPEC, now=now, ledger=ledger_of(self.SPEC, edit=edit), cohorts=4)
        state = UserState(last_synced=last, last_claim=1, last_outcome=1)
        return {decide(user(f"u{number}"), state, tick).due_at for number in range(60)}

    def test_a_lower_one_spreads_users_from_the_edit_on(self) -> None:
        expected = {NOON + minutes * MINUTE for minutes in range(4)}
        assert self.dues(NOON, NOON - 10 * MINUTE, self.EDIT) == expected

    def test_a_higher_one_spreads_nobody(self) -> None:
        edit = replace(self.EDIT, before=Intervals(2 * MINUTE, 15 * MINUTE))
        assert self.dues(NOON, NOON - 10 * MINUTE, edit) == {NOON - 6 * MINUTE}

    def test_an_edit_of_the_other_interval_spreads_nobody(self) -> None:
        edit = replace(self.EDIT, before=Intervals(4 * MINUTE, 30 * MINUTE))
        assert self.dues(NOON, NOON - 10 * MINUTE, edit) == {NOON - 6 * MINUTE}

    def test_an_edit_right_after_the_opening_goes_on_from_the_opening_s_cohorts(self) -> None:
        edit = IntervalEdit(OPENING + MINUTE, Intervals(8 * MINUTE, 15 * MINUTE))
        dues = self.dues(OPENING + MINUTE, OPENING - 5 * MINUTE, edit)
        # The opening's cohorts were 3, 3, 4 and 6 min after it, the edit's are 1, 2, 3 and 4: the earlier one counts.
        assert dues == {OPENING + minutes * MINUTE for minutes in (1, 2, 3, 4)}

    def test_an_edit_that_opens_the_market_now_spreads_users_from_the_edit_on(self) -> None:
        closed_at_noon = MarketHours(start="18:00", end="20:00")
        edit = replace(self.EDIT, before=Intervals(4 * MINUTE, 15 * MINUTE, closed_at_noon))
        expected = {NOON + minutes * MINUTE for minutes in range(4)}
        assert self.dues(NOON, NOON - 10 * MINUTE, edit) == expected

    def test_an_edit_that_mends_the_time_zone_spreads_nobody(self) -> None:
        edit = replace(self.EDIT, before=Intervals(4 * MINUTE, 15 * MINUTE, MarketHours(time_zone="No/Where")))
        assert self.dues(NOON, NOON - 10 * MINUTE, edit) == {NOON - 6 * MINUTE}

    def test_an_edit_in_the_future_is_one_of_a_clock_set_back(self) -> None:
        assert self.dues(NOON - HOUR, NOON - HOUR - 4 * MINUTE, self.EDIT) == {NOON - HOUR}


class TestWhenCohortsAreFixed:
    def test_at_the_last_opening(self) -> None:
        assert self.latest(NOON) == Drop(OPENING, 15 * MINUTE, 5 * MINUTE)

    def test_also_when_the_market_has_closed_since(self) -> None:
        assert self.latest(CLOSING + HOUR) == Drop(OPENING, 15 * MINUTE, 5 * MINUTE)

    def test_at_the_closing_where_off_hours_are_the_busier(self) -> None:
        busy_nights = policy(intervals={"marketHours": "15m", "offHours": "5m"})
        assert self.latest(CLOSING + HOUR, busy_nights) == Drop(CLOSING, 15 * MINUTE, 5 * MINUTE)

    def test_never_where_both_are_the_same(self) -> None:
        assert self.latest(NOON, policy(intervals={"marketHours": "5m", "offHours": "5m"})) is None

    def test_as_many_as_active_users_fill_batches(self) -> None:
        assert [cohorts_needed(active, 10) for active in (0, 1, 10, 11, 1000)] == [1, 1, 1, 2, 100]

    @staticmethod
    def latest(now: int, spec: SyncPolicySpec | None = None) -> Drop | None:
        spec = spec or policy()
        calendar = calendar_for(spec.market_hours, "Etc/UTC")
        return latest_drop(spec.intervals, Calendars(calendar, calendar), None, now)


def test_a_drop_moves_nobody_before_the_new_interval() -> None:
    assert drop_due(Drop(100, 50, 20), last_synced=95, due_before=145, who="u", cohorts=1) == 115


TOKENS = {"0xa": NOON - 10 * MINUTE, "0xb": NOON - 4 * MINUTE, "0xc": NOON}

CHANGED = {
    "never synced means everything": (NEVER_SYNCED, ()),
    "those since the last sync, and the five minutes before it": (synced(0), ("0xb", "0xc")),
    "all of them": (synced(HOUR), ("0xa", "0xb", "0xc")),
    "none means everything": (UserState(last_synced=NOON + HOUR), ()),
}


@pytest.mark.parametrize(("state", "tokens"), CHANGED.values(), ids=CHANGED.keys())
def test_a_batch_carries_the_tokens_that_changed(state: UserState, tokens: tuple[str, ...]) -> None:
    assert tokens_to_sync(user(changed_tokens=TOKENS), state) == tokens
