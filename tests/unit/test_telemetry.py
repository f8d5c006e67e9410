"""Metrics: what is recorded, what goes with its policy, and what is never told."""

from collections.abc import Callable

import pytest

from periodic_sync.api.durations import MINUTE, SECOND
from periodic_sync.api.names import Priority, Reason
from periodic_sync.core.calls import CallOutcome, Calls, Durations
from periodic_sync.core.landed import BatchEnd, BatchResult, Lag
from periodic_sync.core.ledger import Breaker, Ledger, OpenJob, Refusal
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.status import Counts, Findings, Obstacle
from periodic_sync.kube.observing import verb_and_resource
from periodic_sync.kube.resources import CONFIG_MAPS, JOBS, LEASES, NAMESPACES, SYNC_POLICIES
from periodic_sync.telemetry import definitions
from periodic_sync.telemetry.policy import PolicyMetrics
from periodic_sync.telemetry.protocol import StoreOperation, TurnOutcome
from periodic_sync.telemetry.recorder import Metrics
from scraping import Scrape

FIRST, AGAIN = PolicyRef("shop", "portfolios", "uid-1"), PolicyRef("shop", "portfolios", "uid-2")
OTHER = PolicyRef("shop", "prices", "uid-3")
COUNTS = Counts(
    total=10, active=6, stale=2, due=1, in_flight=3, next_due=None, by_reason={Reason.IN_FLIGHT: 3, Reason.INACTIVE: 7}
)
JOB = OpenJob("job", 5, 5, (Priority.HIGH, Priority.LOW), (2, 2), frozenset({0, 1}))
FINDINGS = Findings(
    now=0,
    generation=1,
    enabled=True,
    is_market_hours=True,
    interval=5 * MINUTE,
    ledger=Ledger(generation=1, enabled=True, jobs=(JOB,)),
    counts=COUNTS,
    is_store_read=True,
    skipped=4,
)


def scraped(metrics: Metrics) -> Scrape:
    return Scrape(metrics.expose("")[0].decode())


def found(findings: Findings) -> Scrape:
    metrics = Metrics()
    metrics.policy(FIRST).found(findings)
    return scraped(metrics)


def test_what_a_turn_found_is_told_in_base_units() -> None:
    told = found(FINDINGS)
    expected = {
        "policy_enabled": 1,
        "market_open": 1,
        "interval_seconds": 300,
        "store_ready": 1,
        "breaker_open": 0,
        "open_jobs": 1,
        "batches_in_flight": 2,
        "total_users": 10,
        "active_users": 6,
        "stale_users": 2,
        "due_users": 1,
        "in_flight_users": 3,
        "skipped_entries": 4,
    }
    assert {name: told.value(f"periodic_sync_{name}", namespace="shop", policy="portfolios") for name in expected} == (
        expected
    )
    assert told.nonzero("periodic_sync_users", "reason") == {"InFlight": 3, "Inactive": 7}
    assert len(list(told.series("periodic_sync_users"))) == len(Reason)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "Scheduling"),
        ({"enabled": False}, "Paused"),
        ({"stalled": Obstacle("UnknownTimeZone", "no such zone")}, "Stalled"),
        ({"rebuilding": Obstacle("RebuildingLedger", "wait")}, "RebuildingLedger"),
        ({"store_obstacle": Obstacle("NotReady", "missing")}, "StoreNotReady"),
        ({"ledger": Ledger(breaker=Breaker(failed_batches=9))}, "WorkerFailing"),
        ({"worker_obstacle": Obstacle("WorkerFailing", "no pod")}, "WorkerFailing"),
        ({"ledger": Ledger(refusal=Refusal(1, 0, 0, "quota"))}, "JobRefused"),
    ],
)
def test_a_policy_is_in_exactly_one_state(changes: dict[str, object], state: str) -> None:
    told = found(Findings(**{"now": 0, "generation": 1, "enabled": True, **changes}))  # type: ignore[arg-type]
    assert told.nonzero("periodic_sync_policy_state", "state") == {state: 1}


def test_what_is_not_known_yet_has_no_series_and_what_was_known_stays() -> None:
    metrics = Metrics()
    metrics.policy(FIRST).found(Findings(now=0, generation=1, enabled=True))
    assert scraped(metrics).value("periodic_sync_store_ready") is None
    metrics.policy(FIRST).found(FINDINGS)
    metrics.policy(FIRST).found(Findings(0, 1, True, store_obstacle=Obstacle("NotReady", "missing")))
    assert scraped(metrics).value("periodic_sync_store_ready") == 0
    assert scraped(metrics).value("periodic_sync_total_users") == 10


def test_a_batch_counts_its_users_and_their_lags() -> None:
    metrics = Metrics()
    lags = (Lag(Priority.MEDIUM, to_claim=2 * SECOND, to_end=9 * SECOND),)
    metrics.policy(FIRST).batch_ended(BatchEnd(Priority.HIGH, BatchResult.PARTIAL, 3, 2, 0, 7 * SECOND, lags))
    told = scraped(metrics)
    assert told.nonzero("periodic_sync_user_syncs_total", "result", priority="high") == {"synced": 3, "failed": 2}
    assert told.nonzero("periodic_sync_batches_total", "result") == {"partial": 1}
    assert told.value("periodic_sync_batch_duration_seconds_sum", priority="high") == 7
    assert told.value("periodic_sync_due_lag_seconds_sum", priority="medium") == 9
    assert told.value("periodic_sync_claim_lag_seconds_sum", priority="medium") == 2
    assert told.value("periodic_sync_due_lag_seconds_count", priority="high") == 0


def test_counters_of_a_policy_begin_at_zero() -> None:
    metrics = Metrics()
    metrics.policy(FIRST)
    assert scraped(metrics).value("periodic_sync_user_syncs_total", priority="low", result="returned") == 0


SLOW = Durations((1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2), 130.5)
CALLS = Calls(3, {CallOutcome.OK: SLOW, CallOutcome.REFUSED: Durations((4, *[0] * 10), 0.1)})


def test_calls_of_workers_add_up_in_one_histogram() -> None:
    metrics = Metrics()
    for policy in (FIRST, FIRST, OTHER):
        metrics.policy(policy).batch_ended(BatchEnd(Priority.LOW, BatchResult.SUCCEEDED, 1, 0, 0, 1, calls=CALLS))
    told, name = scraped(metrics), "periodic_sync_worker_call_duration_seconds"
    assert told.value("periodic_sync_worker_retries_total", policy="portfolios") == 6
    assert told.nonzero(f"{name}_count", "outcome", policy="portfolios") == {"ok": 6, "refused": 8}
    assert told.value(f"{name}_sum", policy="portfolios", outcome="ok") == 261
    buckets = {labels["le"]: count for labels, count in told.series(f"{name}_bucket", policy="prices", outcome="ok")}
    assert (buckets["0.05"], buckets["60.0"], buckets["+Inf"]) == (1, 1, 3)


LATE: list[Callable[[PolicyMetrics], None]] = [
    lambda policy: policy.found(FINDINGS),
    lambda policy: policy.turn_ended(TurnOutcome.OK, 1),
    lambda policy: policy.batch_ended(BatchEnd(Priority.HIGH, BatchResult.FAILED, 0, 1, 0, 1)),
    lambda policy: policy.batch_ended(BatchEnd(Priority.HIGH, BatchResult.FAILED, 0, 1, 0, 1, calls=CALLS)),
    lambda policy: policy.close(),
]


@pytest.mark.parametrize("late", LATE)
def test_a_policy_that_is_gone_takes_its_series_along_whatever_comes_late(
    late: Callable[[PolicyMetrics], None],
) -> None:
    metrics = Metrics()
    gone, other = metrics.policy(FIRST), metrics.policy(OTHER)
    for policy in (gone, other):
        policy.found(FINDINGS)
        policy.turn_ended(TurnOutcome.OK, 1)
    gone.close()
    late(gone)
    assert scraped(metrics).policies == {("shop", "prices")}


def test_a_policy_made_again_begins_anew_and_outlives_the_end_of_the_first() -> None:
    metrics = Metrics()
    first = metrics.policy(FIRST)
    first.turn_ended(TurnOutcome.FAULT, 1)
    again = metrics.policy(AGAIN)
    assert scraped(metrics).value("periodic_sync_turns_total") == 0
    again.turn_ended(TurnOutcome.OK, 1)
    first.close()
    assert scraped(metrics).value("periodic_sync_turns_total") == 1


def test_leading_is_told_and_its_changes_are_counted() -> None:
    metrics = Metrics()
    assert scraped(metrics).value("periodic_sync_leader") == 0
    for leads in (True, True, False, True):
        metrics.leads(leads)
    assert scraped(metrics).value("periodic_sync_leader") == 1
    assert scraped(metrics).value("periodic_sync_leader_transitions_total") == 3


@pytest.mark.parametrize(
    ("status", "code", "conflicts"), [(200, "2xx", None), (409, "4xx", 1), (503, "5xx", None), (0, "none", None)]
)
def test_requests_are_told_by_the_class_of_their_answer(status: int, code: str, conflicts: float | None) -> None:
    metrics = Metrics()
    metrics.request_ended("update", "configmaps", status, 0.25)
    told = scraped(metrics)
    assert told.nonzero("periodic_sync_kubernetes_request_duration_seconds_sum", "code") == {code: 0.25}
    assert told.value("periodic_sync_kubernetes_conflicts_total", verb="update") == conflicts


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", CONFIG_MAPS.path("shop", "users"), ("get", "configmaps")),
        ("GET", JOBS.path("shop"), ("list", "jobs")),
        ("GET", SYNC_POLICIES.path(None), ("list", "syncpolicies")),
        ("PATCH", SYNC_POLICIES.path("shop", "portfolios", "status"), ("patch", "syncpolicies/status")),
        ("PUT", LEASES.path("namespaces", "namespaces"), ("update", "leases")),
        ("GET", NAMESPACES.path(None, "kube-system"), ("get", "namespaces")),
        ("POST", JOBS.path("shop"), ("create", "jobs")),
        ("DELETE", JOBS.path("shop", "job"), ("delete", "jobs")),
    ],
)
def test_a_request_is_told_by_verb_and_resource_and_no_name(method: str, path: str, told: tuple[str, str]) -> None:
    assert verb_and_resource(method, path) == told


def test_stores_and_the_event_loop_are_told_without_a_policy() -> None:
    metrics = Metrics()
    metrics.policy(FIRST).store_asked("redis", StoreOperation.APPLY, 0.5, False)
    metrics.woke_late(0.02)
    metrics.policy(FIRST).close()
    told = scraped(metrics)
    name = "periodic_sync_store_operation_duration_seconds_sum"
    assert told.value(name, store="redis", operation="apply", answered="no") == 0.5
    assert told.value("periodic_sync_event_loop_lag_seconds_sum") == 0.02


def test_openmetrics_is_spoken_to_who_asks_for_it() -> None:
    text, content_type = Metrics().expose("application/openmetrics-text;version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


@pytest.mark.parametrize("definition", definitions.ALL, ids=lambda definition: definition.name)
def test_a_metric_keeps_to_the_conventions(definition: definitions.Definition) -> None:
    assert definition.name.startswith("periodic_sync_")
    assert definition.name.endswith("_total") == (definition.kind is definitions.Kind.COUNTER)
    assert definition.help.endswith(".")
    assert not {"user", "user_id", "wallet"} & set(definition.labels)
    bounded = {"namespace", "policy", "version", "resource", *definitions.VALUES}
    assert set(definition.labels) <= bounded
    assert bool(definition.buckets) == (definition.kind is definitions.Kind.HISTOGRAM)
    assert sorted(definition.buckets) == list(definition.buckets)
