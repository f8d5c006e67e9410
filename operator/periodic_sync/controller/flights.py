"""Flights: the open Jobs of a policy, from their creation to their close."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from periodic_sync.api.durations import SECOND
from periodic_sync.controller.creating import JobMaker
from periodic_sync.controller.open_ledger import OpenLedger
from periodic_sync.controller.sight import Sight, see
from periodic_sync.controller.users import Users
from periodic_sync.core import transitions
from periodic_sync.core.batch_files import BatchFile, read_batch_file
from periodic_sync.core.ledger import Ledger, OpenJob
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.outcomes import Outcome
from periodic_sync.core.protocol import Step, next_step
from periodic_sync.core.results import End, Judgement, end_of, judge, outcomes, tally
from periodic_sync.core.status import Obstacle
from periodic_sync.core.transitions import Tally
from periodic_sync.core.users import UserState
from periodic_sync.core.views import PodView
from periodic_sync.kube.policy_objects import PolicyObjects

MOST_ROUNDS = 4
"""Abandon, delete the file, look, close: what is not done by then goes on in the next turn."""

SLOW_AFTER = 15 * SECOND
"""A Job still open after this is worth a look at its pods."""

PODS_SEEN_EVERY = 10 * SECOND

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

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ended:
    """What became of one index. Kept until it is closed: the evidence may be gone by then."""

    outcomes: tuple[Outcome, ...]
    tally: Tally
    judgement: Judgement


class Flights:
    """Lives as long as its policy's loop, and remembers what need not be read twice: a batch file never changes."""

    def __init__(self, objects: PolicyObjects, policy: PolicyRef) -> None:
        self._objects = objects
        self._policy = policy
        self._files: dict[str, BatchFile] = {}
        self._ended: dict[tuple[str, int], _Ended] = {}
        self._stored: set[tuple[str, int]] = set()
        """Indexes whose outcomes the store has."""
        self._pods_seen_at = 0
        self.waiting: Obstacle | None = None
        """What keeps worker pods from starting, as last seen."""

    def took_off(self, files: Iterable[BatchFile]) -> None:
        """These were just claimed."""
        self._files |= {file.name: file for file in files}

    async def users(self, ledger: Ledger) -> frozenset[str] | None:
        """Everyone in flight. None: the batch file of an open Job is missing, so that nobody knows."""
        await self._read_files(ledger)
        if any(job.name not in self._files for job in ledger.jobs):
            return None
        return frozenset().union(*(self._files[job.name].user_ids(job.open) for job in ledger.jobs))

    async def tend(self, ledger: OpenLedger, users: Users, maker: JobMaker | None, *, now: int) -> Sight:
        """Do the next step for every open Job, and the ones after that, as far as they can be done now.

        `users`: given the results; what was known before these tells whom to blame. `maker`: None where Jobs can't be
        made now. Returns: the last look. Raises: ConflictError, ApiError.
        """
        for _ in range(MOST_ROUNDS):
            sight = await see(self._objects, ledger.ledger, now=now, with_pods=self._is_slow(ledger.ledger, now))
            self._note_waiting(sight, ledger.ledger)
            ledger.stage(transitions.mark_created(ledger.ledger, sight.jobs))
            steps = [(job, next_step(ledger.ledger, job, sight.look(job), now=now)) for job in ledger.ledger.jobs]
            if not await self._act(steps, sight, ledger, users, maker):
                break
        self._forget(ledger.ledger)
        return sight

    def _is_slow(self, ledger: Ledger, now: int) -> bool:
        """Whether pods are worth a look for what keeps them from starting."""
        is_time = not 0 <= now - self._pods_seen_at < PODS_SEEN_EVERY
        return is_time and any(now - job.claimed_at > SLOW_AFTER for job in ledger.jobs)

    def _note_waiting(self, sight: Sight, ledger: Ledger) -> None:
        if not ledger.jobs:
            self.waiting = None
        if sight.pods is None:
            return
        self._pods_seen_at = sight.now
        stuck = [
            pod
            for job in ledger.jobs
            for pod in sight.pods_of(job.name)
            if pod.waiting is not None and pod.waiting.reason in CANT_START and sight.now - pod.created_at > SLOW_AFTER
        ]
        without = [
            job.name
            for job in ledger.jobs
            if (view := sight.jobs.get(job.name)) and not view.suspended and not view.finished
            if sight.now - view.created_at > SLOW_AFTER and not sight.pods_of(job.name)
        ]
        self.waiting = _stuck(stuck) if stuck else _podless(without) if without else None

    async def _act(
        self,
        steps: list[tuple[OpenJob, Step]],
        sight: Sight,
        ledger: OpenLedger,
        users: Users,
        maker: JobMaker | None,
    ) -> bool:
        """Returns: whether another look is worth it at once."""
        by_step: dict[Step, list[OpenJob]] = {step: [] for step in Step}
        for job, step in steps:
            by_step[step].append(job)
        ending = {job: _indexes(job, step, sight) for job, step in steps if step in _ENDING}
        await self._read_files(ledger.ledger)
        if not await self._store(ending, sight, users):
            return False
        for job in (*by_step[Step.SETTLE], *by_step[Step.CLOSE]):
            tallies = {index: self._ended[job.name, index].tally for index in ending[job]}
            ledger.stage(transitions.close(ledger.ledger, job.name, tallies, now=sight.now))
        ledger.stage(transitions.abandon(ledger.ledger, (job.name for job in by_step[Step.ABANDON])))
        if maker is not None and by_step[Step.CREATE]:
            await maker.create(by_step[Step.CREATE], ledger, now=sight.now)
        if by_step[Step.SETTLE] or by_step[Step.CLOSE] or by_step[Step.ABANDON] or by_step[Step.CREATE]:
            await ledger.commit()
            for job in (*by_step[Step.SETTLE], *by_step[Step.CLOSE]):
                self._tell(job, ending[job], sight.now)
        await self._objects.delete_batch_files(job.name for job in by_step[Step.DELETE_FILE])
        doomed = [sight.jobs[job.name] for job in by_step[Step.DELETE_JOB] if job.name in sight.jobs]
        await self._objects.delete_jobs((view.name, view.uid) for view in doomed)
        return bool(by_step[Step.DELETE_FILE] or by_step[Step.ABANDON])

    async def _store(self, ending: Mapping[OpenJob, list[int]], sight: Sight, users: Users) -> bool:
        """Judge what ended, and give the store what it has not been given yet, all in one.

        Returns: whether the store has it; if not, nothing may be closed.
        """
        fresh: list[tuple[str, int]] = []
        for job, indexes in ending.items():
            for index in indexes:
                key = (job.name, index)
                if key not in self._ended:
                    self._ended[key] = self._judge(job, index, sight, users.states)
                if key not in self._stored:
                    fresh.append(key)
        if not await users.apply([outcome for key in fresh for outcome in self._ended[key].outcomes]):
            return False
        self._stored |= set(fresh)
        return True

    def _judge(self, job: OpenJob, index: int, sight: Sight, states: Mapping[str, UserState]) -> _Ended:
        view = sight.jobs.get(job.name)
        end = end_of(index, completed=view.completed, failed=view.failed) if view else End.GONE
        file = self._files.get(job.name)
        if file is None:
            return _without_file(job, index, end)
        batch = file.batches[index]
        pods = [pod for pod in sight.pods_of(job.name) if pod.index == index]
        judgement = judge(batch.users, end, pods)
        ended = outcomes(file, index, judgement.verdict, ended_at=sight.now)
        return _Ended(ended, tally(batch, judgement.verdict, ended, states), judgement)

    def _tell(self, job: OpenJob, indexes: Iterable[int], now: int) -> None:
        for index in indexes:
            ended = self._ended[job.name, index]
            where = {"policy": f"{self._policy.namespace}/{self._policy.name}", "batch": f"{job.name}-{index}"}
            log.info(
                "batch done",
                extra={
                    **where,
                    "users": job.sizes[index],
                    "synced": ended.tally.synced,
                    "failed": ended.tally.failed,
                    "seconds": round((now - job.claimed_at) / SECOND, 1),
                    "why": ended.judgement.why,
                },
            )
            for user_id, reason in list(ended.judgement.reasons.items())[:_USERS_TOLD]:
                log.warning("user not synced", extra={**where, "user": user_id, "reason": reason})

    async def _read_files(self, ledger: Ledger) -> None:
        for job in ledger.jobs:
            if job.name in self._files:
                continue
            body = await self._objects.batch_file(job.name)
            if body is None:
                continue
            try:
                self._files[job.name] = read_batch_file(body, self._policy)
            except ValueError as error:
                log.error("batch file is unreadable, its users count as unknown", extra={"error": str(error)})

    def _forget(self, ledger: Ledger) -> None:
        open_indexes = {(job.name, index) for job in ledger.jobs for index in job.open}
        self._ended = {key: ended for key, ended in self._ended.items() if key in open_indexes}
        self._stored &= open_indexes
        names = {job.name for job in ledger.jobs}
        self._files = {name: file for name, file in self._files.items() if name in names}


def _stuck(pods: list[PodView]) -> Obstacle:
    first = pods[0]
    why = f"{first.waiting.reason}: {first.waiting.message}" if first.waiting else ""
    return Obstacle(
        "WorkerFailing",
        f"{len(pods)} worker pods can't start. {first.name}: {why}. Mend what spec.worker names, and the pods start "
        "by themselves",
    )


def _podless(jobs: list[str]) -> Obstacle:
    return Obstacle(
        "WorkerFailing",
        f"No pod of Job {jobs[0]} can be created: `kubectl describe job {jobs[0]}` tells why, such as a quota or the "
        "namespace's security level",
    )


_ENDING = frozenset({Step.SETTLE, Step.DELETE_FILE, Step.CLOSE})
_USERS_TOLD = 20


def _indexes(job: OpenJob, step: Step, sight: Sight) -> list[int]:
    """Which indexes of a Job end with this step: while others run, those that its Job says are over; else all."""
    if step is not Step.SETTLE:
        return sorted(job.open)
    view = sight.jobs[job.name]
    return sorted(job.open & (view.completed | view.failed))


def _without_file(job: OpenJob, index: int, end: End) -> _Ended:
    """The batch file went before this operator read it. Whoever deleted it had stored the results first, or a person
    deleted it by hand: then its users are synced once more, which is safe."""
    judgement = judge((), end, ())
    if end is End.COMPLETED:
        return _Ended((), Tally(synced=job.sizes[index], is_success=True), judgement)
    return _Ended((), transitions.RETURNED, judgement)
