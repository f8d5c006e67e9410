"""From a plan to the claims that hand its batches to Jobs."""

from periodic_sync.core.batch_files import BatchFile, new_batch_file, planned
from periodic_sync.core.batches import PlannedBatch
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.plan import Plan


def numbered(plan: Plan, policy: PolicyRef, ledger: Ledger, *, highest_in_store: int, now: int) -> list[BatchFile]:
    """The batch file of each of the plan's Jobs, in order, with the numbers that come next.

    `now`: when they are claimed, at the plan's instant or later.
    """
    first = ledger.next_claim(now=now, highest_in_store=highest_in_store)
    return [
        new_batch_file(
            policy,
            [planned(batch, whole=_is_whole(batch, plan)) for batch in job.batches],
            claim=first + offset,
            claimed_at=now,
            generation=plan.tick.ledger.generation,
            probe=job.probe,
        )
        for offset, job in enumerate(plan.jobs)
    ]


def _is_whole(batch: PlannedBatch, plan: Plan) -> bool:
    """Whether every active user of the policy is in this batch."""
    if len(batch.users) < plan.counters.active:
        return False
    oldest = plan.tick.now - plan.tick.spec.thresholds.active
    return sum(user.record.last_active >= oldest for user in batch.users) >= plan.counters.active
