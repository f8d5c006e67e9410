"""How a batch ended, in numbers: what was made of its users, and how long after their due time they were synced.

A user's due time is written into the batch file when it is claimed, so that whoever sees the end can tell the lag, also
after a restart or a change of leaders.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from periodic_sync.api.names import Priority
from periodic_sync.core.batch_files import Batch
from periodic_sync.core.calls import Calls
from periodic_sync.core.outcomes import Ending, Outcome
from periodic_sync.core.transitions import Tally


class BatchResult(StrEnum):
    """What became of a batch."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    """Some of its users were synced."""
    FAILED = "failed"
    RETURNED = "returned"
    """It ended without the worker's doing: evicted, deleted, never started."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Of one user that was synced, from its due time on. Milliseconds. `priority`: the user's own."""

    priority: Priority
    to_claim: int
    to_end: int


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """One batch that is over. `took`: from its claim until its end was seen, in milliseconds."""

    priority: Priority
    result: BatchResult
    synced: int
    failed: int
    returned: int
    took: int
    lags: tuple[Lag, ...] = ()
    calls: Calls | None = None
    """None: the worker told nothing of them."""


def batch_end(
    priority: Priority, size: int, tally: Tally, *, took: int, lags: tuple[Lag, ...], calls: Calls | None = None
) -> BatchEnd:
    """`size`: users in it."""
    is_returned = not (tally.synced or tally.failed)
    return BatchEnd(
        priority=priority,
        result=_result(tally),
        synced=tally.synced,
        failed=tally.failed,
        returned=size if is_returned else 0,
        took=max(0, took),
        lags=lags,
        calls=calls,
    )


def lags_of(batch: Batch, ended: Iterable[Outcome]) -> tuple[Lag, ...]:
    """Of those who were synced, and were due by the clock when they were claimed."""
    synced = {outcome.user_id: outcome for outcome in ended if outcome.ending is Ending.SYNCED}
    return tuple(
        Lag(
            user.due.priority,
            # Clocks may have been set back in between.
            to_claim=max(0, synced[user.user_id].claimed_at - user.due.at),
            to_end=max(0, synced[user.user_id].ended_at - user.due.at),
        )
        for user in batch.users
        if user.due is not None and user.user_id in synced
    )


def _result(tally: Tally) -> BatchResult:
    if not (tally.synced or tally.failed):
        return BatchResult.RETURNED
    if not tally.synced:
        return BatchResult.FAILED
    return BatchResult.PARTIAL if tally.failed else BatchResult.SUCCEEDED
