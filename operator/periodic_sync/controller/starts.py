"""Jobs that don't get going: their POST gets no answer, no pod of theirs is made, or their pods can't start."""

from collections.abc import Sequence
from dataclasses import dataclass

from periodic_sync.api.durations import SECOND
from periodic_sync.api.reasons import ConditionReason
from periodic_sync.controller.sight import Sight
from periodic_sync.core.ledger import Ledger, OpenJob, Phase
from periodic_sync.core.status import Obstacle
from periodic_sync.core.views import PodView

SLOW_AFTER = 15 * SECOND
"""A Job still open after this is worth a look at its pods, and one still not created is worth a condition."""

PODS_SEEN_EVERY = 10 * SECOND
FIRST_PAUSE = SECOND
LONGEST_PAUSE = 30 * SECOND

CANT_START = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Why a pod waits for a person: a missing Secret, a wrong image or command. A full cluster is none of these."""


@dataclass(frozen=True, slots=True)
class _Retry:
    """A POST of which nobody knows whether it did anything, `count` times in a row."""

    count: int
    at: int
    """When it is tried again."""
    error: str


class Starts:
    """What keeps one policy's Jobs from getting going, as last seen."""

    def __init__(self) -> None:
        self._pods_seen_at = 0
        self._pods: Obstacle | None = None
        self._retries: dict[str, _Retry] = {}
        self._not_created: Obstacle | None = None

    @property
    def obstacle(self) -> Obstacle | None:
        return self._not_created or self._pods

    def wants_pods(self, ledger: Ledger, now: int) -> bool:
        """Whether pods are worth a request for what keeps them from starting."""
        is_time = not 0 <= now - self._pods_seen_at < PODS_SEEN_EVERY
        return is_time and any(now - job.claimed_at > SLOW_AFTER for job in ledger.jobs)

    def see(self, sight: Sight, ledger: Ledger) -> None:
        """Take in a look."""
        waiting = {job.name: job for job in ledger.jobs if job.phase is Phase.CLAIMED and job.name not in sight.jobs}
        self._retries = {name: retry for name, retry in self._retries.items() if name in waiting}
        late = [name for name in self._retries if sight.now - waiting[name].claimed_at > SLOW_AFTER]
        self._not_created = _not_created(late[0], self._retries[late[0]]) if late else None
        if not ledger.jobs:
            self._pods = None
        if sight.pods is not None:
            self._pods_seen_at = sight.now
            self._pods = _stuck(sight, ledger) or _podless(sight, ledger)

    @staticmethod
    def is_hopeless(pods: Sequence[PodView], now: int) -> bool:
        """Whether there are unfinished pods of a Job, and none of them can start."""
        unfinished = [pod for pod in pods if pod.unfinished_at(now)]
        return bool(unfinished) and all(_cannot_start(pod, now) for pod in unfinished)

    def may_create(self, job: OpenJob, now: int) -> bool:
        retry = self._retries.get(job.name)
        return retry is None or now >= retry.at

    def failed(self, name: str, error: str, now: int) -> None:
        """A POST of that Job got no answer that says anything."""
        count = self._retries[name].count + 1 if name in self._retries else 1
        pause = min(FIRST_PAUSE << min(count - 1, 10), LONGEST_PAUSE)
        self._retries[name] = _Retry(count, now + pause, error)

    def next_try(self, job: OpenJob, now: int) -> int:
        """When a Job that may not have been created is looked at again."""
        retry = self._retries.get(job.name)
        return now + FIRST_PAUSE if retry is None else max(retry.at, now)


def _not_created(name: str, retry: _Retry) -> Obstacle:
    return Obstacle(
        ConditionReason.JOB_REFUSED, f"Job {name} could not be created, tried {retry.count} times: {retry.error}"
    )


def _stuck(sight: Sight, ledger: Ledger) -> Obstacle | None:
    pods = [pod for job in ledger.jobs for pod in sight.pods_of(job.name) if _cannot_start(pod, sight.now)]
    if not pods or pods[0].waiting is None:
        return None
    why = f"{pods[0].waiting.reason}: {pods[0].waiting.message}"
    return Obstacle(
        ConditionReason.WORKER_FAILING,
        f"{len(pods)} worker pods can't start. {pods[0].name}: {why}. Mend what spec.worker names, and the pods start "
        "by themselves",
    )


def _cannot_start(pod: PodView, now: int) -> bool:
    return pod.waiting is not None and pod.waiting.reason in CANT_START and now - pod.created_at > SLOW_AFTER


def _podless(sight: Sight, ledger: Ledger) -> Obstacle | None:
    views = [sight.jobs[job.name] for job in ledger.jobs if job.name in sight.jobs]
    slow = [
        view for view in views if not view.suspended and not view.finished and sight.now - view.created_at > SLOW_AFTER
    ]
    without = [view.name for view in slow if not sight.pods_of(view.name)]
    if not without:
        return None
    return Obstacle(
        ConditionReason.WORKER_FAILING,
        f"No pod of Job {without[0]} can be created: `kubectl describe job {without[0]}` tells why, such as a quota or "
        "the namespace's security level",
    )
