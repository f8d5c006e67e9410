"""Making a ledger where there is none: for a new policy, and after its ledger was lost."""

import logging

from periodic_sync.api.durations import SECOND
from periodic_sync.api.errors import AlreadyExistsError, ConflictError, ForbiddenError, InvalidError
from periodic_sync.api.reasons import ConditionReason
from periodic_sync.controller.findings import blocked_by
from periodic_sync.controller.sight import Sight, see
from periodic_sync.core.batch_files import BatchFile, read_batch_file
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef, name_prefix
from periodic_sync.core.rebuild import rebuild
from periodic_sync.core.status import Obstacle, Status
from periodic_sync.kube.ledgers import Ledgers
from periodic_sync.kube.parallel import results
from periodic_sync.kube.policy_objects import PolicyObjects

LOOK_AGAIN = 5 * SECOND

log = logging.getLogger(__name__)


async def rebuild_ledger(
    objects: PolicyObjects, ledgers: Ledgers, policy: PolicyRef, status: Status, *, now: int
) -> Obstacle | None:
    """Read back what exists and write it into a new ledger.

    Returns: an obstacle while something runs that carries this policy's label but belongs to a policy deleted before.
    Raises: ConflictError where another operator was first; ApiError.
    """
    sight = await see(objects, Ledger(), now=now, with_pods=True)
    blocked = blocked_by(sight) or _blocked_by_pods(sight, policy)
    if blocked is not None:
        return blocked
    files: list[BatchFile] = []
    unreadable: list[str] = []
    for name, body in zip(sight.files, await results(objects.batch_file(name) for name in sight.files), strict=True):
        try:
            files += [read_batch_file(body, policy)] if body else []
        except ValueError as error:
            log.error("a batch file is unreadable", extra={"error": str(error)})
            unreadable.append(name)
    running = [pod for pod in sight.pods or () if pod.unfinished_at(sight.now)]
    ledger = rebuild(files, unreadable, sight.jobs.values(), running, status=status)
    try:
        await ledgers.create(ledger)
    except AlreadyExistsError as error:
        raise ConflictError(str(error)) from error
    except (ForbiddenError, InvalidError) as error:
        return Obstacle(ConditionReason.REBUILDING_LEDGER, f"The API server refuses the policy's ledger: {error}")
    log.info("ledger made", extra={"policy": f"{policy.namespace}/{policy.name}", "open_jobs": len(ledger.jobs)})
    return None


def _blocked_by_pods(sight: Sight, policy: PolicyRef) -> Obstacle | None:
    """Pods outlive their Job by their grace period. Their Job's name tells whether they are this policy's."""
    ours = name_prefix(policy.name, policy.uid)
    pods = sight.pods or ()
    running = sorted(pod.name for pod in pods if not pod.job_name.startswith(ours) and pod.unfinished_at(sight.now))
    if not running:
        return None
    return Obstacle(
        ConditionReason.REBUILDING_LEDGER,
        f"Waiting for pods of a policy of the same name that was deleted: {running[0]}",
    )
