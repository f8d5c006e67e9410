"""What `periodic-sync plan` foresees is what the operator plans, and which users `periodic-sync users` chooses."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.api.names import Priority, Reason
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.cli.selection import Found, Selection
from periodic_sync.client.backend import Known
from periodic_sync.core.ledger import ManualRequest, OpenJob, Scope
from periodic_sync.core.plan import plan
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.inspection.foresight import Foresight
from scheduling import NOON, ledger_of, planned_ids, policy, tick_of, user

ages = st.integers(0, 3 * DAY)
states = st.none() | st.builds(
    UserState,
    last_synced=ages.map(lambda age: NOON - age),
    failures=st.integers(0, 2),
    failed_at=st.just(NOON - MINUTE),
)
people = st.lists(st.tuples(ages, states), max_size=30).map(
    lambda found: [
        Known(user(f"u{number}", last_active=NOON - age), state) for number, (age, state) in enumerate(found)
    ]
)
requests = st.none() | st.sampled_from([ManualRequest("t", scope, 5) for scope in (Scope.ALL, Scope.ACTIVE)])


def foreseen(found: list[Known], tick: object, at: int | None = None) -> object:
    foresight = Foresight(tick, at)  # type: ignore[arg-type]
    for known in found:
        foresight.add(known)
    return foresight.plan()


@given(people, requests, st.sampled_from([-DAY, 0, MINUTE, 5 * MINUTE, 9 * HOUR, 2 * DAY]))
def test_the_plan_is_the_same_as_one_that_all_users_are_handed_to(
    found: list[Known], request: ManualRequest | None, later: int
) -> None:
    spec = policy(batchSize=3)
    tick = tick_of(spec, ledger=ledger_of(spec, request=request))
    instant = replace(tick, now=NOON + later, zones={})
    whole = plan(
        ((it.record, it.state or NEVER_SYNCED) for it in found if it.record.last_active <= NOON + later + 5 * MINUTE),
        instant,
    )
    assert foreseen(found, tick, NOON + later) == replace(whole, tick=whole.tick)


def test_later_the_batches_that_run_have_ended_well() -> None:
    spec = policy(jobs={"maxConcurrentBatches": 1})
    claimed_at = NOON - SECOND
    job = OpenJob("j", claimed_at, claimed_at, (Priority.HIGH,), (1,), frozenset({0}))
    tick = tick_of(spec, ledger=ledger_of(spec, jobs=(job,)), in_flight={"u1": claimed_at})
    asked = user("u1", sync_requested_at=NOON - MINUTE)
    found = [Known(asked, UserState(last_synced=NOON - 2 * HOUR, failures=3, failed_at=NOON - MINUTE))]
    assert foreseen(found, tick).counters.by_reason[Reason.IN_FLIGHT] == 1  # type: ignore[attr-defined]
    soon = foreseen(found, tick, NOON + MINUTE)
    assert soon.counters.by_reason[Reason.NOT_DUE] == 1  # type: ignore[attr-defined]
    assert (soon.next_due, soon.jobs) == (claimed_at + 5 * MINUTE, ())  # type: ignore[attr-defined]
    assert planned_ids(foreseen(found, tick, NOON + 5 * MINUTE)) == [["u1"]]  # type: ignore[arg-type]


def test_of_the_inactive_only_the_number_is_kept() -> None:
    foresight = Foresight(tick_of())
    for number in range(100):
        foresight.add(Known(user(f"u{number}", last_active=NOON - 2 * DAY), None))
    assert not foresight._users
    assert foresight.plan().counters.by_reason[Reason.INACTIVE] == 100


FAILED = UserState(last_synced=NOON - MINUTE, failures=2, failed_at=NOON - SECOND)
SYNCED, STALE = UserState(last_synced=NOON - MINUTE), UserState(last_synced=NOON - 2 * HOUR)
EVERYBODY = {
    "fine": (user("fine"), SYNCED),
    "stale": (user("stale"), STALE),
    "failed": (user("failed"), FAILED),
    "unexplained": (user("unexplained"), replace(SYNCED, unexplained=1)),
    "flying": (user("flying"), SYNCED),
    "gone": (user("gone", last_active=NOON - 2 * DAY), STALE),
    "new": (user("new"), None),
}


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (Selection(), set(EVERYBODY)),
        (Selection(stale=True), {"stale", "new"}),
        (Selection(failing=True), {"failed", "unexplained"}),
        (Selection(in_flight=True), {"flying"}),
        (Selection(inactive=True), {"gone"}),
        (Selection(inactive=True, in_flight=True), {"gone", "flying"}),
        (Selection(frozenset({Reason.BACKING_OFF})), {"failed"}),
        (Selection(frozenset({Reason.NOT_DUE, Reason.INACTIVE})), {"fine", "gone"}),
    ],
)
def test_users_are_chosen(chosen: Selection, names: set[str]) -> None:
    tick = tick_of(in_flight={"flying": NOON - SECOND})
    assert {name for name, known in EVERYBODY.items() if chosen.fits(Known(*known), tick)} == names


@pytest.mark.parametrize(
    ("chosen", "alone"),
    [
        (Selection(in_flight=True), True),
        (Selection(frozenset({Reason.IN_FLIGHT})), True),
        (Selection(frozenset({Reason.IN_FLIGHT, Reason.INACTIVE})), False),
        (Selection(in_flight=True, stale=True), False),
        (Selection(), False),
    ],
)
def test_those_in_flight_alone_are_found_without_reading_all(chosen: Selection, alone: bool) -> None:
    assert chosen.is_in_flight_alone is alone


def test_wallets_are_shown_only_when_asked_for() -> None:
    spec = policy()
    found = Found(SyncPolicy("p", "shop", "uid", 1, spec), tick_of(spec))
    found.add(Known(UserRecord("u1", "0xwallet", NOON, changed_tokens={"0xwallet": NOON}), None))
    assert "0xwallet" not in str(found.document(wallets=False))
    [shown] = found.document(wallets=True)["users"]
    assert (shown["wallet"], shown["reason"], shown["state"]) == ("0xwallet", "DueStale", None)
