"""How a worker's calls went: written by the worker, read by the operator, and nothing that anybody has to rely on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.core.calls import BOUNDS, CallOutcome, Calls, read_calls
from periodic_sync.worker import calls as written
from periodic_sync.worker.results import CALLS_ROOM, MESSAGE_LIMIT, Failure, termination_message, with_calls

EMPTY = [0] * (len(BOUNDS) + 1)


def called(times: list[tuple[str, float, bool]]) -> written.Calls:
    calls = written.Calls()
    for outcome, seconds, is_retry in times:
        calls.add(outcome, seconds, is_retry=is_retry)
    return calls


def test_worker_and_operator_have_the_same_buckets_and_outcomes() -> None:
    assert written.BOUNDS == BOUNDS
    assert {written.OK, written.RETRYABLE, written.REFUSED} == set(CallOutcome)


@given(st.lists(st.tuples(st.sampled_from(sorted(CallOutcome)), st.floats(0, 1000), st.booleans()), min_size=1))
def test_what_the_worker_writes_the_operator_reads(times: list[tuple[str, float, bool]]) -> None:
    read = read_calls(with_calls("", called(times).told()))
    assert read is not None
    assert read.retries == sum(is_retry for _, _, is_retry in times)
    for outcome, durations in read.by_outcome.items():
        these = [seconds for kind, seconds, _ in times if kind == outcome]
        assert sum(durations.counts) == len(these)
        assert durations.seconds == pytest.approx(sum(these), abs=0.001)
        for bound, upto in zip(BOUNDS, range(1, len(BOUNDS) + 1), strict=True):
            assert sum(durations.counts[:upto]) == sum(seconds <= bound for seconds in these)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "no JSON",
        "[]",
        '{"version": 1}',
        '{"calls": 3}',
        '{"calls": {}}',
        '{"calls": {"retries": -1}}',
        '{"calls": {"retries": true}}',
        json.dumps({"calls": {"retries": 0, "ok": {"seconds": 1, "counts": [1]}}}),
        json.dumps({"calls": {"retries": 0, "ok": {"seconds": 1, "counts": [*EMPTY[1:], 1.5]}}}),
        json.dumps({"calls": {"retries": 0, "ok": {"seconds": 1, "counts": [*EMPTY[1:], 10**9]}}}),
        json.dumps({"calls": {"retries": 0, "ok": {"seconds": float("nan"), "counts": EMPTY}}}),
        json.dumps({"calls": {"retries": 0, "ok": {"seconds": -1, "counts": EMPTY}}}),
        json.dumps({"calls": {"retries": 0, "ok": []}}),
        "[" * 10_000,
    ],
)
def test_what_is_not_of_that_form_is_passed_over(message: str) -> None:
    assert read_calls(message) is None


@given(st.text())
def test_no_message_is_too_strange(message: str) -> None:
    read_calls(message)


def test_outcomes_that_are_not_known_are_passed_over() -> None:
    told = {"retries": 1, "ok": {"seconds": 2, "counts": EMPTY}, "new": 5}
    read = read_calls(json.dumps({"version": 1, "calls": told}))
    assert isinstance(read, Calls)
    assert set(read.by_outcome) == {CallOutcome.OK}


@given(st.integers(1, 1000))
def test_with_calls_a_message_still_fits_and_still_says_who_failed(count: int) -> None:
    worst = called([(outcome, 1e5, True) for outcome in CallOutcome for _ in range(3000)])
    failures = {at: Failure(f"user-{at:032}", "x" * 80) for at in range(count)}
    message = termination_message(failures, room=CALLS_ROOM)
    longer = with_calls(message, worst.told())
    assert len(longer) <= MESSAGE_LIMIT
    assert json.loads(longer).items() >= json.loads(message).items()


def test_every_other_user_failing_takes_the_room_of_the_calls() -> None:
    failures = {at: Failure(None, "x") for at in range(0, 2000, 2)}
    message = termination_message(failures, limit=MESSAGE_LIMIT * 2, room=CALLS_ROOM)
    assert with_calls(message, called([("ok", 1, False)]).told()) == message
