"""What the end of a batch does to what is known of its users."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.api.durations import HOUR, MINUTE, SECOND
from periodic_sync.core.outcomes import (
    FAILED_UNEXPLAINED,
    ISOLATED,
    RETURNED,
    SUCCEEDED,
    Ending,
    Outcome,
    apply,
    back_off,
    batch_limit,
    blame,
    counts_for_breaker,
    failed_users,
)
from periodic_sync.core.users import UserState

KNOWN = UserState(last_synced=1_000, last_claim=5, last_outcome=5)


def outcome(ending: Ending, **fields: int | None) -> Outcome:
    given_fields = {"claim": 9, "claimed_at": 9_000, "ended_at": 9_500, "batch_size": 10, "request": None, **fields}
    return Outcome("u1", ending, **given_fields)  # type: ignore[arg-type]


APPLIED = {
    "a success counts from its claim and clears every grudge": (
        replace(KNOWN, failures=3, failed_at=2_000, unexplained=2, returns=1),
        outcome(Ending.SYNCED, request=8_000),
        UserState(last_synced=9_000, last_claim=9, last_outcome=9, failed_at=2_000, request_served=8_000),
    ),
    "a request served before is not forgotten when the record loses it": (
        replace(KNOWN, request_served=8_000),
        outcome(Ending.SYNCED, request=None),
        UserState(last_synced=9_000, last_claim=9, last_outcome=9, request_served=8_000),
    ),
    "a failure with a reason backs the user off from when it was seen": (
        replace(KNOWN, failures=1, returns=2, unexplained=3),
        outcome(Ending.FAILED, request=8_000),
        replace(KNOWN, last_claim=9, last_outcome=9, failures=2, failed_at=9_500, request_served=8_000),
    ),
    "an unexplained failure of many only narrows the search": (
        replace(KNOWN, unexplained=1, returns=1),
        outcome(Ending.UNEXPLAINED),
        replace(KNOWN, last_claim=9, last_outcome=9, unexplained=2),
    ),
    "an unexplained failure of one is its own, and it stays alone": (
        replace(KNOWN, unexplained=1),
        outcome(Ending.UNEXPLAINED, batch_size=1),
        replace(KNOWN, last_claim=9, last_outcome=9, failures=1, failed_at=9_500, unexplained=ISOLATED),
    ),
    "a return is no outcome": (
        KNOWN,
        outcome(Ending.RETURNED, request=8_000),
        replace(KNOWN, last_claim=9, returns=1),
    ),
    "three returns in a row are a failure": (
        replace(KNOWN, returns=2),
        outcome(Ending.RETURNED, request=8_000),
        replace(KNOWN, last_claim=9, last_outcome=9, failures=1, failed_at=9_500, request_served=8_000),
    ),
    "a failed probe blames nobody": (
        replace(KNOWN, failures=2, failed_at=2_000, returns=1),
        outcome(Ending.UNBLAMED, request=8_000),
        replace(KNOWN, last_claim=9, failures=2, failed_at=2_000, returns=1),
    ),
    "the result of an equal claim changes nothing": (KNOWN, outcome(Ending.SYNCED, claim=5), KNOWN),
    "the result of an older claim changes nothing": (KNOWN, outcome(Ending.FAILED, claim=4), KNOWN),
    "a clock set back does not keep a success from counting": (
        replace(KNOWN, last_synced=10_000_000),
        outcome(Ending.SYNCED),
        UserState(last_synced=9_000, last_claim=9, last_outcome=9),
    ),
}


@pytest.mark.parametrize(("before", "ended", "after"), APPLIED.values(), ids=APPLIED.keys())
def test_an_outcome_changes_what_is_known_of_a_user(before: UserState, ended: Outcome, after: UserState) -> None:
    assert apply(before, ended) == after


endings = st.builds(
    outcome,
    st.sampled_from(Ending),
    claim=st.integers(1, 30),
    batch_size=st.integers(1, 12),
    request=st.none() | st.integers(1, 10_000),
)


@given(st.lists(endings, max_size=12))
def test_applying_a_result_again_changes_nothing_however_results_arrive(results: list[Outcome]) -> None:
    once = twice = UserState()
    for result in results:
        once = apply(once, result)
        twice = apply(apply(twice, result), result)
    assert once == twice
    assert once.last_outcome <= once.last_claim
    assert once.last_claim == max((result.claim for result in results), default=0)
    assert once.unexplained <= ISOLATED


@pytest.mark.parametrize(
    ("failures", "wait"),
    [(0, 0), (1, 30 * SECOND), (2, MINUTE), (3, 2 * MINUTE), (7, 32 * MINUTE), (8, HOUR), (1_000_000, HOUR)],
)
def test_back_off_doubles_from_half_a_minute_to_an_hour(failures: int, wait: int) -> None:
    assert back_off(failures) == wait


def test_batches_of_unexplained_failures_halve_down_to_one_user() -> None:
    assert [batch_limit(10, count) for count in range(6)] == [10, 5, 3, 2, 1, 1]
    assert batch_limit(1000, ISOLATED) == 1
    assert batch_limit(1, 0) == 1


VERDICTS = {
    "all are synced": (SUCCEEDED, False, [Ending.SYNCED, Ending.SYNCED]),
    "the named one failed and the other is synced": (failed_users(["b"]), False, [Ending.SYNCED, Ending.FAILED]),
    "naming only strangers explains nothing": (failed_users(["x"]), False, [Ending.UNEXPLAINED] * 2),
    "no readable message": (FAILED_UNEXPLAINED, False, [Ending.UNEXPLAINED] * 2),
    "evicted": (RETURNED, False, [Ending.RETURNED] * 2),
    "a probe that failed": (FAILED_UNEXPLAINED, True, [Ending.UNBLAMED] * 2),
    "a probe that named one": (failed_users(["a"]), True, [Ending.UNBLAMED, Ending.SYNCED]),
    "a probe that was evicted": (RETURNED, True, [Ending.UNBLAMED] * 2),
}


@pytest.mark.parametrize(("verdict", "probe", "expected"), VERDICTS.values(), ids=VERDICTS.keys())
def test_a_verdict_gives_every_user_one_ending(verdict: object, probe: bool, expected: list[Ending]) -> None:
    outcomes = blame({"a": None, "b": 7}, verdict, claim=1, claimed_at=2, ended_at=3, probe=probe)  # type: ignore[arg-type]
    assert [it.ending for it in outcomes] == expected
    assert [(it.user_id, it.request, it.batch_size) for it in outcomes] == [("a", None, 2), ("b", 7, 2)]


FRESH, FAILED_BEFORE = UserState(), UserState(failures=1)
EVIDENCE = {
    "two users are evidence": ([FAILED_BEFORE, FAILED_BEFORE], 2, 50, True),
    "one who never failed is evidence": ([FRESH], 1, 50, True),
    "one who failed before is none": ([FAILED_BEFORE], 1, 50, False),
    "one who failed before is, if there is nobody else": ([FAILED_BEFORE], 1, 1, True),
}


@pytest.mark.parametrize(("states", "in_batch", "active", "counts"), EVIDENCE.values(), ids=EVIDENCE.keys())
def test_which_failed_batches_speak_against_the_worker(
    states: list[UserState], in_batch: int, active: int, counts: bool
) -> None:
    assert counts_for_breaker(states, active_in_batch=in_batch, active=active) is counts
