"""Every metric there is, as data: the recorder makes them from it, and docs/reference/metrics.md is made from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from periodic_sync.api.names import Priority, Reason
from periodic_sync.core.calls import BOUNDS, CallOutcome
from periodic_sync.core.landed import BatchResult
from periodic_sync.core.status import READY_REASONS
from periodic_sync.telemetry.protocol import StoreOperation, TurnOutcome


class Kind(StrEnum):
    """As Prometheus names them."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric. `buckets`: upper bounds of a histogram's, in seconds where its name says so."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    is_merged: bool = False
    """Of a histogram: somebody else has sorted the values into its buckets."""

    @property
    def is_of_a_policy(self) -> bool:
        return "policy" in self.labels

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which queries find it."""
        if self.kind is not Kind.HISTOGRAM:
            return (self.name,)
        return tuple(self.name + ending for ending in ("_bucket", "_sum", "_count"))


VALUES: Mapping[str, tuple[str, ...]] = {
    "reason": tuple(Reason),
    "state": READY_REASONS,
    "result": tuple(BatchResult),
    "outcome": tuple(TurnOutcome),
    "operation": tuple(StoreOperation),
    "store": ("configmap", "redis", "none"),
    "answered": ("yes", "no"),
    "verb": ("get", "list", "create", "update", "patch", "delete"),
    "code": ("2xx", "3xx", "4xx", "5xx", "none"),
    "priority": tuple(Priority),
}
"""All values of the labels that have a fixed list of them."""

DUE_PRIORITIES = (Priority.HIGH, Priority.MEDIUM)
"""Of users that are due by the clock."""

USER_RESULTS = ("synced", "failed", "returned")

_LAGS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400)
_RUNS = (0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_TURNS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REQUESTS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_PAUSES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

_OWNER = ("namespace", "policy")


def gauge(name: str, words: str, *labels: str) -> Definition:
    return Definition(f"periodic_sync_{name}", Kind.GAUGE, words, labels)


def counter(name: str, words: str, *labels: str) -> Definition:
    return Definition(f"periodic_sync_{name}_total", Kind.COUNTER, words, labels)


def histogram(name: str, buckets: tuple[float, ...], words: str, *labels: str) -> Definition:
    return Definition(f"periodic_sync_{name}_seconds", Kind.HISTOGRAM, words, labels, buckets)


# The process: every operator has these, whether it leads or stands by.

BUILD_INFO = gauge("build_info", "Always 1; the label tells the operator's version.", "version")
LEADER = gauge("leader", "1 while this operator schedules, 0 while it stands by.")
LEADER_TRANSITIONS = counter("leader_transitions", "Times that this operator began or ceased to lead.")
REQUEST_DURATION = histogram(
    "kubernetes_request_duration",
    _REQUESTS,
    "How long requests to the API server took, watches and those of the library that watches (kopf) left out. "
    "Code none: no answer came.",
    "verb",
    "resource",
    "code",
)
CONFLICTS = counter(
    "kubernetes_conflicts",
    "Requests that the API server answered with 409: somebody else wrote, or created, first.",
    "verb",
    "resource",
)
STORE_DURATION = histogram(
    "store_operation_duration",
    _REQUESTS,
    "How long the stores took. Answered no: out of reach, or not fit to be decided on.",
    "store",
    "operation",
    "answered",
)
LOOP_LAG = histogram(
    "event_loop_lag", _PAUSES, "How much later than asked the process woke up, tried once a second: how busy it is."
)
OPEN_JOBS_LIMIT = gauge("open_jobs_limit", "The most Jobs of one policy that may be open at once.")

# One policy: only the operator that leads has these, and only while the policy is there.

ENABLED = gauge("policy_enabled", "1 where spec.enabled is true.", *_OWNER)
STATE = gauge("policy_state", "1 for the reason of the policy's condition Ready, 0 for all others.", *_OWNER, "state")
MARKET_OPEN = gauge("market_open", "1 in the policy's market hours.", *_OWNER)
INTERVAL = gauge("interval_seconds", "The policy's interval that holds now.", *_OWNER)
STORE_READY = gauge("store_ready", "1 where the store could be read, 0 where a person has to mend it.", *_OWNER)
BREAKER_OPEN = gauge(
    "breaker_open", "1 while batches fail as a whole, so that only one is tried now and then.", *_OWNER
)
OPEN_JOBS = gauge("open_jobs", "Jobs that are open in the policy's ledger.", *_OWNER)
BATCHES_IN_FLIGHT = gauge("batches_in_flight", "Batches that are handed to Jobs and not closed yet.", *_OWNER)
LAST_TURN = gauge(
    "last_turn_timestamp_seconds",
    "When a turn last succeeded, in seconds since the epoch by the operator's clock.",
    *_OWNER,
)
TOTAL_USERS = gauge("total_users", "Valid records in the store.", *_OWNER)
ACTIVE_USERS = gauge("active_users", "Users seen within thresholds.active.", *_OWNER)
STALE_USERS = gauge("stale_users", "Active users whose data is stale; never synced and in flight included.", *_OWNER)
DUE_USERS = gauge("due_users", "Users that are due and not in flight, whatever they wait for.", *_OWNER)
IN_FLIGHT_USERS = gauge("in_flight_users", "Users in batches that are not closed yet.", *_OWNER)
SKIPPED_ENTRIES = gauge("skipped_entries", "Records of the store skipped, wholly or in part.", *_OWNER)
USERS = gauge("users", "Users by the one reason code that each has.", *_OWNER, "reason")
DUE_LAG = histogram(
    "due_lag",
    _LAGS,
    "From a user's due time until the end of its sync was seen: of users that were synced, and were DueRegular "
    "(medium) or DueStale (high) when claimed.",
    *_OWNER,
    "priority",
)
CLAIM_LAG = histogram(
    "claim_lag",
    _LAGS,
    "The part of the due lag before the claim: how long due users waited for a batch.",
    *_OWNER,
    "priority",
)
BATCH_DURATION = histogram(
    "batch_duration",
    _RUNS,
    "From the claim of a batch until its end was seen, by the batch's priority.",
    *_OWNER,
    "priority",
)
BATCHES = counter("batches", "Batches that ended.", *_OWNER, "priority", "result")
USER_SYNCS = counter(
    "user_syncs",
    "Users whose batch ended, by what became of them and by the batch's priority.",
    *_OWNER,
    "priority",
    "result",
)
WORKER_CALLS = Definition(
    "periodic_sync_worker_call_duration_seconds",
    Kind.HISTOGRAM,
    "How long calls of the built-in worker to the sync service took, by what they came to, counted when their batch "
    "ended. Workers of one's own have none.",
    (*_OWNER, "outcome"),
    BOUNDS,
    is_merged=True,
)
WORKER_RETRIES = counter("worker_retries", "Of these calls those that were further attempts for a user.", *_OWNER)
TURNS = counter("turns", "Turns of the policy's loop, by how they ended.", *_OWNER, "outcome")
TURN_DURATION = histogram("turn_duration", _TURNS, "How long turns took, however they ended.", *_OWNER)

_NARROWER: Mapping[tuple[str, str], tuple[str, ...]] = {
    (USER_SYNCS.name, "result"): USER_RESULTS,
    (DUE_LAG.name, "priority"): DUE_PRIORITIES,
    (CLAIM_LAG.name, "priority"): DUE_PRIORITIES,
    (WORKER_CALLS.name, "outcome"): tuple(CallOutcome),
}


def values_of(definition: Definition, label: str) -> tuple[str, ...]:
    """All values that a label may have with this metric; none where there is no list of them."""
    return _NARROWER.get((definition.name, label), VALUES.get(label, ()))


ALL: tuple[Definition, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Definition))
"""In the order above."""
