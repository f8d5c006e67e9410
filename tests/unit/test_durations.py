"""Durations are read and written as GEP-2257 says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.api.durations import DAY, DURATION_PATTERN, HOUR, MINUTE, SECOND, format_duration, parse_duration

LONGEST = 99_999 * HOUR + HOUR - 1
PARTS = st.tuples(st.integers(0, 99_999), st.sampled_from(["h", "m", "s", "ms"]))


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("5m", 5 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("500ms", 500),
        ("0s", 0),
        ("24h", DAY),
        ("1m1m", 2 * MINUTE),
        ("1s1h", HOUR + SECOND),
        ("99999h99999h99999h99999h", 4 * 99_999 * HOUR),
    ],
)
def test_a_duration_is_read_as_whole_milliseconds(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "5", "m", "-5m", "+5m", "1.5h", "1d", "5 m", " 5m", "5m\n", "5M", "100000s", "1h1h1h1h1h", "٥m"]
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 5m, 1h30m or 500ms"):
        parse_duration(text)


@pytest.mark.parametrize("value", [None, 5, True, ["5m"]])
def test_a_duration_that_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(90 * SECOND, "1m30s"), (DAY, "24h"), (HOUR + 1, "1h1ms"), (0, "0s"), (-90 * SECOND, "-1m30s")],
)
def test_a_duration_is_written_the_shortest_way(milliseconds: int, text: str) -> None:
    assert format_duration(milliseconds) == text


@given(st.integers(0, LONGEST))
def test_what_is_written_is_read_back_as_the_same(milliseconds: int) -> None:
    text = format_duration(milliseconds)
    assert re.fullmatch(DURATION_PATTERN, text)
    assert parse_duration(text) == milliseconds


@given(st.lists(PARTS, min_size=1, max_size=4))
def test_every_text_of_the_pattern_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_duration(text) == sum(parse_duration(f"{number}{unit}") for number, unit in parts)


@given(st.text().filter(lambda text: not re.fullmatch(DURATION_PATTERN, text)))
def test_any_other_text_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
