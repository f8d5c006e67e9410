"""What to do now: `(policy, users, ledger, now) → Plan`. The caller performs the plan, or throws it away.

All due users are judged by the rules, the most urgent are put in batches as capacity allows, and the others are held.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from periodic_sync.api.names import Priority, Reason
from periodic_sync.core.batches import Candidate, PlannedJob, fill, group, probe
from periodic_sync.core.due import Case, Decision, examine, is_active, judge, may_go_along
from periodic_sync.core.ledger import Scope
from periodic_sync.core.limits import Hold, Limits, hold, limits
from periodic_sync.core.spread import Cohorts, Drop, cohorts_needed, latest_drop
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import UserRecord, UserState

User = tuple[UserRecord, UserState]

MOST_OPEN_JOBS = 2000
"""The ledger names each open Job, and must stay well below the 1 MiB of an object. batchesPerJob makes more of them."""

DUE = frozenset({Reason.DUE_REQUESTED, Reason.DUE_BULK, Reason.DUE_STALE, Reason.DUE_REGULAR})

_HIGH = (Reason.DUE_REQUESTED, Reason.DUE_STALE)


@dataclass(slots=True)
class Counters:
    """A count over all users at one tick, before what the plan claims. Each user has exactly one reason."""

    total: int = 0
    active: int = 0
    stale: int = 0
    """Active ones only; never synced and in flight included."""
    due: int = 0
    """Due and not in flight, whatever they wait for."""
    due_by_reason: Mapping[Reason, int] = field(default_factory=dict)
    """These by their Due code, also where they are held."""
    in_flight: int = 0
    claimed: int = 0
    """Users in the plan's Jobs; those among them that are due are counted in `due` and by their Due code."""
    requested: int = 0
    """Users in the manual request's scope that it is not served for, in flight or not: at 0 it is complete."""
    by_reason: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))


@dataclass(frozen=True, slots=True)
class Plan:
    """What one turn of the scheduler does and says."""

    tick: Tick
    jobs: tuple[PlannedJob, ...]
    """To be claimed, most urgent first."""
    counters: Counters
    hold: Hold | None
    """What the users wait for that are due and not in `jobs`; None: there are none."""
    next_of_others: int | None
    """The earliest due time in the future of those who neither are in flight nor claimed."""
    flying: tuple[UserRecord, ...]
    """Who is in flight."""
    wake_at: int | None
    """The earliest instant after this tick at which time alone could change a decision; None: never."""
    cohorts: Cohorts | None
    """To be put in the ledger with its next write, which is due at once: the interval dropped. None: nothing to do."""
    unknown_users: frozenset[str]
    """Ids that the manual request names and no record has."""
    claimed: frozenset[str]
    """Ids of the users in `jobs`."""

    @property
    def next_due(self) -> int | None:
        """The earliest due time in the future; of users in flight, or claimed by this plan, as if that succeeds."""
        tick = self.tick
        claimed = [(record, tick.in_flight[record.user_id]) for record in self.flying]
        claimed += [(user.record, tick.now) for job in self.jobs for batch in job.batches for user in batch.users]
        cases = (examine(record, UserState(last_synced=at), tick) for record, at in claimed)
        times = [case.due_at for case in cases if case.is_active and case.due_at > tick.now]
        return min(times if self.next_of_others is None else [*times, self.next_of_others], default=None)

    @property
    def is_market_open(self) -> bool:
        return self.tick.zone(None).is_open

    @property
    def interval(self) -> int:
        """The policy's own that holds now."""
        return self.tick.zone(None).interval

    def explain(self, record: UserRecord, state: UserState) -> Decision:
        """The one reason code of a user as this plan leaves it: its Due code, or what it is held by."""
        decision = judge(examine(record, state, self.tick), self.tick)
        if decision.reason not in DUE or record.user_id in self.claimed or self.hold is None:
            return decision
        return decision._replace(reason=self.hold.reason, until=self.hold.until, held_from=decision.reason)


@dataclass(frozen=True, slots=True)
class Census:
    """A count over all users by a store that can tell it without showing each. Fields as in `Counters`."""

    total: int
    active: int
    stale: int
    due: int
    requested: int
    """Of a request for all or for the active; whoever is named in one is among the population's users."""
    by_reason: Mapping[Reason, int]
    next_due: int | None
    """The earliest due time in the future of a user that is not in flight."""


class Population(NamedTuple):
    """The users of a policy, as a store shows them for one tick: valid records with what is known of each user
    (`NEVER_SYNCED` where nothing is), each id once."""

    users: Sequence[User]
    census: Census | None = None
    """None: `users` are all there are. Else they are those who matter to the plan: who is in flight or named in the
    request, and as many as may be claimed of the due, in the order of urgency, and of those that may go along."""


def plan(users: Iterable[User], tick: Tick) -> Plan:
    """Plan one turn for one policy whose users are all known; fixes K first where the interval dropped.

    Raises: UnknownTimeZoneError where the policy's own time zone does not exist.
    """
    known = list(users)
    tick, cohorts = with_cohorts(tick, sum(is_active(record, tick) for record, _ in known))
    return plan_for(Population(known), tick, cohorts)


def with_cohorts(tick: Tick, active: int) -> tuple[Tick, Cohorts | None]:
    """The tick with the K that holds, and K where it is to be fixed now. active: how many active users there are.

    It counts at once, before any ledger is written: an opening planned with an older K would be a burst.
    Raises: UnknownTimeZoneError where the policy's own time zone does not exist.
    """
    drop = drop_to_spread(tick)
    if drop is None:
        return replace(tick, cohorts=tick.ledger.cohorts), None
    cohorts = Cohorts(cohorts_needed(active, tick.spec.batch_size), drop.moment)
    return replace(tick, cohorts=cohorts.count), cohorts


def drop_to_spread(tick: Tick) -> Drop | None:
    """The drop of the policy's interval for which the ledger has no K yet. Raises: UnknownTimeZoneError."""
    spec, ledger = tick.spec, tick.ledger
    if not (spec.enabled and tick.store_ready):
        return None
    drop = latest_drop(spec.intervals, tick.calendars(None), ledger.edit, tick.now)
    return drop if drop is not None and drop.moment > ledger.cohorts_at else None


def plan_for(population: Population, tick: Tick, cohorts: Cohorts | None) -> Plan:
    """Plan one turn for one policy. cohorts: K where it is to be fixed with this plan, as the tick has it.

    Raises: UnknownTimeZoneError where the policy's own time zone does not exist.
    """
    survey = _survey(population.users, tick)
    if population.census is not None:
        is_bulk = tick.request is not None and tick.request.scope is not Scope.NAMED
        _take_census(survey, population.census, is_bulk=is_bulk)
    allowed = limits(tick)
    jobs = _jobs(survey, allowed, tick)
    counters = survey.counters
    claimed = frozenset(user.record.user_id for job in jobs for batch in job.batches for user in batch.users)
    counters.due_by_reason = {reason: counters.by_reason[reason] for reason in DUE}
    held = _hold_others(survey, claimed, tick)
    counters.claimed = len(claimed)
    return Plan(
        tick=tick,
        jobs=jobs,
        counters=counters,
        hold=held,
        next_of_others=survey.next_due,
        flying=tuple(case.record for case in survey.flying),
        wake_at=_wake_at(survey, held, tick),
        cohorts=cohorts,
        unknown_users=survey.unknown_users,
        claimed=claimed,
    )


def due_by_priority(due: int, by_reason: Mapping[Reason, int]) -> dict[Priority, int]:
    """due: of all. by_reason: Due codes. Who is due by a request for many counts as Low, and so does whom a store has
    counted without knowing the code yet: at most some of them are more urgent."""
    high = min(due, sum(max(0, by_reason.get(reason, 0)) for reason in _HIGH))
    medium = min(due - high, max(0, by_reason.get(Reason.DUE_REGULAR, 0)))
    return {Priority.HIGH: high, Priority.MEDIUM: medium, Priority.LOW: due - high - medium}


@dataclass(slots=True)
class _Survey:
    """All users, judged."""

    counters: Counters = field(default_factory=Counters)
    due: list[Candidate] = field(default_factory=list)
    along: list[Candidate] = field(default_factory=list)
    backing_off: list[Candidate] = field(default_factory=list)
    flying: list[Case] = field(default_factory=list)
    next_due: int | None = None
    unknown_users: frozenset[str] = frozenset()


def _survey(users: Iterable[User], tick: Tick) -> _Survey:
    survey = _Survey()
    counters, by_reason = survey.counters, survey.counters.by_reason
    next_due = 1 << 62
    for record, state in users:
        case = examine(record, state, tick)
        decision = judge(case, tick)
        by_reason[decision.reason] += 1
        counters.total += 1
        if case.is_active:
            counters.active += 1
            counters.stale += case.is_stale
        if decision.due_at is None:
            if decision.reason is Reason.IN_FLIGHT:
                survey.flying.append(case)
            continue
        if decision.due_at > tick.now:
            next_due = min(next_due, decision.due_at)
            if decision.reason is Reason.BACKING_OFF:
                survey.backing_off.append(Candidate(case, decision))
            elif may_go_along(case, tick):
                survey.along.append(Candidate(case, decision))
        else:
            survey.due.append(Candidate(case, decision))
    survey.next_due = None if next_due == 1 << 62 else next_due
    counters.due = len(survey.due)
    counters.in_flight = len(tick.in_flight)
    survey.unknown_users = _count_request(users, tick, counters)
    return survey


def _take_census(survey: _Survey, census: Census, *, is_bulk: bool) -> None:
    """Count by it, as the users at hand are not all."""
    counters = survey.counters
    counters.total, counters.active, counters.stale = census.total, census.active, census.stale
    counters.due = census.due
    counters.by_reason = dict.fromkeys(Reason, 0) | dict(census.by_reason)
    if is_bulk:
        counters.requested = census.requested
    survey.next_due = census.next_due


def _jobs(survey: _Survey, allowed: Limits, tick: Tick) -> tuple[PlannedJob, ...]:
    if allowed.batches == 0 or allowed.users == 0:
        return ()
    if allowed.is_probe:
        batch = probe([*survey.due, *survey.backing_off], users=allowed.users, tick=tick)
        return () if batch is None else (PlannedJob((batch,), probe=True),)
    batches = fill(survey.due, survey.along, batches=allowed.batches, users=allowed.users, tick=tick)
    return group(batches, tick.spec.jobs.batches_per_job)[: max(0, MOST_OPEN_JOBS - len(tick.ledger.jobs))]


def _hold_others(survey: _Survey, claimed: frozenset[str], tick: Tick) -> Hold | None:
    """What the due users wait for that are not claimed, who are counted by it from here on."""
    by_reason = survey.counters.by_reason
    taken = Counter(it.decision.reason for it in survey.due if it.case.record.user_id in claimed)
    held = {reason: by_reason[reason] - taken[reason] for reason in DUE}
    if sum(held.values()) <= 0:
        return None
    waits_for = hold(tick, claimed=len(claimed))
    for reason, count in held.items():
        by_reason[reason] -= count
        by_reason[waits_for.reason] += count
    return waits_for


def _count_request(users: Iterable[User], tick: Tick, counters: Counters) -> frozenset[str]:
    """Count whom the manual request is not served for yet. Returns: the ids that it names and no record has."""
    request = tick.request
    if request is None:
        return frozenset()
    found: set[str] = set()
    for record, state in users:
        if request.scope is Scope.NAMED:
            if record.user_id not in tick.named:
                continue
            found.add(record.user_id)
        elif request.scope is Scope.ACTIVE and tick.now - record.last_active > tick.spec.thresholds.active:
            continue
        counters.requested += state.last_outcome <= request.claim
    return frozenset(tick.named - found) if request.scope is Scope.NAMED else frozenset()


def _wake_at(survey: _Survey, held: Hold | None, tick: Tick) -> int | None:
    moments = [zone.next_change for zone in (tick.zone(None), *tick.zones.values())]
    moments.append(survey.next_due)
    if held is not None:
        moments.append(held.until)
    elif survey.backing_off and tick.ledger.breaker.is_open:
        moments.append(hold(tick, claimed=0).until)
    return min((moment for moment in moments if moment is not None and moment > tick.now), default=None)
