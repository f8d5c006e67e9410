"""Waits and time limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.worker.backoff import (
    LONGEST_PAUSE,
    TimeLimit,
    backoff_seconds,
    is_retried,
    parse_retry_after,
    time_limit,
)

NOON = 1764072000.0  # 2025-11-25T12:00:00Z


@pytest.mark.parametrize(("failed", "most"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (10, 30.0)])
def test_back_off_doubles_up_to_30_seconds_with_full_jitter(failed: int, most: float) -> None:
    assert backoff_seconds(failed, lambda: 0.0) == 0.0
    assert backoff_seconds(failed, lambda: 0.5) == most / 2
    assert backoff_seconds(failed, lambda: 1.0) == most


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Tue, 25 Nov 2025 12:00:30 GMT", 30.0),
        ("Tue, 25 Nov 2025 12:00:30 -0000", 30.0),
        ("Tuesday, 25-Nov-25 12:01:00 GMT", 60.0),
        ("Tue, 25 Nov 2025 11:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Tue, 99 Nov 2025 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_anything_else_is_ignored(
    header: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(header, NOON) == seconds


@given(header=st.text(max_size=60))
def test_no_retry_after_header_is_an_error(header: str) -> None:
    seconds = parse_retry_after(header, NOON)
    assert seconds is None or seconds >= 0


def test_only_statuses_that_may_pass_are_retried() -> None:
    retried = [status for status in range(100, 600) if is_retried(status)]
    assert retried == [408, 425, 429, *range(500, 600)]


@pytest.mark.parametrize(
    ("deadline", "pod_started", "cutoff", "end"),
    [
        (None, NOON - 5, float("inf"), float("inf")),
        (600.0, NOON, 1570.0, 1585.0),
        (600.0, NOON - 100, 1470.0, 1485.0),  # pulling the image took 100 s of it
        (600.0, NOON - 601, 1570.0, 1585.0),  # such a pod would be gone: an old file, run by hand
        (600.0, NOON + 60, 1570.0, 1585.0),
        (600.0, None, 1570.0, 1585.0),
        (30.0, NOON, 1027.0, 1028.5),
        (10.0, NOON, 1008.0, 1009.0),
        (1.0, NOON, 1000.5, 1000.75),
    ],
)
def test_the_run_ends_before_the_deadline_does(
    deadline: float | None, pod_started: float | None, cutoff: float, end: float
) -> None:
    limit = time_limit(deadline, now=1000.0, wall=NOON, pod_started=pod_started)
    assert limit == TimeLimit(cutoff, end)


@given(deadline=st.floats(0.001, 1e6), gone=st.floats(-1e6, 1e6))
def test_there_is_always_time_left_to_write_results(deadline: float, gone: float) -> None:
    limit = time_limit(deadline, now=0.0, wall=NOON, pod_started=NOON - gone)
    assert limit.cutoff < limit.end < deadline


def test_the_longest_pause_is_the_default_deadline() -> None:
    assert LONGEST_PAUSE == 600.0
