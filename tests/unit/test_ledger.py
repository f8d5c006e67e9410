"""The ledger as it is stored, and what it says by itself."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_support import open_job
from periodic_sync.api.durations import MINUTE, SECOND
from periodic_sync.api.names import Priority
from periodic_sync.core.ledger import FORMAT_VERSION, Breaker, Ledger, OpenJob, Refusal, from_json, to_json

numbers = st.integers(0, 2**53 - 1)


@st.composite
def open_jobs(draw: st.DrawFn) -> OpenJob:
    sizes = tuple(draw(st.lists(st.integers(1, 1000), min_size=1, max_size=4)))
    base = draw(st.builds(OpenJob, sizes=st.just(sizes), claim=numbers, claimed_at=numbers))
    priorities = tuple(draw(st.sampled_from(Priority)) for _ in sizes)
    opened = draw(st.frozensets(st.integers(0, len(sizes) - 1), min_size=1))
    return open_job(base.name, claim=base.claim, sizes=sizes, priorities=priorities, open=opened, phase=base.phase)


ledgers = st.builds(
    Ledger,
    version=st.just(FORMAT_VERSION),
    jobs=st.lists(open_jobs(), max_size=3).map(tuple),
    generation=numbers,
    last_claim=numbers,
)

# Deriving a strategy from the dataclasses takes its time once, which is no sign of a bad strategy.
slow_at_first = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)


@slow_at_first
@given(ledgers)
def test_what_was_written_is_read_back(ledger: Ledger) -> None:
    assert from_json(to_json(ledger)) == ledger


@slow_at_first
@given(ledgers)
def test_equal_ledgers_are_written_alike(ledger: Ledger) -> None:
    """So that a comparison of texts is one of ledgers, too."""
    assert json.loads(to_json(from_json(to_json(ledger)))) == json.loads(to_json(ledger))


def test_a_ledger_of_an_earlier_build_without_newer_fields_is_read() -> None:
    assert from_json('{"version": 1, "last_claim": 7}') == Ledger(last_claim=7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "Invalid JSON", id="nothing"),
        pytest.param("{", "Invalid JSON", id="cut off"),
        pytest.param("[]", "", id="a list"),
        pytest.param('{"version": 2}', "format version 2; this operator knows 1", id="a later version"),
        pytest.param('{"jobs": 3}', "", id="a field of the wrong kind"),
    ],
)
def test_an_unreadable_ledger_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError) as error:
        from_json(text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("last_claim", "now", "in_store", "number"),
    [
        pytest.param(5, 1000, 3, 1000, id="the clock, as a rule"),
        pytest.param(1000, 1000, 3, 1001, id="one above the last claim of the same millisecond"),
        pytest.param(2000, 1000, 3, 2001, id="above the last claim when the clock was set back"),
        pytest.param(0, 1000, 5000, 5001, id="above the store's highest when the ledger was lost"),
    ],
)
def test_a_claim_is_above_every_earlier_one(last_claim: int, now: int, in_store: int, number: int) -> None:
    assert Ledger(last_claim=last_claim).next_claim(now=now, highest_in_store=in_store) == number


def test_an_open_jobs_priority_is_the_highest_in_it() -> None:
    job = open_job(sizes=(1, 1, 1), priorities=(Priority.LOW, Priority.HIGH, Priority.MEDIUM))
    assert job.priority is Priority.HIGH


def test_only_open_indexes_are_batches_in_flight() -> None:
    ledger = Ledger(jobs=(open_job("a", sizes=(1, 1, 1), open=frozenset({1})), open_job("b", sizes=(4, 4))))
    assert ledger.batches_in_flight() == 3


def test_three_failed_batches_open_the_breaker() -> None:
    assert [Breaker(failed_batches=count).is_open for count in range(5)] == [False, False, False, True, True]
    assert Breaker(3, last_probe=7).may_probe_at() == 7 + 30 * SECOND


def test_refusals_in_a_row_wait_twice_as_long_up_to_five_minutes() -> None:
    pauses = [Refusal(count, 0, 1, "").until() for count in (1, 2, 3, 4, 5, 100)]
    assert pauses == [30 * SECOND, MINUTE, 2 * MINUTE, 4 * MINUTE, 5 * MINUTE, 5 * MINUTE]
