"""Flights: the open Jobs of a policy, from their creation to their close."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from periodic_sync.controller.creating import JobMaker
from periodic_sync.controller.landings import Landings
from periodic_sync.controller.open_ledger import OpenLedger
from periodic_sync.controller.sight import Sight, see
from periodic_sync.controller.starts import Starts
from periodic_sync.controller.users import Users
from periodic_sync.core import transitions
from periodic_sync.core.batch_files import BatchFile, read_batch_file
from periodic_sync.core.ledger import Ledger, OpenJob, Phase
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.protocol import Look, Step, ended_indexes, next_step
from periodic_sync.core.status import Obstacle
from periodic_sync.kube.parallel import results
from periodic_sync.kube.policy_objects import Identity, PolicyObjects, identity
from periodic_sync.telemetry.protocol import PolicyTelemetry

MOST_ROUNDS = 4
"""Abandon, delete the file, look, close: what is not done by then goes on in the next turn."""

Steps = dict[Step, list[OpenJob]]

log = logging.getLogger(__name__)


class Flights:
    """Lives as long as its policy's loop, and remembers what need not be read twice: a batch file never changes."""

    def __init__(self, objects: PolicyObjects, policy: PolicyRef, telemetry: PolicyTelemetry) -> None:
        self._objects = objects
        self._policy = policy
        self._files: dict[str, BatchFile] = {}
        self._landings = Landings(policy, telemetry)
        self._starts = Starts()

    @property
    def obstacle(self) -> Obstacle | None:
        """What keeps Jobs from getting going, as last seen."""
        return self._starts.obstacle

    def took_off(self, files: Iterable[BatchFile]) -> None:
        """These were just claimed."""
        self._files |= {file.name: file for file in files}

    async def users(self, ledger: Ledger) -> dict[str, int] | None:
        """Everyone in flight, and when each was claimed. None: the batch file of an open Job is missing, so that nobody
        knows."""
        await self._read_files(ledger)
        if any(job.name not in self._files for job in ledger.jobs):
            return None
        return {user_id: job.claimed_at for job in ledger.jobs for user_id in self._files[job.name].user_ids(job.open)}

    async def tend(self, ledger: OpenLedger, users: Users, maker: JobMaker | None, *, now: int) -> Sight:
        """Do the next step for every open Job, and the ones after that, as far as they can be done now.

        `users`: given the results; what was known before these tells whom to blame. `maker`: None where Jobs can't be
        made now. Returns: the last look. Raises: ConflictError, ApiError.
        """
        for _ in range(MOST_ROUNDS):
            with_pods = self._starts.wants_pods(ledger.ledger, now)
            sight = await see(self._objects, ledger.ledger, now=now, with_pods=with_pods)
            self._starts.see(sight, ledger.ledger)
            # Written before anything is decided on it: whoever still reads that a Job was only claimed, and sees none,
            # creates it with all of its indexes.
            ledger.stage(transitions.mark_created(ledger.ledger, sight.jobs))
            await ledger.commit()
            looks = {job: self._look(job, sight, ledger.ledger) for job in ledger.ledger.jobs}
            steps: Steps = {step: [] for step in Step}
            for job, look in looks.items():
                steps[next_step(ledger.ledger, job, look, now=now)].append(job)
            # Pods are proof that their Job was created, though it is gone: the next look decides on that.
            ledger.stage(transitions.mark_created(ledger.ledger, (job.name for job in looks if looks[job].has_pods)))
            await self._start(steps, ledger, maker, now)
            await self._end(steps, looks, sight, ledger, users)
            if not (steps[Step.DELETE_FILE] or steps[Step.ABANDON]):
                break
        self._forget(ledger.ledger)
        return sight

    def _look(self, job: OpenJob, sight: Sight, ledger: Ledger) -> Look:
        file = self._files.get(job.name)
        if file is None or file.generation == ledger.generation:
            return sight.look(job)
        return replace(sight.look(job), is_hopeless=self._starts.is_hopeless(sight.pods_of(job.name), sight.now))

    def look_again_at(self, ledger: Ledger, *, may_create: bool, now: int) -> int | None:
        """When to look at Jobs of which no event will tell: those that may not have been created, or are given up."""
        times = [self._starts.next_try(job, now) for job in ledger.jobs if job.phase is Phase.CLAIMED and may_create]
        times += [now + 1_000 for job in ledger.jobs if job.phase is Phase.ABANDONED]
        return min(times, default=None)

    async def _start(self, steps: Steps, ledger: OpenLedger, maker: JobMaker | None, now: int) -> None:
        """Create what was claimed, or give it up. Nothing of it waits for results of others."""
        ledger.stage(transitions.abandon(ledger.ledger, (job.name for job in steps[Step.ABANDON])))
        wanted = [job for job in steps[Step.CREATE] if self._starts.may_create(job, now)]
        if maker is not None and wanted:
            # Others may have created these, and closed some of their indexes, since they were looked at.
            await ledger.commit()
            await ledger.confirm()
            for name, error in (await maker.create(wanted, ledger, now=now)).items():
                self._starts.failed(name, error, now)
        if steps[Step.ABANDON] or wanted:
            await ledger.commit()

    async def _end(
        self, steps: Steps, looks: dict[OpenJob, Look], sight: Sight, ledger: OpenLedger, users: Users
    ) -> None:
        """Results first, then the ledger, then what is of no use any more."""
        closing = (*steps[Step.SETTLE], *steps[Step.CLOSE])
        ending = {job: _indexes(job, looks[job], steps) for job in (*closing, *steps[Step.DELETE_FILE])}
        if ending:
            await self._read_files(ledger.ledger)
            if not await self._landings.store(ending, self._files, sight, users):
                return
        for job in closing:
            tallies = self._landings.tallies(job, ending[job])
            ledger.stage(transitions.close(ledger.ledger, job.name, tallies, now=sight.now))
        in_doubt = {job: self._landings.in_doubt(job, ending[job]) for job in steps[Step.DELETE_FILE]}
        for job, doubtful in in_doubt.items():
            ledger.stage(transitions.count(ledger.ledger, job.name, doubtful, now=sight.now))
        if closing or any(in_doubt.values()):
            await ledger.commit()
        for job in closing:
            self._landings.tell(job, ending[job], sight.now)
        await self._objects.delete_batch_files(identity(sight.files[job.name]) for job in steps[Step.DELETE_FILE])
        doomed = [sight.jobs[job.name] for job in steps[Step.DELETE_JOB] if job.name in sight.jobs]
        await self._objects.delete_jobs(Identity(view.name, view.uid) for view in doomed)

    async def _read_files(self, ledger: Ledger) -> None:
        missing = [job.name for job in ledger.jobs if job.name not in self._files]
        for body in await results(self._objects.batch_file(name) for name in missing):
            if body is None:
                continue
            try:
                file = read_batch_file(body, self._policy)
            except ValueError as error:
                log.error("batch file is unreadable, its users count as unknown", extra={"error": str(error)})
            else:
                self._files[file.name] = file

    def _forget(self, ledger: Ledger) -> None:
        self._landings.forget_closed(ledger)
        names = {job.name for job in ledger.jobs}
        self._files = {name: file for name, file in self._files.items() if name in names}


def _indexes(job: OpenJob, look: Look, steps: Steps) -> list[int]:
    """Which indexes of a Job end with its step: while others run, those that are over; else all."""
    return sorted(ended_indexes(job, look) if job in steps[Step.SETTLE] else job.open)
