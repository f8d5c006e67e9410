"""The metrics of one policy, for as long as the operator schedules it."""

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from periodic_sync.api.durations import SECOND
from periodic_sync.api.names import Priority, Reason
from periodic_sync.core.calls import Calls
from periodic_sync.core.landed import BatchEnd, BatchResult
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.status import READY_REASONS, Counts, Findings, ready_reason
from periodic_sync.telemetry import definitions as d
from periodic_sync.telemetry.protocol import StoreOperation, TurnOutcome
from periodic_sync.telemetry.registry import Registered


class PolicyMetrics:
    """See `PolicyTelemetry`. Gauges are there once they are known, counters from 0 on, as rates need it."""

    def __init__(
        self,
        policy: PolicyRef,
        registered: Registered,
        forget: Callable[[PolicyRef], None],
        clock: Callable[[], float],
    ) -> None:
        """`forget`: ends all series of a policy. `clock`: seconds since the epoch."""
        self.about = policy
        self._registered, self._forget = registered, forget
        self._clock = clock
        self._owner = policy.namespace, policy.name
        self._is_closed = False
        self._gauges: dict[tuple[str, ...], Gauge] = {}
        self._turn_duration = registered.histogram(d.TURN_DURATION).labels(*self._owner)
        self._turns = {each: self._counter(d.TURNS, each) for each in TurnOutcome}
        self._due_lag = {each: self._histogram(d.DUE_LAG, each) for each in d.DUE_PRIORITIES}
        self._claim_lag = {each: self._histogram(d.CLAIM_LAG, each) for each in d.DUE_PRIORITIES}
        self._duration = {each: self._histogram(d.BATCH_DURATION, each) for each in Priority}
        self._batches = {(each, end): self._counter(d.BATCHES, each, end) for each in Priority for end in BatchResult}
        self._retries = self._counter(d.WORKER_RETRIES)
        self._syncs = {
            (each, end): self._counter(d.USER_SYNCS, each, end) for each in Priority for end in d.USER_RESULTS
        }

    def turn_ended(self, outcome: TurnOutcome, seconds: float) -> None:
        """See `PolicyTelemetry`."""
        self._turns[outcome].inc()
        self._turn_duration.observe(seconds)
        if outcome is TurnOutcome.OK:
            self._set(d.LAST_TURN, self._clock())

    def found(self, found: Findings) -> None:
        """See `PolicyTelemetry`."""
        self._set(d.ENABLED, found.enabled)
        reason = ready_reason(found)
        for each in READY_REASONS:
            self._set(d.STATE, each == reason, each)
        if found.store_obstacle is not None:
            self._set(d.STORE_READY, 0)
        elif found.is_store_read:
            self._set(d.STORE_READY, 1)
            self._set(d.SKIPPED_ENTRIES, found.skipped)
        if found.is_market_hours is not None:
            self._set(d.MARKET_OPEN, found.is_market_hours)
        if found.interval is not None:
            self._set(d.INTERVAL, found.interval / SECOND)
        if found.ledger is not None:
            self._set(d.BREAKER_OPEN, found.ledger.breaker.is_open)
            self._set(d.OPEN_JOBS, len(found.ledger.jobs))
            self._set(d.BATCHES_IN_FLIGHT, found.ledger.batches_in_flight())
        if found.counts is not None:
            self._count(found.counts)

    def _count(self, counts: Counts) -> None:
        self._set(d.TOTAL_USERS, counts.total)
        self._set(d.ACTIVE_USERS, counts.active)
        self._set(d.STALE_USERS, counts.stale)
        self._set(d.DUE_USERS, counts.due)
        self._set(d.IN_FLIGHT_USERS, counts.in_flight)
        for reason in Reason:
            self._set(d.USERS, counts.by_reason.get(reason, 0), reason)

    def batch_ended(self, end: BatchEnd) -> None:
        """See `PolicyTelemetry`."""
        self._batches[end.priority, end.result].inc()
        self._duration[end.priority].observe(end.took / SECOND)
        for result, users in zip(d.USER_RESULTS, (end.synced, end.failed, end.returned), strict=True):
            self._syncs[end.priority, result].inc(users)
        if end.calls is not None:
            self._count_calls(end.calls)
        for lag in end.lags:
            self._due_lag[lag.priority].observe(lag.to_end / SECOND)
            self._claim_lag[lag.priority].observe(lag.to_claim / SECOND)

    def _count_calls(self, calls: Calls) -> None:
        if self._is_closed:
            return
        self._retries.inc(calls.retries)
        for outcome, durations in calls.by_outcome.items():
            labels = *self._owner, outcome.value
            self._registered.merged(d.WORKER_CALLS).add(labels, durations.counts, durations.seconds)

    def store_asked(self, store: str, operation: StoreOperation, seconds: float, is_answered: bool) -> None:
        """See `PolicyTelemetry`."""
        labels = store, operation, "yes" if is_answered else "no"
        self._registered.histogram(d.STORE_DURATION).labels(*labels).observe(seconds)

    def close(self) -> None:
        """See `PolicyTelemetry`."""
        if not self._is_closed:
            self._is_closed = True
            self._forget(self.about)

    def _set(self, definition: d.Definition, value: float, *labels: str) -> None:
        if self._is_closed:
            return  # or a series that is gone would be there again
        key = (definition.name, *labels)
        if key not in self._gauges:
            self._gauges[key] = self._registered.gauge(definition).labels(*self._owner, *labels)
        self._gauges[key].set(value)

    def _counter(self, definition: d.Definition, *labels: str) -> Counter:
        return self._registered.counter(definition).labels(*self._owner, *labels)

    def _histogram(self, definition: d.Definition, *labels: str) -> Histogram:
        return self._registered.histogram(definition).labels(*self._owner, *labels)
