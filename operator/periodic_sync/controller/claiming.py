"""Propose, claim, create: from a plan to Jobs."""

import logging
from collections.abc import Sequence

from periodic_sync.api.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    TooLargeError,
    UnavailableError,
)
from periodic_sync.controller.creating import JobMaker
from periodic_sync.controller.open_ledger import OpenLedger
from periodic_sync.core import transitions
from periodic_sync.core.batch_files import BatchFile, batch_file, new_batch_file, planned
from periodic_sync.core.batches import PlannedBatch
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.plan import Plan
from periodic_sync.kube.parallel import answers

log = logging.getLogger(__name__)


async def claim(plan: Plan, ledger: OpenLedger, maker: JobMaker, *, highest_in_store: int) -> tuple[BatchFile, ...]:
    """Hand the planned batches to Jobs.

    Returns: the batch files of the claims that stand; their Jobs may still have been refused, as the ledger then says.
    Raises: ConflictError, SupersededError where another operator or a newer spec came first, having undone what was
    proposed; ApiError.
    """
    files = _number(plan, maker.policy, ledger, highest_in_store)
    try:
        proposed = await _propose(files, maker)
    except (ForbiddenError, InvalidError, TooLargeError) as refusal:
        log.error("batch file refused by the API server", extra={"error": str(refusal)})
        ledger.stage(transitions.note_refusal(ledger.ledger, message=str(refusal), now=plan.tick.now))
        return ()
    try:
        ledger.stage(
            transitions.claim(
                ledger.ledger,
                [file.open_job() for file in proposed],
                generation=plan.tick.ledger.generation,
                now=plan.tick.now,
            )
        )
        await ledger.commit()
    except UnavailableError:
        raise  # the claim may stand: the ledger will tell, and the files must be there if it does
    except (ApiError, transitions.SupersededError):
        await maker.objects.delete_batch_files(file.name for file in proposed)
        raise
    for file in proposed:
        _tell(file, maker.policy)
    await maker.create((file.open_job() for file in proposed), ledger, now=plan.tick.now)
    return tuple(proposed)


def _number(plan: Plan, policy: PolicyRef, ledger: OpenLedger, highest_in_store: int) -> list[BatchFile]:
    first = ledger.ledger.next_claim(now=plan.tick.now, highest_in_store=highest_in_store)
    return [
        new_batch_file(
            policy,
            [planned(batch, whole=_is_whole(batch, plan)) for batch in job.batches],
            claim=first + offset,
            claimed_at=plan.tick.now,
            generation=plan.tick.ledger.generation,
            probe=job.probe,
        )
        for offset, job in enumerate(plan.jobs)
    ]


def _is_whole(batch: PlannedBatch, plan: Plan) -> bool:
    """Whether every active user of the policy is in this batch."""
    oldest = plan.tick.now - plan.tick.spec.thresholds.active
    return sum(user.record.last_active >= oldest for user in batch.users) >= plan.counters.active


async def _propose(files: Sequence[BatchFile], maker: JobMaker) -> list[BatchFile]:
    """Write the batch files. One of another operator under the same name means that the race is lost."""
    answered = await answers(maker.objects.create_batch_file(batch_file(maker.policy, file)) for file in files)
    written = [file for file, answer in zip(files, answered, strict=True) if not isinstance(answer, ApiError)]
    failures = [answer for answer in answered if isinstance(answer, ApiError)]
    if not failures:
        return written
    await maker.objects.delete_batch_files(file.name for file in written)
    if isinstance(failures[0], AlreadyExistsError):
        raise ConflictError(str(failures[0]))
    raise failures[0]


def _tell(file: BatchFile, policy: PolicyRef) -> None:
    for index, batch in enumerate(file.batches):
        log.info(
            "scheduling batch",
            extra={
                "policy": f"{policy.namespace}/{policy.name}",
                "batch": f"{file.name}-{index}",
                "users": len(batch.users),
                "priority": batch.priority.value,
                "probe": file.probe,
            },
        )
