"""Figures of policies, from their status and ledgers."""

from typing import Any

import pytest

from periodic_sync.api.names import Priority
from periodic_sync.core.ledger import Ledger, OpenJob, Totals
from periodic_sync.server.figures import queue_stats, scheduler_stats


def policy(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "portfolios", "namespace": "shop", "uid": "uid"}, "status": status}


def test_figures_of_policies_are_summed_up_and_the_next_sync_is_the_earliest() -> None:
    one = policy(enabled=True, running=True, totalUsers=5, activeUsers=3, nextScheduledSync="2026-01-31T09:35:00Z")
    two = policy(enabled=False, running=False, totalUsers=2, activeUsers=1, isMarketHours=True)
    three = policy(enabled=True, running=True, nextScheduledSync="2026-01-31T09:30:00Z")
    assert scheduler_stats([one, two, three, {"metadata": {}}]).model_dump(by_alias=True) == {
        "enabled": True,
        "running": True,
        "totalUsers": 7,
        "activeUsers": 4,
        "isMarketHours": True,
        "nextScheduledSync": "2026-01-31T09:30:00Z",
    }


def test_without_policies_nothing_is_scheduled_and_no_word_stands_for_a_time() -> None:
    stats = scheduler_stats([])
    assert (stats.enabled, stats.total_users, stats.next_scheduled_sync) == (False, 0, None)


def test_the_queue_is_counted_by_priority_where_the_ledger_tells_it() -> None:
    job = OpenJob("job", 1, 0, (Priority.HIGH, Priority.LOW, Priority.LOW), (10, 4, 3), frozenset({0, 2}))
    ledger = Ledger(jobs=(job,), totals=Totals({Priority.HIGH: 7, Priority.MEDIUM: 2}, {Priority.LOW: 1}))
    due = {"high": 3, "medium": 2, "low": 0}
    body = policy(enabled=True, activeUsers=50, dueUsers=5, dueUsersByPriority=due, inFlightUsers=13)
    stats = queue_stats([body], [ledger]).model_dump(by_alias=True)
    by_priority = stats.pop("byPriority")
    assert stats == {"waiting": 5, "active": 13, "completed": 9, "failed": 1, "delayed": 32}
    assert by_priority["high"] == {"waiting": 3, "active": 10, "completed": 7, "failed": 0, "delayed": 0}
    assert by_priority["medium"] == {"waiting": 2, "active": 0, "completed": 2, "failed": 0, "delayed": 32}
    assert by_priority["low"] == {"waiting": 0, "active": 3, "completed": 0, "failed": 1, "delayed": 0}
    assert {key: sum(queue[key] for queue in by_priority.values()) for key in stats} == stats


def test_who_waits_where_an_earlier_operator_told_no_priorities_is_not_left_out() -> None:
    queues = queue_stats([policy(enabled=True, dueUsers=5)], [Ledger()]).by_priority
    assert (queues.high.waiting, queues.medium.waiting, queues.low.waiting) == (0, 5, 0)


@pytest.mark.parametrize("enabled", [False, None])
def test_nobody_is_delayed_in_a_policy_that_syncs_nobody(enabled: bool | None) -> None:
    assert queue_stats([policy(enabled=enabled, activeUsers=50)], [Ledger()]).delayed == 0
