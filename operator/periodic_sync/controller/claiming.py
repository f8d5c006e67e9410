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
from periodic_sync.core.batch_files import BatchFile, batch_file
from periodic_sync.core.claims import numbered
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.plan import Plan
from periodic_sync.kube.parallel import answers
from periodic_sync.kube.policy_objects import Identity

log = logging.getLogger(__name__)


async def claim(
    plan: Plan, ledger: OpenLedger, maker: JobMaker, *, highest_in_store: int, now: int
) -> tuple[BatchFile, ...]:
    """Hand the planned batches to Jobs. `now`: later than the plan's, by what planning and reading took.

    Returns: the batch files of the claims that stand; their Jobs may still have been refused, as the ledger then says.
    Raises: ConflictError, SupersededError where another operator or a newer spec came first, having undone what was
    proposed; ApiError.
    """
    files = numbered(plan, maker.policy, ledger.ledger, highest_in_store=highest_in_store, now=now)
    jobs = [file.open_job() for file in files]
    try:
        proposed = await _propose(files, maker)
    except AlreadyExistsError as error:
        # Another operator's, or one left by a crash. Numbers go on above it, or the next try would be the same.
        ledger.stage(transitions.fence(ledger.ledger, above=files[-1].claim))
        await ledger.commit()
        raise ConflictError(str(error)) from error
    except (ForbiddenError, InvalidError, TooLargeError) as refusal:
        log.error("batch file refused by the API server", extra={"error": str(refusal)})
        ledger.stage(transitions.note_refusal(ledger.ledger, message=str(refusal), now=now))
        return ()
    try:
        ledger.stage(transitions.claim(ledger.ledger, jobs, generation=plan.tick.ledger.generation, now=now))
        await ledger.commit()
    except UnavailableError:
        raise  # the claim may stand: the ledger will tell, and the files must be there if it does
    except (ApiError, transitions.SupersededError):
        await maker.objects.delete_batch_files(proposed)
        raise
    for file in files:
        _tell(file, maker.policy)
    await maker.create(jobs, ledger, now=now)
    return tuple(files)


async def _propose(files: Sequence[BatchFile], maker: JobMaker) -> list[Identity]:
    """Write the batch files; where one fails, none is left. Raises: ApiError."""
    answered = await answers(maker.objects.create_batch_file(batch_file(maker.policy, file)) for file in files)
    written = [answer for answer in answered if not isinstance(answer, ApiError)]
    failures = [answer for answer in answered if isinstance(answer, ApiError)]
    if not failures:
        return written
    await maker.objects.delete_batch_files(written)
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
