"""How the policies are: what the operator last reported, summed up. Numbers and times only, no user."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from periodic_sync.api.names import Priority
from periodic_sync.core.ledger import Ledger
from periodic_sync.kube.answers import Answers
from periodic_sync.kube.ledgers import ledger_in
from periodic_sync.server.models import ByPriority, Queue, QueueStats, SchedulerStats
from periodic_sync.server.problems import no_such_policy

FRESH_SECONDS = 2.0
"""So old figures may be: they are open to everyone, who must not be able to keep the API server busy."""

_WAITING, _ACTIVE, _COMPLETED, _FAILED = range(4)

Object = dict[str, Any]


class Lists(Protocol):
    """Raises: ApiError."""

    async def policies(self) -> list[Object]: ...

    async def ledgers(self) -> Mapping[str, Object]: ...


@dataclass(frozen=True, slots=True)
class _Seen:
    policies: list[Object]
    ledgers: Mapping[str, Object]


class Figures:
    """For any number of tasks."""

    def __init__(self, lists: Lists, clock: Callable[[], float]) -> None:
        """clock: seconds, only forward."""
        self._lists = lists
        self._policies: Answers[str, list[Object]] = Answers(seconds=lambda _: FRESH_SECONDS, clock=clock)
        self._all: Answers[str, _Seen] = Answers(seconds=lambda _: FRESH_SECONDS, clock=clock)

    async def scheduler(self, policy: tuple[str, str] | None) -> SchedulerStats:
        """Of one policy, or of all that are served. Raises: Problem, ApiError."""
        return scheduler_stats(_chosen(await self._policies.get("", self._lists.policies), policy))

    async def queue(self, policy: tuple[str, str] | None) -> QueueStats:
        """Of one policy, or of all that are served. Raises: Problem, ApiError."""
        seen = await self._all.get("", self._look)
        chosen = _chosen(seen.policies, policy)
        return queue_stats(chosen, [_ledger(seen.ledgers.get(body["metadata"]["uid"])) for body in chosen])

    async def _look(self) -> _Seen:
        ask: Callable[[], Awaitable[list[Object]]] = self._lists.policies
        return _Seen(await self._policies.get("", ask), await self._lists.ledgers())


def scheduler_stats(policies: Iterable[Object]) -> SchedulerStats:
    """Summed up: enabled, running and market hours where any policy is; the earliest of the next syncs."""
    all_of = [body.get("status") or {} for body in policies]
    following = [status["nextScheduledSync"] for status in all_of if status.get("nextScheduledSync")]
    return SchedulerStats(
        enabled=any(status.get("enabled") is True for status in all_of),
        running=any(status.get("running") is True for status in all_of),
        total_users=sum(status.get("totalUsers") or 0 for status in all_of),
        active_users=sum(status.get("activeUsers") or 0 for status in all_of),
        is_market_hours=any(status.get("isMarketHours") is True for status in all_of),
        next_scheduled_sync=min(following, default=None),
    )


def queue_stats(policies: Iterable[Object], found: Iterable[Ledger]) -> QueueStats:
    waiting = delayed = 0
    queues = {priority: [0, 0, 0, 0] for priority in Priority}
    for status in (body.get("status") or {} for body in policies):
        due, flying = status.get("dueUsers") or 0, status.get("inFlightUsers") or 0
        waiting += due
        for priority, count in _waiting(due, status.get("dueUsersByPriority")).items():
            queues[priority][_WAITING] += count
        if status.get("enabled"):
            delayed += max(0, (status.get("activeUsers") or 0) - due - flying)
    for ledger in found:
        for job in ledger.jobs:
            for index in job.open:
                queues[job.priorities[index]][_ACTIVE] += job.sizes[index]
        for priority in Priority:
            queues[priority][_COMPLETED] += ledger.totals.synced.get(priority, 0)
            queues[priority][_FAILED] += ledger.totals.failed.get(priority, 0)
    by_priority = {
        priority: Queue(
            waiting=counts[_WAITING],
            active=counts[_ACTIVE],
            completed=counts[_COMPLETED],
            failed=counts[_FAILED],
            delayed=delayed if priority is Priority.MEDIUM else 0,
        )
        for priority, counts in queues.items()
    }
    return QueueStats(
        waiting=waiting,
        active=sum(each.active for each in by_priority.values()),
        completed=sum(each.completed for each in by_priority.values()),
        failed=sum(each.failed for each in by_priority.values()),
        delayed=delayed,
        by_priority=ByPriority(**{priority.value: queue for priority, queue in by_priority.items()}),
    )


def _waiting(due: int, told: Mapping[str, int] | None) -> dict[Priority, int]:
    """told: as the status has it; an operator of an earlier version has told nothing, and then all are medium."""
    if told is None:
        return {Priority.MEDIUM: due}
    return {priority: told.get(priority.value, 0) for priority in Priority}


def _chosen(policies: list[Object], wanted: tuple[str, str] | None) -> list[Object]:
    if wanted is None:
        return policies
    found = [it for it in policies if (it["metadata"]["namespace"], it["metadata"]["name"]) == wanted]
    if not found:
        raise no_such_policy(*wanted)
    return found


def _ledger(body: Object | None) -> Ledger:
    """Empty where there is none that can be read."""
    try:
        return ledger_in(body or {})
    except ValueError:
        return Ledger()
