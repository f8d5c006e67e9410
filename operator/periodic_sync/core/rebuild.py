"""A ledger from nothing: for a new policy, and after the ledger was lost (deleted by hand, a restored cluster).

What runs is found in the Jobs and batch files that exist. Nothing is claimed before all of it is in the new ledger.
"""

from collections.abc import Iterable, Mapping

from periodic_sync.api.names import Priority
from periodic_sync.core.batch_files import BatchFile
from periodic_sync.core.ledger import Ledger, ManualRequest, OpenJob, Phase, Scope, Totals
from periodic_sync.core.views import JobView, PodView

Status = Mapping[str, object]


def rebuild(
    files: Iterable[BatchFile],
    unreadable_files: Iterable[str],
    jobs: Iterable[JobView],
    running: Iterable[PodView],
    *,
    status: Status,
) -> Ledger:
    """The ledger that accounts for everything that may run.

    `files`, `jobs`, `running`: all of this policy that exist, by uncached reads in this order; of pods those that are
    unfinished. `unreadable_files`: names of those that tell nothing. `status`: of the policy, for what only it still
    knows.

    A batch file without a Job is abandoned, never created: the proposals of two operators that raced for one claim may
    name the same users. A Job or a pod without a batch file is waited for, its users unknown, so that nothing else is
    claimed.
    """
    by_name = {file.name: file for file in files}
    views = {job.name: job for job in jobs if job.name in by_name or not job.finished}
    opened = [file.open_job(Phase.CREATED if name in views else Phase.ABANDONED) for name, file in by_name.items()]
    opened += [_unknown(name, views[name].completions) for name in views.keys() - by_name.keys()]
    opened += [_unknown(name, 1) for name in set(unreadable_files) - by_name.keys() - views.keys()]
    accounted = {job.name for job in opened}
    opened += [_unknown(name, 1) for name in {pod.job_name for pod in running} - accounted]
    last_claim = max((job.claim for job in opened), default=0)
    return Ledger(
        jobs=tuple(sorted(opened, key=lambda job: job.name)),
        last_claim=last_claim,
        request=_request(status, last_claim),
        last_completed_request=str(status.get("lastCompletedRequest") or ""),
        totals=Totals(
            synced={Priority.MEDIUM: _count(status, "usersSynced")},
            failed={Priority.MEDIUM: _count(status, "usersFailed")},
        ),
    )


def _unknown(name: str, completions: int) -> OpenJob:
    indexes = range(max(completions, 1))
    return OpenJob(
        name=name,
        claim=0,
        claimed_at=0,
        priorities=tuple(Priority.MEDIUM for _ in indexes),
        sizes=tuple(0 for _ in indexes),
        open=frozenset(indexes),
        phase=Phase.CREATED,
    )


def _request(status: Status, last_claim: int) -> ManualRequest | None:
    """A request that the status says is completed stays so; one that was under way is taken anew."""
    handled, completed = status.get("lastHandledRequest"), status.get("lastCompletedRequest")
    if not handled or handled != completed:
        return None
    return ManualRequest(token=str(handled), scope=Scope.NAMED, claim=last_claim, completed=True)


def _count(status: Status, key: str) -> int:
    value = status.get(key)
    return value if isinstance(value, int) else 0
