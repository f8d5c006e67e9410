"""`status` of a SyncPolicy, folded from what a turn found.

Counters are recomputed each time and never incremented. A condition keeps its transition time while its status stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from periodic_sync.api.names import Condition, Priority, Reason
from periodic_sync.api.reasons import ConditionReason
from periodic_sync.core.ledger import Breaker, Ledger, Phase, Refusal

Status = dict[str, Any]
Words = tuple[str, ConditionReason, str]
"""Of a condition: status, reason and message."""

LONGEST_MESSAGE = 2048


@dataclass(frozen=True, slots=True)
class Counts:
    """Users as counted by the last plan. `stale` are active ones; `due` are not in flight."""

    total: int
    active: int
    stale: int
    due: int
    in_flight: int
    next_due: int | None
    by_reason: Mapping[Reason, int] = field(default_factory=dict)
    """Every user under exactly one."""
    due_by_priority: Mapping[Priority, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that a person has to mend: a condition's reason, and a sentence with the cause and the fix."""

    reason: ConditionReason
    message: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What one turn found, as far as the status tells it. An obstacle that is None is not in the way."""

    now: int
    generation: int
    """Of the spec that the turn read."""
    enabled: bool
    store: str | None = None
    """None: unknown, since the spec could not be read."""
    is_market_hours: bool | None = None
    interval: int | None = None
    """The policy's own that holds now, in milliseconds."""
    ledger: Ledger | None = None
    counts: Counts | None = None
    """None: unknown, since the store could not be read; the last known stay."""
    is_store_read: bool = False
    skipped: int = 0
    store_note: str = ""
    """What a person should know of a store that works all the same."""
    store_obstacle: Obstacle | None = None
    stalled: Obstacle | None = None
    rebuilding: Obstacle | None = None
    worker_obstacle: Obstacle | None = None


def fold(previous: Status, found: Findings) -> Status:
    """The whole new status. Fields of which nothing is known keep what `previous` says."""
    status = {**previous}
    if found.store is not None:
        status["store"] = found.store
    acknowledged = found.ledger is not None and is_acknowledged(found.ledger, found.generation)
    if acknowledged:
        status |= {"observedGeneration": found.generation, "enabled": found.enabled}
    if found.is_market_hours is not None:
        status["isMarketHours"] = found.is_market_hours
    if found.ledger is not None:
        status |= _from_ledger(found.ledger)
    if found.counts is not None:
        status |= _from_counts(found.counts, found)
    if not found.enabled:
        status |= {"dueUsers": 0, "dueUsersByPriority": _by_priority({}), "nextScheduledSync": None}
    if found.enabled and found.ledger is None:
        # What keeps it from being acted on must be seen to be about this spec; both fields, since together they say
        # whether the policy is switched off.
        status |= {"observedGeneration": found.generation, "enabled": True}
    conditions = _conditions(found, is_acknowledged=acknowledged)
    status["running"] = found.enabled and conditions[Condition.READY][1] in _RUNNING
    status["conditions"] = _with_transition_times(previous.get("conditions") or [], conditions, found)
    return {key: value for key, value in status.items() if value is not None}


def ready_reason(found: Findings) -> ConditionReason:
    """The reason of the condition Ready: one of `READY_REASONS`."""
    return (_ready(found) if found.enabled else _switched_off(found, is_acknowledged=True))[1]


def is_acknowledged(ledger: Ledger, generation: int) -> bool:
    """Whether the spec of that generation is in force: it is the ledger's, and, when that disables the policy, no claim
    made before can still become a Job."""
    if ledger.generation != generation:
        return False
    return ledger.enabled or all(job.phase is not Phase.CLAIMED for job in ledger.jobs)


def format_instant(milliseconds: int) -> str:
    """RFC 3339 in whole seconds, as the API server writes times."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_NOT_READ = ("Unknown", ConditionReason.NOT_READ, "The store has not been read yet")
_RUNNING = frozenset({ConditionReason.SCHEDULING, ConditionReason.WORKER_FAILING, ConditionReason.JOB_REFUSED})
READY_REASONS = (
    ConditionReason.SCHEDULING,
    ConditionReason.PAUSED,
    ConditionReason.STORE_NOT_READY,
    ConditionReason.WORKER_FAILING,
    ConditionReason.JOB_REFUSED,
    ConditionReason.REBUILDING_LEDGER,
    ConditionReason.STALLED,
)


def _from_ledger(ledger: Ledger) -> Status:
    request = ledger.request
    return {
        "activeJobs": len(ledger.jobs),
        "lastScheduleTime": _instant(ledger.last_schedule),
        "lastSyncTime": _instant(ledger.last_sync),
        "lastHandledRequest": request.token if request else None,
        "lastCompletedRequest": ledger.last_completed_request or None,
        "usersSynced": sum(ledger.totals.synced.values()),
        "usersFailed": sum(ledger.totals.failed.values()),
    }


def _from_counts(counts: Counts, found: Findings) -> Status:
    return {
        "totalUsers": counts.total,
        "activeUsers": counts.active,
        "staleUsers": counts.stale,
        "dueUsers": counts.due,
        "dueUsersByPriority": _by_priority(counts.due_by_priority),
        "inFlightUsers": counts.in_flight,
        "nextScheduledSync": _instant(counts.next_due),
        "skippedEntries": found.skipped,
    }


def _by_priority(counts: Mapping[Priority, int]) -> dict[str, int]:
    return {priority.value: counts.get(priority, 0) for priority in Priority}


def _instant(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else format_instant(milliseconds)


def _conditions(found: Findings, *, is_acknowledged: bool) -> dict[Condition, Words]:
    """Type to (status, reason, message)."""
    ready = _ready(found) if found.enabled else _switched_off(found, is_acknowledged=is_acknowledged)
    conditions: dict[Condition, Words] = {Condition.READY: ready}
    if found.store_obstacle:
        conditions[Condition.STORE_READY] = ("False", found.store_obstacle.reason, found.store_obstacle.message)
    elif found.is_store_read:
        conditions[Condition.STORE_READY] = (
            "True",
            ConditionReason.READABLE,
            found.store_note or "All entries are readable.",
        )
    if found.stalled:
        conditions[Condition.STALLED] = ("True", found.stalled.reason, found.stalled.message)
    return conditions


def _ready(found: Findings) -> Words:
    if found.stalled:
        return "False", ConditionReason.STALLED, found.stalled.message
    if found.rebuilding:
        return "False", ConditionReason.REBUILDING_LEDGER, found.rebuilding.message
    if found.store_obstacle:
        return "False", ConditionReason.STORE_NOT_READY, found.store_obstacle.message
    ledger = found.ledger
    if ledger is not None and ledger.breaker.is_open:
        return "False", ConditionReason.WORKER_FAILING, _failing(ledger.breaker)
    if ledger is not None and ledger.refusal is not None and _is_held_up(ledger.refusal, found):
        until = format_instant(ledger.refusal.until())
        return (
            "False",
            ConditionReason.JOB_REFUSED,
            f"The API server refused a Job, next try after {until}: {ledger.refusal.message}",
        )
    if found.worker_obstacle:
        return "False", found.worker_obstacle.reason, found.worker_obstacle.message
    return "True", ConditionReason.SCHEDULING, _scheduling(found)


def _is_held_up(refusal: Refusal, found: Findings) -> bool:
    """A refusal that is over, and after which nobody has come due, holds up nobody."""
    return found.now < refusal.until() or found.counts is None or found.counts.due > 0


def _switched_off(found: Findings, *, is_acknowledged: bool) -> Words:
    if found.rebuilding and found.ledger is None:
        return "False", ConditionReason.REBUILDING_LEDGER, found.rebuilding.message
    running = found.ledger.batches_in_flight() if found.ledger else 0
    still = f" {running} batches claimed before still run to their end." if running else ""
    if not is_acknowledged:
        return "True", ConditionReason.PAUSED, f"spec.enabled is false: seeing to it that no new batch starts.{still}"
    return "True", ConditionReason.PAUSED, f"spec.enabled is false: no new batch starts.{still}"


def _failing(breaker: Breaker) -> str:
    return (
        f"{breaker.failed_batches} batches in a row ended without a single user synced. One probe batch is sent every "
        "30 s, and syncing resumes with the first success. See the logs of the last worker pods, and whether the "
        "service they call is up"
    )


def _scheduling(found: Findings) -> str:
    if found.counts is None:
        return "Reading the users."
    hours = "in market hours" if found.is_market_hours else "outside market hours"
    return f"Syncing {found.counts.active} active users, {hours}."


def _with_transition_times(
    previous: list[Mapping[str, Any]], conditions: Mapping[Condition, Words], found: Findings
) -> list[dict[str, Any]]:
    before = {condition.get("type"): condition for condition in previous}
    result = []
    for kind in Condition:
        if kind not in conditions:
            if kind is not Condition.STORE_READY:
                continue
            if kind in before:
                result.append(dict(before[kind]))
                continue
        status, reason, message = conditions.get(kind, _NOT_READ)
        old = before.get(kind)
        kept = old is not None and old.get("status") == status
        result.append(
            {
                "type": kind.value,
                "status": status,
                "reason": reason,
                "message": message[:LONGEST_MESSAGE],
                "observedGeneration": found.generation,
                "lastTransitionTime": old["lastTransitionTime"]
                if old is not None and kept
                else format_instant(found.now),
            }
        )
    return result
