"""What the operator answers over HTTP: its own probe, and its metrics."""

from cluster_support import eventually
from live.operator import REPLICAS, Operator


def test_the_operator_says_that_it_is_well_whether_it_leads_or_stands_by(operator: Operator) -> None:
    assert operator.health() == ["ok\n"] * REPLICAS


def test_one_operator_tells_that_it_leads_and_only_that_one_tells_of_policies(operator: Operator) -> None:
    def one_leads() -> None:
        assert operator.scrape_leader().value("periodic_sync_leader") == 1
        [standby] = operator.scrape_standbys()
        assert (standby.value("periodic_sync_leader"), standby.policies) == (0, set())
        assert standby.value("process_resident_memory_bytes")

    eventually(one_leads, seconds=60)
