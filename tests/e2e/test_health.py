"""The operator's own probe."""

from live.operator import Operator


def test_the_operator_says_that_it_is_well(operator: Operator) -> None:
    assert operator.health() == "ok\n"
