"""The operator's own probe."""

from live.operator import REPLICAS, Operator


def test_the_operator_says_that_it_is_well_whether_it_leads_or_stands_by(operator: Operator) -> None:
    assert operator.health() == ["ok\n"] * REPLICAS
