"""Making a ledger where there is none: for a new policy, and after its ledger was lost."""

import logging

from periodic_sync.api.durations import SECOND
from periodic_sync.api.errors import AlreadyExistsError, ConflictError
from periodic_sync.controller.sight import see
from periodic_sync.core.batch_files import BatchFile, read_batch_file
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef, name_prefix
from periodic_sync.core.rebuild import rebuild
from periodic_sync.core.status import Obstacle, Status
from periodic_sync.kube.ledgers import Ledgers, Version
from periodic_sync.kube.policy_objects import PolicyObjects

LOOK_AGAIN = 5 * SECOND

log = logging.getLogger(__name__)


async def rebuild_ledger(
    objects: PolicyObjects, ledgers: Ledgers, policy: PolicyRef, status: Status, *, now: int
) -> Version | Obstacle:
    """Read back what exists and write it into a new ledger.

    Returns: an obstacle while something runs that carries this policy's label but belongs to a policy deleted before.
    Raises: ConflictError where another operator was first; ApiError.
    """
    sight = await see(objects, Ledger(), now=now, with_pods=True)
    ours = name_prefix(policy.name, policy.uid)
    running = [job.name for job in sight.foreign_jobs.values() if not job.finished]
    running += [pod.name for pod in sight.pods or () if not pod.job_name.startswith(ours) and pod.unfinished_at(now)]
    if running:
        return Obstacle(
            "RebuildingLedger",
            f"Waiting for {', '.join(sorted(running)[:3])} to end: it carries this policy's label and belongs to a "
            "policy of the same name that was deleted. Delete it if it is not wanted any more",
        )
    files: list[BatchFile] = []
    unreadable: list[str] = []
    for name in sight.files:
        body = await objects.batch_file(name)
        try:
            files += [read_batch_file(body, policy)] if body else []
        except ValueError as error:
            log.error("a batch file is unreadable", extra={"error": str(error)})
            unreadable.append(name)
    ledger = rebuild(files, unreadable, sight.jobs.values(), status=status)
    try:
        version = await ledgers.create(ledger)
    except AlreadyExistsError as error:
        raise ConflictError(str(error)) from error
    log.info("ledger made", extra={"policy": f"{policy.namespace}/{policy.name}", "open_jobs": len(ledger.jobs)})
    return version
