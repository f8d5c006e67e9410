"""What to do next for an open Job, given one look at everything that belongs to it.

The steps of the protocol, as a pure function of what was seen: propose (write the batch file), claim (compare-and-swap
the ledger), create (POST the Job), settle (results into the store, then close indexes), discard (delete the batch file,
look again, close the rest), abandon (the same for a Job that is not to be). The order of the three parts of a look
matters: the batch file first, then the Job, then the pods. What was not there can then only have appeared too late to
start: a pod can't start without its batch file.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from periodic_sync.api.durations import MINUTE
from periodic_sync.core.ledger import Ledger, OpenJob, Phase

FAILURE_TARGET_PATIENCE = 2 * MINUTE
"""How long a Job may be failing without having failed: a pod on a lost node would hold it back for ever."""


class JobSeen(Protocol):
    """What the protocol needs to know of a Job object."""

    @property
    def completed(self) -> frozenset[int]: ...
    @property
    def failed(self) -> frozenset[int]: ...
    @property
    def finished(self) -> bool: ...
    @property
    def deleting(self) -> bool: ...
    @property
    def failure_target_since(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Look:
    """One uncached look: batch file, then Job, then pods, read in this order."""

    has_batch_file: bool
    job: JobSeen | None
    """The Job of that name, if it belongs to this policy's UID."""
    is_foreign: bool = False
    """An object of that name is there and belongs to somebody else."""
    has_unfinished_pods: bool = False
    has_pods: bool = False
    has_only_unbound_pods: bool = False
    """Its unfinished pods, of which there are some, were never given to a node."""
    unfinished_indexes: frozenset[int] = frozenset()
    """Indexes with an unfinished pod, be it of this Job or of one of its name that was deleted."""
    is_hopeless: bool = False
    """None of its pods can start until a person mends something, and the spec has been changed since they were made."""


class Step(StrEnum):
    """The next thing to do for an open Job. Each is safe to do twice, and by two operators at once."""

    WAIT = "wait"
    CREATE = "create"
    """POST the Job."""
    ABANDON = "abandon"
    """Mark it as never to be created, in the ledger."""
    SETTLE = "settle"
    """Write the results of the ended indexes to the store, then close these in the ledger; others still run."""
    DELETE_FILE = "delete-file"
    """Write all results that are there to the store, then delete the batch file, then look again."""
    DELETE_JOB = "delete-job"
    """Delete the Job, by its UID: nothing of it is wanted any more."""
    CLOSE = "close"
    """Nothing of it runs and nothing of it can start: write results to the store, close all that is open."""


def next_step(ledger: Ledger, open_job: OpenJob, look: Look, *, now: int) -> Step:
    """Decide on one open Job of the ledger. A pure function; `now` only serves the patience with lost nodes."""
    if open_job.phase is Phase.ABANDONED or look.is_foreign:
        return _give_up(open_job, look)
    if look.job is None:
        return _without_job(ledger, open_job, look)
    if not look.has_batch_file:
        return _give_up(open_job, look)
    return _with_job(open_job, look, look.job, now)


def _give_up(open_job: OpenJob, look: Look) -> Step:
    """The batch file is deleted first, so that nothing of it can start from then on; then what runs must end."""
    if look.is_foreign and open_job.phase is Phase.CLAIMED:
        return Step.ABANDON
    if look.has_batch_file:
        return Step.DELETE_FILE
    if look.has_unfinished_pods:
        return Step.WAIT if look.job is None or look.job.deleting else Step.DELETE_JOB
    if look.job is not None and not look.job.finished and not look.job.deleting:
        return Step.DELETE_JOB
    # A Job on its way out may be held by a finalizer for ever. Without its batch file nothing of it can start.
    return Step.CLOSE


def _without_job(ledger: Ledger, open_job: OpenJob, look: Look) -> Step:
    if look.has_unfinished_pods:
        # A pod that no node has yet may never get one. Once the batch file is gone it can't start either.
        can_end = look.has_only_unbound_pods and open_job.phase is Phase.CREATED and look.has_batch_file
        return Step.DELETE_FILE if can_end else Step.WAIT
    if open_job.phase is Phase.CLAIMED and look.has_batch_file:
        if look.has_pods:
            return Step.WAIT  # its Job came, and ended, in the middle of this look: the next one will see it
        return Step.CREATE if ledger.enabled else Step.ABANDON
    return Step.DELETE_FILE if look.has_batch_file else Step.CLOSE


def _with_job(open_job: OpenJob, look: Look, job: JobSeen, now: int) -> Step:
    if job.finished or (job.deleting and not look.has_unfinished_pods):
        return Step.WAIT if look.has_unfinished_pods else Step.DELETE_FILE
    if open_job.phase is Phase.CLAIMED:
        # It must be in the ledger that the Job was created before an index is closed: whoever sees the Job gone, and
        # still reads that it was only claimed, creates it anew, with all of its indexes.
        return Step.WAIT
    ended = ended_indexes(open_job, look)
    if ended and ended != open_job.open:
        return Step.SETTLE
    is_stuck = job.failure_target_since is not None and now - job.failure_target_since >= FAILURE_TARGET_PATIENCE
    # Nothing of such a Job is to start any more, so its batch file goes first: were the Job deleted while the file is
    # there, a second POST of it, long on its way, would begin it anew.
    return _give_up(open_job, look) if (is_stuck or look.is_hopeless) and not job.deleting else Step.WAIT


def ended_indexes(open_job: OpenJob, look: Look) -> frozenset[int]:
    """The open indexes that can be settled while others run.

    The Job's word is not enough: it may be the second of its name, and a pod of the first, deleted by hand, still run.
    """
    if look.job is None:
        return frozenset()
    return open_job.open & (look.job.completed | look.job.failed) - look.unfinished_indexes


def can_no_longer_be_claimed(batch_files: frozenset[str], ledger: Ledger) -> frozenset[str]:
    """Batch files that no claim can name any more.

    `batch_files`: those that were there *before* `ledger` was written by a successful compare-and-swap. Whoever
    proposed one of them read an older ledger, so that its claim must lose against this write.
    """
    return batch_files - {job.name for job in ledger.jobs}
