"""What is left over: Jobs past the history limits, Jobs and batch files that belong to no claim."""

import logging
from collections.abc import Iterable

from periodic_sync.api.durations import MINUTE
from periodic_sync.api.spec import History
from periodic_sync.controller.open_ledger import OpenLedger
from periodic_sync.controller.sight import Sight
from periodic_sync.core import transitions
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.protocol import can_no_longer_be_claimed
from periodic_sync.core.reading import instant
from periodic_sync.core.views import JobView
from periodic_sync.kube.ledgers import Ledgers
from periodic_sync.kube.policy_objects import Identity, PolicyObjects, identity

PROPOSAL_PATIENCE = MINUTE
"""How old an unclaimed batch file must be before it is swept: younger ones may be about to be claimed."""

log = logging.getLogger(__name__)


async def tidy(objects: PolicyObjects, ledgers: Ledgers, ledger: OpenLedger, sight: Sight, history: History) -> None:
    """Delete what is of no use any more. `sight` must be older than the ledger's next write."""
    surplus = past_history(sight.jobs.values(), ledger.ledger, history)
    await objects.delete_jobs(Identity(job.name, job.uid) for job in surplus)
    await _delete_unmatched_jobs(objects, ledgers, ledger.ledger, sight)
    await _sweep_batch_files(objects, ledger, sight)


def past_history(jobs: Iterable[JobView], ledger: Ledger, history: History) -> list[JobView]:
    """Finished Jobs beyond the newest that the limits keep. Those open in the ledger are never among them."""
    finished = [job for job in jobs if job.finished and not job.deleting and ledger.job(job.name) is None]
    finished.sort(key=lambda job: (job.finished_at or job.created_at, job.name), reverse=True)
    succeeded = [job for job in finished if job.succeeded]
    failed = [job for job in finished if not job.succeeded]
    return succeeded[history.succeeded :] + failed[history.failed :]


async def _delete_unmatched_jobs(objects: PolicyObjects, ledgers: Ledgers, ledger: Ledger, sight: Sight) -> None:
    """A Job whose POST landed after its claim was closed: no pod of it can start, and nobody waits for it."""
    suspects = [
        job for job in sight.jobs.values() if not job.finished and not job.deleting and not ledger.job(job.name)
    ]
    if not suspects:
        return
    # The claim comes before the Job, so only a ledger read after the Job was seen can clear it.
    version = await ledgers.read()
    if version is None:
        return
    unmatched = [job for job in suspects if version.ledger.job(job.name) is None]
    for job in unmatched:
        log.warning("deleting a Job that belongs to no open claim", extra={"job": job.name})
    await objects.delete_jobs(Identity(job.name, job.uid) for job in unmatched)


async def _sweep_batch_files(objects: PolicyObjects, ledger: OpenLedger, sight: Sight) -> None:
    """Batch files left by a crash between propose and claim. After one more write of the ledger no claim names them."""
    old = frozenset(
        name
        for name, metadata in sight.files.items()
        if sight.now - (instant(metadata, "creationTimestamp") or sight.now) > PROPOSAL_PATIENCE
    )
    if not can_no_longer_be_claimed(old, ledger.ledger):
        return
    ledger.stage(transitions.fence(ledger.ledger, above=0))
    await ledger.commit()
    swept = can_no_longer_be_claimed(old, ledger.ledger)
    log.info("sweeping batch files that no claim names", extra={"files": sorted(swept)})
    await objects.delete_batch_files(identity(sight.files[name]) for name in swept)
