"""Sets of indexes, as Kubernetes writes them and as workers do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.core.indexes import format_indexes, parse_indexes


@given(st.frozensets(st.integers(0, 999)))
def test_what_is_written_is_read_back(indexes: frozenset[int]) -> None:
    assert parse_indexes(format_indexes(indexes), 1000) == indexes


@given(st.frozensets(st.integers(0, 999)), st.integers(0, 1000))
def test_what_is_beyond_the_count_is_passed_over(indexes: frozenset[int], count: int) -> None:
    assert parse_indexes(format_indexes(indexes), count) == {index for index in indexes if index < count}


@pytest.mark.parametrize(
    ("indexes", "text"),
    [(set(), ""), ({1, 3, 4, 5, 7}, "1,3-5,7"), ({0, 1}, "0,1"), ({9, 10, 11}, "9-11"), ({5}, "5")],
)
def test_written_as_kubernetes_writes_them(indexes: set[int], text: str) -> None:
    assert format_indexes(indexes) == text


READ = {
    "an empty set": ("", set()),
    "spaces": (" 3 , 17-20 ", {3, 17, 18, 19, 20}),
    "parts in disorder, and twice": ("9,1,9,0-1", {0, 1, 9}),
    "leading zeros": ("007", {7}),
    "a range that reaches far beyond": ("98-999999999999999999", {98, 99}),
    "a range that lies beyond": ("999999999-9999999999", set()),
}


@pytest.mark.parametrize("case", READ)
def test_read(case: str) -> None:
    text, indexes = READ[case]
    assert parse_indexes(text, 100) == indexes


@pytest.mark.parametrize(
    "text", ["5-2", "a", "1,", ",", "-1", "1-", "1--2", "1-2-3", "1 2", "0x1", "1.5", "٣", "9" * 5000, "1;2"]
)
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither an index nor a range|ends before it begins"):
        parse_indexes(text, 100)
