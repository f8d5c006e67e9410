"""Transitions of the ledger: pure functions from one ledger to the next.

Each is tried against the API server by compare-and-swap: whoever loses the race throws the result away, reads the
ledger again and decides anew. The model check in the unit tests drives these very functions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from periodic_sync.api.durations import MINUTE
from periodic_sync.api.names import Priority
from periodic_sync.core.ledger import (
    Breaker,
    IntervalEdit,
    Intervals,
    Ledger,
    ManualRequest,
    OpenJob,
    Phase,
    RecentClaim,
    Refusal,
    Scope,
    Totals,
)


class SupersededError(Exception):
    """The ledger has acted on a newer generation of the spec, or has changed, since the caller looked."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What closing one index adds to the ledger. A batch returned without blame adds nothing and is no evidence."""

    synced: int = 0
    failed: int = 0
    is_success: bool = False
    """At least one user was synced."""
    is_failure_evidence: bool = False
    """The batch failed as a whole, in a way that speaks against the worker and not against one user."""


RETURNED = Tally()


def follow_spec(ledger: Ledger, *, generation: int, enabled: bool, intervals: Intervals, now: int) -> Ledger:
    """Act on a generation of the spec. Equal input gives an equal ledger, so that nothing is written for nothing.

    Raises: SupersededError where the ledger has acted on a newer one.
    """
    if generation < ledger.generation:
        raise SupersededError(f"generation {generation} is older than {ledger.generation}, which was acted on already")
    edited = ledger.intervals is not None and ledger.intervals != intervals
    return replace(
        ledger,
        generation=generation,
        enabled=enabled,
        intervals=intervals,
        edit=IntervalEdit(at=now, before=ledger.intervals) if edited and ledger.intervals else ledger.edit,
        refusal=ledger.refusal if generation == ledger.generation else None,
    )


def spread(ledger: Ledger, *, at: int, cohorts: int) -> Ledger:
    """Fix the number of cohorts for the drop of the interval at `at`. An older drop changes nothing."""
    return ledger if at <= ledger.cohorts_at else replace(ledger, cohorts_at=at, cohorts=max(1, cohorts))


def take_request(ledger: Ledger, *, token: str, scope: Scope, claim: int) -> Ledger:
    """Queue a manual request. The newest token wins; one already taken changes nothing.

    `claim`: the highest claim number given so far; only a later one can serve the request.
    """
    if ledger.request is not None and ledger.request.token == token:
        return ledger
    number = max(claim, ledger.last_claim)
    return replace(ledger, request=ManualRequest(token, scope, number), last_claim=number)


def complete_request(ledger: Ledger, *, token: str) -> Ledger:
    """Say that everyone in the request's scope was synced or failed."""
    request = ledger.request
    if request is None or request.token != token or request.completed:
        return ledger
    return replace(ledger, request=replace(request, completed=True), last_completed_request=token)


def drop_request(ledger: Ledger, *, token: str) -> Ledger:
    """End a request that can't be told any more whom it asked for: it is over, and was not completed."""
    request = ledger.request
    if request is None or request.token != token or request.completed:
        return ledger
    return replace(ledger, request=replace(request, completed=True))


def know_store(ledger: Ledger, identity: str) -> Ledger:
    """Remember which store holds the users, so that one without any can be told from one that has lost them."""
    return ledger if not identity or ledger.store == identity else replace(ledger, store=identity)


def fence(ledger: Ledger, *, above: int) -> Ledger:
    """Raise the number of the last claim, so that everything proposed until now can't be claimed any more."""
    return replace(ledger, last_claim=max(ledger.last_claim + 1, above))


def claim(ledger: Ledger, jobs: Iterable[OpenJob], *, generation: int, now: int) -> Ledger:
    """Put users in flight: from the write of this ledger on they are nobody else's.

    Raises: SupersededError for a claim planned on another generation than the ledger's, on a disabled policy, or with a
    number that is not above every earlier one.
    """
    if generation != ledger.generation:
        raise SupersededError(f"planned on generation {generation}, the ledger is at {ledger.generation}")
    if not ledger.enabled:
        raise SupersededError("the policy is disabled")
    recent = tuple(past for past in ledger.recent if abs(now - past.at) < MINUTE)
    claimed = tuple(jobs)
    for job in claimed:
        if job.claim <= ledger.last_claim or ledger.job(job.name):
            raise SupersededError(f"claim {job.claim} is not above {ledger.last_claim}")
        ledger = replace(
            ledger,
            jobs=(*ledger.jobs, job),
            last_claim=job.claim,
            breaker=replace(ledger.breaker, last_probe=job.claimed_at) if job.probe else ledger.breaker,
            last_schedule=job.claimed_at,
        )
    users = sum(sum(job.sizes) for job in claimed)
    return replace(ledger, recent=(*recent, RecentClaim(now, users)) if users else recent)


def mark_created(ledger: Ledger, names: Iterable[str]) -> Ledger:
    """Record that these Jobs were seen at the API server: refusals of others are then in the past."""
    seen = frozenset(names)
    if not any(job.name in seen and job.phase is Phase.CLAIMED for job in ledger.jobs):
        return ledger
    jobs = tuple(
        replace(job, phase=Phase.CREATED) if job.name in seen and job.phase is Phase.CLAIMED else job
        for job in ledger.jobs
    )
    return replace(ledger, jobs=jobs, refusal=None)


def abandon(ledger: Ledger, names: Iterable[str]) -> Ledger:
    """Decide that these claims are never created. They stay in flight until nothing of them can run."""
    given_up = frozenset(names)
    jobs = tuple(
        replace(job, phase=Phase.ABANDONED) if job.name in given_up and job.phase is Phase.CLAIMED else job
        for job in ledger.jobs
    )
    return replace(ledger, jobs=jobs)


def note_refusal(ledger: Ledger, *, message: str, now: int) -> Ledger:
    """Record that the API server refused a Job: the next claim waits, twice as long with each refusal in a row."""
    count = ledger.refusal.count + 1 if ledger.refusal else 1
    return replace(ledger, refusal=Refusal(count=count, at=now, generation=ledger.generation, message=message))


def count(ledger: Ledger, name: str, tallies: Mapping[int, Tally], *, now: int) -> Ledger:
    """Add the tallies of indexes that stay in flight for now: once, so that closing them adds nothing any more."""
    job = ledger.job(name)
    if job is None:
        return ledger
    fresh = {index: tally for index, tally in tallies.items() if index in job.open - job.counted}
    if not fresh:
        return ledger
    counted = replace(job, counted=frozenset(job.counted | fresh.keys()))
    return replace(
        _tallied(ledger, job, fresh, now=now),
        jobs=tuple(counted if other is job else other for other in ledger.jobs),
    )


def close(ledger: Ledger, name: str, tallies: Mapping[int, Tally], *, now: int) -> Ledger:
    """End the flight of a Job's indexes, once: an index that is closed, or counted, already adds nothing again."""
    job = ledger.job(name)
    if job is None or not job.open & tallies.keys():
        return ledger
    closing = {index: tally for index, tally in tallies.items() if index in job.open - job.counted}
    remaining = replace(job, open=frozenset(job.open - tallies.keys()), counted=frozenset(job.counted - tallies.keys()))
    return replace(
        _tallied(ledger, job, closing, now=now),
        jobs=tuple(remaining if other is job else other for other in ledger.jobs if other is not job or remaining.open),
    )


def _tallied(ledger: Ledger, job: OpenJob, tallies: Mapping[int, Tally], *, now: int) -> Ledger:
    totals, breaker = ledger.totals, ledger.breaker
    for index, tally in sorted(tallies.items()):
        totals = _add(totals, job.priorities[index], tally)
        breaker = _judge(breaker, tally)
    is_success = any(tally.is_success for tally in tallies.values())
    return replace(ledger, totals=totals, breaker=breaker, last_sync=now if is_success else ledger.last_sync)


def _add(totals: Totals, priority: Priority, tally: Tally) -> Totals:
    return Totals(
        synced={**totals.synced, priority: totals.synced.get(priority, 0) + tally.synced},
        failed={**totals.failed, priority: totals.failed.get(priority, 0) + tally.failed},
    )


def _judge(breaker: Breaker, tally: Tally) -> Breaker:
    if tally.is_success:
        return replace(breaker, failed_batches=0)
    if tally.is_failure_evidence:
        return replace(breaker, failed_batches=breaker.failed_batches + 1)
    return breaker
