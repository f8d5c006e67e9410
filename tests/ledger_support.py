"""Short ways to write the values that the tests of ledger and protocol are about."""

from dataclasses import replace

from periodic_sync.api.names import Priority
from periodic_sync.core.ledger import OpenJob, Phase
from periodic_sync.core.views import JobView


def open_job(name: str = "job", *, claim: int = 10, sizes: tuple[int, ...] = (2,), **fields: object) -> OpenJob:
    """A claim of medium priority, all of whose indexes are open."""
    job = OpenJob(
        name=name,
        claim=claim,
        claimed_at=claim,
        priorities=tuple(Priority.MEDIUM for _ in sizes),
        sizes=sizes,
        open=frozenset(range(len(sizes))),
        phase=Phase.CREATED,
    )
    return replace(job, **fields)  # type: ignore[arg-type]


def job_seen(name: str = "job", **fields: object) -> JobView:
    """A Job as it is while its only index runs."""
    view = JobView(
        name=name,
        uid=f"uid-of-{name}",
        owner_uid="policy-uid",
        policy="portfolios",
        created_at=1,
        started_at=1,
        finished_at=None,
        deadline_at=None,
        completions=1,
        completed=frozenset(),
        failed=frozenset(),
        finished=False,
        succeeded=False,
        failure_target_since=None,
        suspended=False,
        deleting=False,
        failure="",
    )
    return replace(view, **fields)  # type: ignore[arg-type]
