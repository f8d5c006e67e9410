"""How a batch ended, in numbers, and how late its users were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_support import CLAIM, POLICY, file_of
from periodic_sync.api.durations import HOUR, MINUTE, SECOND
from periodic_sync.api.names import Priority, Reason
from periodic_sync.controller.scheduling import counts
from periodic_sync.core.batch_files import Batch, BatchFile, BatchUser, Due, batch_file, planned, read_batch_file
from periodic_sync.core.landed import BatchResult, Lag, batch_end, lags_of
from periodic_sync.core.ledger import ManualRequest, Scope
from periodic_sync.core.outcomes import RETURNED, SUCCEEDED, failed_users
from periodic_sync.core.plan import Plan, due_by_priority, plan
from periodic_sync.core.results import outcomes
from periodic_sync.core.transitions import Tally
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from scheduling import NOON, ledger_of, policy, tick_of, user

DUE = Batch(
    (
        BatchUser("regular", "0xa", due=Due(CLAIM - 4 * SECOND, Priority.MEDIUM)),
        BatchUser("stale", "0xb", due=Due(CLAIM - 2 * HOUR, Priority.HIGH)),
        BatchUser("requested", "0xc"),
        BatchUser("stepped back", "0xd", due=Due(CLAIM + HOUR, Priority.MEDIUM)),
    ),
    Priority.HIGH,
)
LATER = CLAIM + 10 * SECOND


def test_everyone_who_was_synced_and_due_by_the_clock_has_a_lag() -> None:
    ended = outcomes(file_of(DUE), 0, SUCCEEDED, ended_at=LATER)
    assert lags_of(DUE, ended) == (
        Lag(Priority.MEDIUM, to_claim=4 * SECOND, to_end=14 * SECOND),
        Lag(Priority.HIGH, to_claim=2 * HOUR, to_end=2 * HOUR + 10 * SECOND),
        Lag(Priority.MEDIUM, to_claim=0, to_end=0),
    )


def test_who_was_not_synced_has_none() -> None:
    failed = outcomes(file_of(DUE), 0, failed_users(["regular"]), ended_at=LATER)
    assert [lag.priority for lag in lags_of(DUE, failed)] == [Priority.HIGH, Priority.MEDIUM]
    assert lags_of(DUE, outcomes(file_of(DUE), 0, RETURNED, ended_at=LATER)) == ()


def test_due_times_survive_in_the_batch_file() -> None:
    file = file_of(DUE)
    assert read_batch_file(batch_file(POLICY, file), POLICY) == file


def test_a_batch_file_of_an_operator_that_wrote_no_due_times_is_read() -> None:
    body = batch_file(POLICY, file_of(DUE))
    body["data"]["claim.json"] = body["data"]["claim.json"].replace('"due":', '"unknown":')
    assert [each.due for each in read_batch_file(body, POLICY).batches[0].users] == [None] * 4


def planned_due(last_synced: int | None, **fields: object) -> Due | None:
    state = NEVER_SYNCED if last_synced is None else UserState(last_synced=last_synced, last_claim=1, last_outcome=1)
    [job] = plan([(user(**fields), state)], tick_of()).jobs  # type: ignore[arg-type]
    return planned(job.batches[0], whole=True).users[0].due


@pytest.mark.parametrize(
    ("last_synced", "fields", "due"),
    [
        pytest.param(
            NOON - 6 * MINUTE, {}, Due(NOON - MINUTE, Priority.MEDIUM), id="regular, by the interval of 5 min"
        ),
        pytest.param(NOON - 3 * HOUR, {}, Due(NOON - 3 * HOUR + 5 * MINUTE, Priority.HIGH), id="stale"),
        pytest.param(None, {}, None, id="never synced: nobody knows since when"),
        pytest.param(NOON + HOUR, {}, None, id="synced by a clock that was set back since"),
        pytest.param(NOON - HOUR, {"sync_requested_at": NOON}, None, id="requested"),
    ],
)
def test_the_due_time_at_the_claim(last_synced: int | None, fields: dict[str, object], due: Due | None) -> None:
    assert planned_due(last_synced, **fields) == due


@pytest.mark.parametrize(
    ("tally", "result", "returned"),
    [
        (Tally(synced=3, is_success=True), BatchResult.SUCCEEDED, 0),
        (Tally(synced=2, failed=1, is_success=True), BatchResult.PARTIAL, 0),
        (Tally(failed=3), BatchResult.FAILED, 0),
        (Tally(), BatchResult.RETURNED, 3),
    ],
)
def test_the_result_of_a_batch(tally: Tally, result: BatchResult, returned: int) -> None:
    end = batch_end(Priority.LOW, 3, tally, took=-5, lags=())
    assert (end.priority, end.result, end.returned, end.took) == (Priority.LOW, result, returned, 0)
    assert (end.synced, end.failed) == (tally.synced, tally.failed)


def everyone() -> list[tuple[UserRecord, UserState]]:
    """Due, stale, about to be due, and inactive ones."""
    ages = (None, 3 * HOUR, 6 * MINUTE, 5 * MINUTE - 20 * SECOND, MINUTE)
    states = [NEVER_SYNCED if age is None else UserState(last_synced=NOON - age, last_claim=1) for age in ages]
    active = [(user(f"u{at}"), state) for at, state in enumerate(states)]
    return [*active, (user("away", last_active=NOON - 48 * HOUR), NEVER_SYNCED)]


def reasons(made: Plan) -> dict[Reason, int]:
    return {reason: count for reason, count in counts(made).by_reason.items() if count}


def test_reasons_are_counted_as_they_are_once_the_plan_is_claimed() -> None:
    made = plan(everyone(), tick_of(policy(batchSize=4)))
    assert reasons(made) == {Reason.IN_FLIGHT: 4, Reason.NOT_DUE: 1, Reason.INACTIVE: 1}
    held = plan(everyone(), tick_of(policy(batchSize=1, jobs={"maxConcurrentBatches": 1})))
    assert reasons(held) == {Reason.IN_FLIGHT: 1, Reason.WAITING_FOR_CAPACITY: 2, Reason.NOT_DUE: 2, Reason.INACTIVE: 1}
    assert sum(reasons(held).values()) == counts(held).total


def test_who_waits_is_counted_by_priority_without_those_who_are_claimed() -> None:
    held = plan(everyone(), tick_of(policy(batchSize=1, jobs={"maxConcurrentBatches": 1})))
    assert counts(held).due_by_priority == {Priority.HIGH: 1, Priority.MEDIUM: 1, Priority.LOW: 0}
    asked = ledger_of(policy(), request=ManualRequest("t", Scope.ALL, 6))
    bulk = counts(plan(everyone(), tick_of(policy(batchSize=1, jobs={"maxConcurrentBatches": 1}), ledger=asked)))
    assert bulk.due_by_priority == {Priority.HIGH: 0, Priority.MEDIUM: 0, Priority.LOW: bulk.due}


@given(st.integers(0, 20), st.dictionaries(st.sampled_from(Reason), st.integers(-3, 20)))
def test_priorities_add_up_to_all_who_wait_whatever_the_codes_say(due: int, codes: dict[Reason, int]) -> None:
    found = due_by_priority(due, codes)
    assert sum(found.values()) == due
    assert min(found.values()) >= 0


def test_a_worker_does_not_see_due_times() -> None:
    file: BatchFile = file_of(DUE)
    assert "due" not in batch_file(POLICY, file)["data"]["0"]
