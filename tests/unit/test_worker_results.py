"""The termination message always fits, and always names exactly those who failed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.worker.results import Failure, compress_indexes, short_reason, termination_message

IDS = st.text("abcXYZ019._:@-", min_size=1, max_size=128)


def expand_indexes(text: str) -> set[int]:
    """An independent reader of completedIndexes."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def read_back(message: str, ids: list[str]) -> set[int]:
    """Who failed, by position, as an operator that knows the batch's ids reads it."""
    parsed = json.loads(message)
    assert parsed["version"] == 1
    named = {ids.index(id) for id in parsed.get("failed", {})}
    by_position = expand_indexes(parsed.get("failedIndexes", ""))
    assert not named & by_position
    return named | by_position


@pytest.mark.parametrize(
    ("positions", "text"),
    [
        ([], ""),
        ([0], "0"),
        ([3, 17, 18, 19, 20], "3,17-20"),
        ([4, 5], "4,5"),
        ([4, 5, 6], "4-6"),
        ([2, 1, 0, 9, 9], "0-2,9"),
        ([0, 1, 3, 4, 6, 7, 8], "0,1,3,4,6-8"),
    ],
)
def test_positions_are_written_as_kubernetes_writes_completed_indexes(positions: list[int], text: str) -> None:
    assert compress_indexes(positions) == text


@given(positions=st.sets(st.integers(0, 999)))
def test_compressed_positions_read_back_to_the_same_set(positions: set[int]) -> None:
    assert expand_indexes(compress_indexes(positions)) == positions


def test_a_few_failures_are_named_with_their_reasons() -> None:
    message = termination_message({6: Failure("u7", "rpc timeout"), 2: Failure("u3", "HTTP 500")})
    assert json.loads(message) == {"version": 1, "failed": {"u3": "HTTP 500", "u7": "rpc timeout"}}


@pytest.mark.parametrize(
    "failed",
    [range(1000), range(0, 1000, 2), [n for n in range(1000) if n % 3], [999]],
    ids=["all of 1,000", "every other one", "two of three, the longest list of positions", "the last"],
)
@pytest.mark.parametrize("id_length", [4, 128])
def test_a_batch_of_1000_always_fits(failed: range | list[int], id_length: int) -> None:
    ids = [f"{position:04d}".rjust(id_length, "u") for position in range(1000)]
    failures = {position: Failure(ids[position], "HTTP 503 Service Unavailable") for position in failed}
    message = termination_message(failures)
    assert len(message.encode()) <= 4096
    assert read_back(message, ids) == set(failed)
    assert json.loads(message)["failed"], "there is always room for some names"


@given(
    ids=st.lists(IDS, min_size=1, max_size=1000, unique=True),
    reason=st.text(max_size=200),
    chosen=st.randoms(use_true_random=False),
    share=st.floats(0, 1),
)
def test_any_failures_of_any_batch_fit_and_read_back_exactly(
    ids: list[str], reason: str, chosen: object, share: float
) -> None:
    failed = {at for at in range(len(ids)) if chosen.random() <= share} or {0}  # type: ignore[attr-defined]
    message = termination_message({at: Failure(ids[at], short_reason(reason)) for at in failed})
    assert len(message.encode()) <= 4096
    assert read_back(message, ids) == failed


@given(limit=st.integers(60, 400), ids=st.lists(IDS, min_size=1, max_size=12, unique=True))
def test_a_limit_is_kept_to_the_byte(limit: int, ids: list[str]) -> None:
    message = termination_message({at: Failure(id, "HTTP 500") for at, id in enumerate(ids)}, limit)
    assert len(message.encode()) <= limit
    assert read_back(message, ids) == set(range(len(ids)))


def test_someone_who_must_not_be_named_is_told_by_position() -> None:
    message = termination_message({0: Failure(None, "HTTP 500"), 1: Failure("u1", "HTTP 500")})
    assert json.loads(message) == {"version": 1, "failed": {"u1": "HTTP 500"}, "failedIndexes": "0"}


def test_more_failures_than_can_be_told_are_refused_instead_of_cut() -> None:
    with pytest.raises(ValueError, match="don't fit into 4096 bytes"):
        termination_message({at: Failure(None, "") for at in range(0, 4000, 2)})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rpc timeout", "rpc timeout"),
        ("  two\n lines\x00\t", "two lines"),
        ("x" * 81, "x" * 77 + "..."),
        ("x" * 80, "x" * 80),
    ],
)
def test_reasons_are_one_short_line(text: str, reason: str) -> None:
    assert short_reason(text) == reason
