"""How much may be claimed now: batches in flight, users a minute, a failing worker, a refused Job."""

from dataclasses import dataclass

from periodic_sync.api.durations import MINUTE
from periodic_sync.api.names import Reason
from periodic_sync.core.ledger import PROBE_EVERY
from periodic_sync.core.tick import CLOCK_SKEW, Tick

UNLIMITED = 1 << 40


@dataclass(frozen=True, slots=True)
class Hold:
    """What all users that are due and not claimed wait for, and until when where that is known (ms)."""

    reason: Reason
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be claimed in one turn: `batches` at once, `users` in the sliding minute; one probe, or no probe."""

    batches: int
    users: int
    is_probe: bool = False


def limits(tick: Tick) -> Limits:
    """What may be claimed at this tick; no batches where a claim must wait altogether."""
    nothing = Limits(0, 0)
    if not (tick.spec.enabled and tick.store_ready and tick.may_claim) or _refused_until(tick) is not None:
        return nothing
    batches = max(0, tick.spec.jobs.max_concurrent_batches - tick.ledger.batches_in_flight())
    users = users_left(tick)
    if not tick.ledger.breaker.is_open:
        return Limits(batches, users)
    if _probe_runs(tick) or _next_probe(tick) is not None:
        return nothing
    return Limits(min(batches, 1), users, is_probe=True)


def hold(tick: Tick, *, claimed: int) -> Hold:
    """What whoever is due and not among the `claimed` users of this turn waits for."""
    if tick.ledger.breaker.is_open:
        next_probe = tick.now + PROBE_EVERY if claimed else _next_probe(tick)
        return Hold(Reason.WORKER_FAILING, None if _probe_runs(tick) else next_probe)
    if users_left(tick) <= claimed and tick.spec.jobs.users_per_minute is not None:
        return Hold(Reason.RATE_LIMITED, min((at for at, _ in _recent(tick)), default=tick.now) + MINUTE)
    return Hold(Reason.WAITING_FOR_CAPACITY, _refused_until(tick))


def users_left(tick: Tick) -> int:
    """How many users the sliding minute of `usersPerMinute` leaves."""
    cap = tick.spec.jobs.users_per_minute
    return UNLIMITED if cap is None else max(0, cap - sum(users for _, users in _recent(tick)))


def _recent(tick: Tick) -> list[tuple[int, int]]:
    """Instant and users of the claims of the last minute.

    One more than a minute ahead is from before the clock was set back, and would hold everything until it caught up.
    """
    return [(claim.at, claim.users) for claim in tick.ledger.recent if abs(tick.now - claim.at) < MINUTE]


def _refused_until(tick: Tick) -> int | None:
    """The end of the pause after the API server refused a Job. A later generation of the spec ends it at once."""
    refusal = tick.ledger.refusal
    if refusal is None or refusal.generation != tick.ledger.generation or refusal.at > tick.now + CLOCK_SKEW:
        return None
    return refusal.until() if refusal.until() > tick.now else None


def _probe_runs(tick: Tick) -> bool:
    return any(job.probe and job.open for job in tick.ledger.jobs)


def _next_probe(tick: Tick) -> int | None:
    """When the next probe may be claimed; None: now."""
    breaker = tick.ledger.breaker
    if breaker.may_probe_at() <= tick.now or breaker.last_probe > tick.now + CLOCK_SKEW:
        return None
    return breaker.may_probe_at()
