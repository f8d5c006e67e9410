"""What `status` shows of one policy: as a document for programs, and as a tree for people."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text
from rich.tree import Tree

from periodic_sync.api.durations import MINUTE
from periodic_sync.api.names import Condition, Priority
from periodic_sync.cli.output import duration, printable, relative
from periodic_sync.core.ledger import Ledger, OpenJob
from periodic_sync.core.reading import instant
from periodic_sync.core.views import ON_THE_WAY, JobView, PodView
from periodic_sync.inspection.waiting import Waiting
from periodic_sync.server.shown import instant as rfc_3339

MOST_JOBS = 10
"""Of one priority: a tree of hundreds helps nobody."""
MOST_TROUBLES = 3
SILENT_FOR = MINUTE
"""So long a sync may be due without a word of the operator's, which says something new within seconds."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Users of one priority. waiting: None where that is not known."""

    waiting: int | None
    in_flight: int
    synced: int
    failed: int


@dataclass(slots=True)
class Overview:
    """One policy. now: milliseconds."""

    body: Mapping[str, Any]
    now: int
    ledger: Ledger = field(default_factory=Ledger)
    troubles: Mapping[str, list[str]] = field(default_factory=dict)
    """By Job, what holds it up."""
    waiting: Waiting | None = None
    notes: list[str] = field(default_factory=list)
    """What could not be looked at, and why."""

    @property
    def name(self) -> str:
        about = self.body["metadata"]
        return f"{about['namespace']}/{about['name']}"

    @property
    def status(self) -> Mapping[str, Any]:
        return self.body.get("status") or {}

    @property
    def is_enabled(self) -> bool:
        return (self.body.get("spec") or {}).get("enabled", True) is True

    def condition(self, kind: Condition) -> Mapping[str, Any]:
        found = self.status.get("conditions") or []
        return next((each for each in found if each.get("type") == kind), {})

    def queue(self, priority: Priority) -> Queue:
        sizes = (
            job.sizes[index] for job in self.ledger.jobs for index in job.open if job.priorities[index] is priority
        )
        totals = self.ledger.totals
        told = self.status.get("dueUsersByPriority") or {}
        return Queue(
            # As the operator last said where the users were not looked at.
            told.get(priority.value) if self.waiting is None else self.waiting.by_priority[priority],
            sum(sizes),
            totals.synced.get(priority, 0),
            totals.failed.get(priority, 0),
        )


def troubles_of(jobs: Iterable[JobView], pods: Iterable[PodView]) -> dict[str, list[str]]:
    """By Job, what its conditions and those of its pods say, each once."""
    found: dict[str, dict[str, None]] = {}
    for job in jobs:
        if job.suspended:
            found.setdefault(job.name, {})["suspended, such as by a queue: it starts once that lets it"] = None
        if job.failure:
            found.setdefault(job.name, {})[job.failure] = None
    for pod in pods:
        if pod.waiting is not None and pod.waiting.reason not in ON_THE_WAY:
            said = ": ".join(part for part in (pod.waiting.reason, pod.waiting.message) if part)
            found.setdefault(pod.job_name, {})[said] = None
        elif pod.worker_exit is not None and pod.worker_exit.code and pod.unfinished:
            found.setdefault(pod.job_name, {})[f"the worker of {pod.name} ended with {pod.worker_exit.code}"] = None
    return {name: list(said) for name, said in found.items()}


def document(seen: Overview) -> dict[str, Any]:
    """For programs: `status` as the SyncPolicy has it, and beside it what it has not."""
    about, ready, longest = seen.body["metadata"], seen.condition(Condition.READY), _longest(seen)
    return {
        "namespace": about["namespace"],
        "name": about["name"],
        "enabled": seen.is_enabled,
        "ready": {key: ready.get(key) for key in ("status", "reason", "message")},
        "status": dict(seen.status),
        "byPriority": {priority.value: _queue(seen.queue(priority)) for priority in Priority},
        "jobs": [_job(job, seen) for job in seen.ledger.jobs],
        "behind": longest
        and {
            "userId": longest.user_id,
            "dueSince": rfc_3339(longest.since),
            "duration": duration(seen.now - longest.since),
        },
        "notes": list(seen.notes),
        "asOf": rfc_3339(seen.now),
    }


def _longest(seen: Overview) -> Any:
    return None if seen.waiting is None else seen.waiting.longest


def _queue(queue: Queue) -> dict[str, int | None]:
    return {
        "waiting": queue.waiting,
        "inFlight": queue.in_flight,
        "synced": queue.synced,
        "failed": queue.failed,
    }


def _job(job: OpenJob, seen: Overview) -> dict[str, Any]:
    return {
        "name": job.name,
        "priority": job.priority.value,
        "phase": job.phase.value,
        "probe": job.probe,
        "claimedAt": rfc_3339(job.claimed_at),
        "batches": len(job.sizes),
        "openBatches": len(job.open),
        "users": sum(job.sizes),
        "openUsers": sum(job.sizes[index] for index in job.open),
        "troubles": seen.troubles.get(job.name, []),
    }


def tree(found: list[Overview], namespace: str) -> Tree | Text:
    """namespace: where was looked, for where nothing was found."""
    if not found:
        return Text(f"No SyncPolicies in namespace {namespace}: --all-namespaces looks everywhere")
    if len(found) == 1:
        return _policy(found[0])
    root = Tree(Text(f"{len(found)} policies"))
    for seen in found:
        root.children.append(_policy(seen))
    return root


def _policy(seen: Overview) -> Tree:
    node = Tree(_headline(seen))
    for line in _lines(seen):
        node.add(line)
    queues = {priority: seen.queue(priority) for priority in Priority}
    for priority, queue in queues.items():
        branch = node.add(_queue_line(priority, queue, queues.values()))
        jobs = [job for job in seen.ledger.jobs if job.priority is priority]
        for job in jobs[:MOST_JOBS]:
            leaf = branch.add(_job_line(job, seen.now))
            for trouble in seen.troubles.get(job.name, [])[:MOST_TROUBLES]:
                leaf.add(Text(printable(trouble), style="yellow"))
        if len(jobs) > MOST_JOBS:
            branch.add(Text(f"and {len(jobs) - MOST_JOBS} more Jobs"))
    return node


def _headline(seen: Overview) -> Text:
    ready = seen.condition(Condition.READY)
    is_ready = ready.get("status") == "True"
    said = printable(str(ready.get("reason") or "no word from the operator yet"))
    line = Text(seen.name, style="bold")
    line.append(f"  {'enabled' if seen.is_enabled else 'paused'}, ", style="not bold")
    line.append(
        f"{'ready' if is_ready else 'not ready'} ({said})", style="not bold green" if is_ready else "not bold red"
    )
    if "isMarketHours" in seen.status:
        line.append(f", market {'open' if seen.status['isMarketHours'] else 'closed'}", style="not bold")
    return line


def _lines(seen: Overview) -> list[Text]:
    status, ready, store = seen.status, seen.condition(Condition.READY), seen.condition(Condition.STORE_READY)
    lines = list[Text]()
    for each in (ready, store):
        message = printable(str(each.get("message") or ""))
        if each.get("status") == "False" and message and message not in map(str, lines):
            lines.append(Text(message, style="red"))
    if "totalUsers" in status:
        counts = ", ".join(f"{status.get(f'{word}Users', 0)} {word}" for word in ("active", "stale", "due"))
        lines.append(Text(f"{status['totalUsers']} users: {counts}, {_in_flight(seen)} in flight"))
    if skipped := status.get("skippedEntries"):
        lines.append(Text(f"{skipped} entries of the store are skipped: {printable(str(store.get('message', '')))}"))
    last, following = instant(status, "lastSyncTime"), instant(status, "nextScheduledSync")
    line = f"last sync {relative(last, seen.now)}"
    if following is not None:
        line += f", next due {relative(following, seen.now)}"
    lines.append(Text(f"{line}; users in {printable(str(status.get('store', 'a store not seen yet')))}"))
    if seen.is_enabled and following is not None and seen.now - following > SILENT_FOR:
        lines.append(Text(_silence(seen), style="red"))
    if seen.waiting is not None:
        lines.append(_behind(seen, seen.waiting))
    lines += [Text(printable(note), style="yellow") for note in seen.notes]
    return lines


def _in_flight(seen: Overview) -> int:
    """As the queues say, which are newer than the status by up to some seconds; of no ledger as that says."""
    told: int = seen.status.get("inFlightUsers", 0)
    return told if seen.ledger == Ledger() else sum(seen.queue(priority).in_flight for priority in Priority)


def _silence(seen: Overview) -> str:
    about = seen.body["metadata"]
    return (
        "the operator has said nothing since before the next sync was due: is it running? "
        f"`periodic-sync check {about['name']} -n {about['namespace']}` looks"
    )


def _behind(seen: Overview, waiting: Waiting) -> Text:
    if waiting.longest is not None:
        user_id, since = waiting.longest
        return Text(f"behind {duration(seen.now - since)}: {user_id} is due since {rfc_3339(since)}")
    if waiting.never_synced:
        return Text("behind: only users wait who were never synced")
    return Text("behind: nobody who is due by the clock waits")


def _queue_line(priority: Priority, queue: Queue, queues: Iterable[Queue]) -> Text:
    words = []
    rows = list(queues)
    for name in ("waiting", "in_flight", "synced", "failed"):
        width = max(len(_number(getattr(each, name))) for each in rows)
        words.append(f"{_number(getattr(queue, name)):>{width}} {name.replace('_', ' ')}")
    return Text(f"{priority.value.capitalize():8}" + "  ".join(words))


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)


def _job_line(job: OpenJob, now: int) -> Text:
    of = f"{len(job.open)} of {len(job.sizes)} batches open" if len(job.sizes) > 1 else "1 batch"
    users = sum(job.sizes[index] for index in job.open)
    kind = ", a probe" if job.probe else ""
    return Text(f"{job.name}  {of}, {users} users, claimed {relative(job.claimed_at, now)}, {job.phase.value}{kind}")
