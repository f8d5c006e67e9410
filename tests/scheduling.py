"""What the tests of the scheduling core share: short ways to write policies, users and instants, and a small world.

Time is simulated: instants are milliseconds, and nothing here waits.
"""

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from periodic_sync.api.durations import DAY, MINUTE, SECOND
from periodic_sync.api.names import Reason
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core import transitions
from periodic_sync.core.batches import PlannedBatch
from periodic_sync.core.ledger import Intervals, Ledger, OpenJob
from periodic_sync.core.outcomes import SUCCEEDED, Ending, Verdict, apply, blame, counts_for_breaker
from periodic_sync.core.plan import Plan, plan
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState

NOON = 1_795_608_000_000
"""2026-11-25T12:00:00Z, a Wednesday in market hours."""


def instant(text: str) -> int:
    """Milliseconds of an ISO 8601 instant with its offset."""
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def policy(**changes: object) -> SyncPolicySpec:
    """A valid spec with these top-level fields, written as in the resource; `jobs={…}` and the like keep defaults."""
    minimal = {"store": {"configMap": {"name": "users"}}, "worker": {"image": "worker"}}
    return SyncPolicySpec.model_validate({**minimal, **changes})


def user(user_id: str = "u1", *, last_active: int = NOON, **fields: object) -> UserRecord:
    return UserRecord(user_id, wallet=f"0x{user_id}", last_active=last_active, **fields)  # type: ignore[arg-type]


def ledger_of(spec: SyncPolicySpec, **fields: object) -> Ledger:
    """The ledger of a policy that was acted on, its cohorts fixed for every drop up to the year 2286."""
    intervals = Intervals(spec.intervals.market_hours, spec.intervals.off_hours, spec.market_hours)
    defaults = {"generation": 1, "enabled": spec.enabled, "intervals": intervals, "cohorts_at": 10**13}
    return Ledger(**{**defaults, **fields})  # type: ignore[arg-type]


def tick_of(
    spec: SyncPolicySpec | None = None, *, now: int = NOON, ledger: Ledger | None = None, **more: object
) -> Tick:
    spec = policy() if spec is None else spec
    return Tick(spec, ledger_of(spec) if ledger is None else ledger, now, **more)  # type: ignore[arg-type]


def planned_ids(result: Plan) -> list[list[str]]:
    """Ids of the planned users, batch by batch."""
    return [[it.record.user_id for it in batch.users] for job in result.jobs for batch in job.batches]


@dataclass(frozen=True, slots=True)
class Sync:
    """One user in one batch, as the world saw it."""

    user_id: str
    claimed_at: int
    gap: int | None
    """Since the user's last sync."""
    interval: int
    reason: Reason
    is_retry: bool


@dataclass(slots=True)
class World:
    """Plays a policy: plans, claims, lets batches run, applies their outcomes, and keeps account.

    `work`: how long a batch takes. `fails`: the verdict on a batch, by default success.
    """

    spec: SyncPolicySpec
    now: int
    work: Callable[[PlannedBatch], int] = lambda _: 5 * SECOND
    fails: Callable[[PlannedBatch, int], Verdict] = lambda _batch, _now: SUCCEEDED
    spreads: bool = True
    records: dict[str, UserRecord] = field(default_factory=dict)
    states: dict[str, UserState] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    arrivals: list[tuple[int, str]] = field(default_factory=list)
    running: list[tuple[int, str, int, bool]] = field(default_factory=list)
    flying: dict[tuple[str, int], PlannedBatch] = field(default_factory=dict)
    syncs: list[Sync] = field(default_factory=list)
    batches: list[tuple[int, int, bool]] = field(default_factory=list)
    """When each batch was claimed, how many users it had, and whether it was a probe."""
    plans: int = 0

    def __post_init__(self) -> None:
        self.ledger = ledger_of(self.spec, **({"cohorts_at": 0} if self.spreads else {}))

    def register(self, arrivals: Iterable[tuple[int, str]]) -> None:
        """Users appear at these instants, and stay active for ever."""
        self.arrivals = sorted([*self.arrivals, *arrivals])

    def run(self, until: int) -> None:
        """Play to that instant: turn whenever a batch ends, a user appears or a plan asks to be woken."""
        while self.now < until:
            self._settle()
            while self.arrivals and self.arrivals[0][0] <= self.now:
                user_id = self.arrivals.pop(0)[1]
                self.records[user_id] = user(user_id, last_active=self.now + 1000 * DAY)
            wake_at = self._turn().wake_at
            moments = [until, *(end for end, *_ in self.running[:1]), *(at for at, _ in self.arrivals[:1])]
            self.now = min(moments if wake_at is None else [*moments, wake_at])

    def _turn(self) -> Plan:
        self.plans += 1
        in_flight = {it.record.user_id: self.now for batch in self.flying.values() for it in batch.users}
        users = [(record, self.states.get(user_id, NEVER_SYNCED)) for user_id, record in self.records.items()]
        result = plan(users, Tick(self.spec, self.ledger, self.now, in_flight))
        if result.cohorts is not None:
            self.ledger = transitions.spread(self.ledger, at=result.cohorts.at, cohorts=result.cohorts.count)
        for job in result.jobs:
            number = self.ledger.next_claim(now=self.now, highest_in_store=0)
            opened = OpenJob(
                name=f"job-{number}",
                claim=number,
                claimed_at=self.now,
                priorities=tuple(batch.priority for batch in job.batches),
                sizes=tuple(len(batch.users) for batch in job.batches),
                open=frozenset(range(len(job.batches))),
                probe=job.probe,
            )
            self.ledger = transitions.claim(self.ledger, [opened], generation=1, now=self.now)
            for index, batch in enumerate(job.batches):
                self._start(opened, index, batch, result.tick)
        return result

    def _start(self, job: OpenJob, index: int, batch: PlannedBatch, tick: Tick) -> None:
        flying = {it.record.user_id for other in self.flying.values() for it in other.users}
        for it in batch.users:
            user_id = it.record.user_id
            assert user_id not in flying, f"{user_id} is in two batches at once"
            state = self.states.get(user_id, NEVER_SYNCED)
            gap = None if state.last_synced is None else self.now - state.last_synced
            interval = it.record.interval or tick.zone(it.record.time_zone).interval
            is_retry = bool(state.failures or state.unexplained)
            self.syncs.append(Sync(user_id, self.now, gap, interval, it.reason, is_retry))
        self.flying[job.name, index] = batch
        self.batches.append((self.now, len(batch.users), job.probe))
        heapq.heappush(self.running, (self.now + self.work(batch), job.name, index, job.probe))

    def _settle(self) -> None:
        while self.running and self.running[0][0] <= self.now:
            _, name, index, probe = heapq.heappop(self.running)
            batch, job = self.flying.pop((name, index)), self.ledger.job(name)
            assert job is not None
            outcomes = blame(
                {it.record.user_id: it.record.sync_requested_at for it in batch.users},
                self.fails(batch, self.now),
                claim=job.claim,
                claimed_at=job.claimed_at,
                ended_at=self.now,
                probe=probe,
            )
            before = [self.states.get(outcome.user_id, NEVER_SYNCED) for outcome in outcomes]
            self.states |= {it.user_id: apply(state, it) for it, state in zip(outcomes, before, strict=True)}
            synced = sum(outcome.ending is Ending.SYNCED for outcome in outcomes)
            counts = counts_for_breaker(before, active_in_batch=len(before), active=len(self.records))
            tally = transitions.Tally(
                synced, len(outcomes) - synced, is_success=synced > 0, is_failure_evidence=not synced and counts
            )
            self.ledger = transitions.close(self.ledger, name, {index: tally}, now=self.now)


def random_arrivals(count: int, start: int, span: int, seed: int = 7) -> list[tuple[int, str]]:
    """Users that register at random moments within `span` of `start`."""
    dice = random.Random(seed)
    return [(start + dice.randrange(span), f"u{number}") for number in range(count)]


def per_minute(world: World, start: int, end: int) -> list[int]:
    """Batches claimed in each minute of [start, end)."""
    counts = [0] * ((end - start) // MINUTE)
    for at, _, _ in world.batches:
        if start <= at < end:
            counts[(at - start) // MINUTE] += 1
    return counts
