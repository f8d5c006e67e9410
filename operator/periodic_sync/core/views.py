"""What the scheduling looks at of Jobs and pods, as small values: a parsed Job takes 21 KB, and there may be thousands.

Whatever an object holds, a view of it can be made: what is missing or odd reads as absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from periodic_sync.api.durations import SECOND
from periodic_sync.api.names import POLICY_LABEL, WORKER_CONTAINER
from periodic_sync.core.indexes import parse_indexes
from periodic_sync.core.reading import (
    condition,
    controller,
    instant,
    mapping,
    mappings,
    number,
    one_line,
    text,
)

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"

CLOCK_MARGIN = 30 * SECOND
"""How far a node's clock may be off, and how long its kubelet may take to notice that a pod's time is over."""

DEFAULT_GRACE_SECONDS = 30
"""`terminationGracePeriodSeconds` where a pod doesn't say."""

_MOST_INDEXES = 100_000
"""More than a Job of Kubernetes may have with backoffLimitPerIndex."""

_ENDED = frozenset({"Succeeded", "Failed"})
_EVICTIONS = frozenset({"Evicted", "NodeLost", "NodeShutdown", "Preempting", "Shutdown", "Terminated"})
"""`status.reason` of pods that a kubelet or the control plane ended for the node's sake."""

_NOT_SEEN = frozenset({"ContainerStatusUnknown", "Unknown"})
"""Reasons of terminated states that were made up later, after a reboot or a lost container: nobody saw the exit."""

ON_THE_WAY = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons of waiting states that every container passes through."""


@dataclass(frozen=True, slots=True)
class JobView:
    """One Job. Instants in milliseconds."""

    name: str
    uid: str
    owner_uid: str
    """UID of the SyncPolicy that controls it, or empty."""
    policy: str
    """The policy's name by the label, or empty."""
    created_at: int
    """0 where unknown."""
    started_at: int | None
    """When it last started or resumed: its own deadline runs from here. None while suspended."""
    finished_at: int | None
    deadline_at: int | None
    """When Kubernetes ends it, running or not; None: not while it is suspended, or never."""
    completions: int
    completed: frozenset[int]
    failed: frozenset[int]
    finished: bool
    """Complete or Failed: none of its pods runs any more."""
    succeeded: bool
    failure_target_since: int | None
    """Since when it is to fail and waits for its pods to end; None: it isn't, or the time is unknown."""
    suspended: bool
    deleting: bool
    failure: str
    """Reason and message of its failure, or empty."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How the container `worker` was seen to end. `message` is its termination message, as it is."""

    code: int
    signal: int | None
    reason: str
    message: str
    finished_at: int | None

    @property
    def by_signal(self) -> bool:
        """Runtimes report signal n as exit code 128 + n, and seldom as a signal."""
        return bool(self.signal) or 128 < self.code <= 128 + 64


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a pod doesn't run yet, in Kubernetes' words: `ImagePullBackOff`, `Unschedulable`, … and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod. Instants in milliseconds."""

    name: str
    uid: str
    policy: str
    """The policy's name by the label, or empty."""
    job_name: str
    job_uid: str
    index: int | None
    unfinished: bool
    """Not seen to have ended. See `unfinished_at` for those nobody will see again."""
    gone_by: int | None
    """When it is over whatever its node says, although nobody saw it end; None: it may run for ever."""
    created_at: int
    worker_exit: Exit | None
    """None: no exit of the container `worker` was seen."""
    disrupted: bool
    """Evicted, preempted, drained, its node lost: ended for reasons that are not the worker's."""
    deleting: bool
    deadline_exceeded: bool
    waiting: Waiting | None
    node: str

    def unfinished_at(self, now: int) -> bool:
        """Whether it may still run at that instant."""
        return self.unfinished and (self.gone_by is None or now < self.gone_by)


def job_view(job: Mapping[str, Any]) -> JobView:
    metadata, spec, status = mapping(job, "metadata"), mapping(job, "spec"), mapping(job, "status")
    complete, failure = condition(status, "Complete"), condition(status, "Failed")
    failure_target = condition(status, "FailureTarget")
    ended, started_at = complete or failure, instant(status, "startTime")
    deadline = number(spec, "activeDeadlineSeconds")
    return JobView(
        name=text(metadata, "name"),
        uid=text(metadata, "uid"),
        owner_uid=text(controller(metadata), "uid"),
        policy=text(mapping(metadata, "labels"), POLICY_LABEL),
        created_at=instant(metadata, "creationTimestamp") or 0,
        started_at=started_at,
        finished_at=_finished_at(status, ended) if ended else None,
        deadline_at=None if started_at is None or deadline is None else started_at + deadline * SECOND,
        completions=number(spec, "completions") or 0,
        completed=_indexes(status, "completedIndexes"),
        failed=_indexes(status, "failedIndexes"),
        finished=ended is not None,
        succeeded=complete is not None,
        failure_target_since=instant(failure_target, "lastTransitionTime") if failure_target else None,
        suspended=spec.get("suspend") is True,
        deleting=bool(metadata.get("deletionTimestamp")),
        failure=_failure(failure or failure_target),
    )


def _finished_at(status: Mapping[str, Any], ended: Mapping[str, Any]) -> int | None:
    at = instant(status, "completionTime")
    return instant(ended, "lastTransitionTime") if at is None else at


def _failure(failed: Mapping[str, Any] | None) -> str:
    return one_line(": ".join(filter(None, (text(failed, "reason"), text(failed, "message"))))) if failed else ""


def _indexes(status: Mapping[str, Any], key: str) -> frozenset[int]:
    try:
        return parse_indexes(text(status, key), _MOST_INDEXES)
    except ValueError:
        return frozenset()


def pod_view(pod: Mapping[str, Any]) -> PodView:
    metadata, spec, status = mapping(pod, "metadata"), mapping(pod, "spec"), mapping(pod, "status")
    labels, job = mapping(metadata, "labels"), controller(metadata, "Job")
    reason, unfinished = text(status, "reason"), text(status, "phase") not in _ENDED
    return PodView(
        name=text(metadata, "name"),
        uid=text(metadata, "uid"),
        policy=text(labels, POLICY_LABEL),
        job_name=text(labels, JOB_NAME_LABEL) or text(job, "name"),
        job_uid=text(job, "uid"),
        index=_index(metadata),
        unfinished=unfinished,
        gone_by=_gone_by(metadata, spec, status) if unfinished else None,
        created_at=instant(metadata, "creationTimestamp") or 0,
        worker_exit=_worker_exit(status),
        disrupted=reason in _EVICTIONS or condition(status, "DisruptionTarget") is not None,
        deleting=bool(metadata.get("deletionTimestamp")),
        deadline_exceeded=reason == "DeadlineExceeded",
        waiting=_waiting(status) if unfinished else None,
        node=text(spec, "nodeName"),
    )


def _index(metadata: Mapping[str, Any]) -> int | None:
    for holder in (mapping(metadata, "labels"), mapping(metadata, "annotations")):
        value = text(holder, INDEX_LABEL)
        if value.isascii() and value.isdigit() and len(value) <= 6:
            return int(value)
    return None


def _gone_by(metadata: Mapping[str, Any], spec: Mapping[str, Any], status: Mapping[str, Any]) -> int | None:
    """When a deleted pod is surely over although its node never said so.

    A kubelet that is cut off goes on to enforce the pod's own deadline. One that never told of the pod's start cannot
    have heard of the pod after its deletion; and a pod without a node is bound to none any more once it is deleted.
    """
    deleted = instant(metadata, "deletionTimestamp")
    if deleted is None:
        return None
    if not text(spec, "nodeName"):
        return deleted
    deadline = number(spec, "activeDeadlineSeconds")
    if deadline is None:
        return None
    given = number(spec, "terminationGracePeriodSeconds")
    grace = max(DEFAULT_GRACE_SECONDS if given is None else given, number(metadata, "deletionGracePeriodSeconds") or 0)
    started = instant(status, "startTime")
    ended = (deleted if started is None else started) + (deadline + grace) * SECOND + CLOCK_MARGIN
    return max(deleted, ended)


def _worker_exit(status: Mapping[str, Any]) -> Exit | None:
    for container in mappings(status, "containerStatuses"):
        ended = mapping(container, "state", "terminated")
        code = number(ended, "exitCode")
        if container.get("name") == WORKER_CONTAINER and code is not None and text(ended, "reason") not in _NOT_SEEN:
            return Exit(
                code=code,
                signal=number(ended, "signal"),
                reason=text(ended, "reason"),
                message=text(ended, "message"),
                finished_at=instant(ended, "finishedAt"),
            )
    return None


def _waiting(status: Mapping[str, Any]) -> Waiting | None:
    """What holds it back most: a container that can't start, then the scheduler, and last that it is on its way."""
    containers = mappings(status, "initContainerStatuses") + mappings(status, "containerStatuses")
    states = [mapping(container, "state", "waiting") for container in containers]
    unscheduled = [
        each
        for each in mappings(status, "conditions")
        if each.get("type") == "PodScheduled" and each.get("status") == "False"
    ]
    reasons = [state for state in (*states, *unscheduled) if text(state, "reason")]
    reasons.sort(key=lambda state: text(state, "reason") in ON_THE_WAY)
    if not reasons:
        return None
    return Waiting(text(reasons[0], "reason"), one_line(text(reasons[0], "message")))
