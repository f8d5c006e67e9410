"""What the tests of the scheduling core share: short ways to write policies, users and instants, and a small world.

Time is simulated: instants are milliseconds, and nothing here waits.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from periodic_sync.api.durations import DAY, MINUTE, SECOND
from periodic_sync.api.names import Reason
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.batch_files import Batch, BatchFile
from periodic_sync.core.batches import PlannedUser
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.outcomes import SUCCEEDED, Verdict
from periodic_sync.core.plan import Plan, due_by_priority
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.simulation.engine import Claimed, Engine, Held, Settled, ledger_for
from periodic_sync.simulation.index import UserIndex

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
    return replace(ledger_for(spec), **{"cohorts_at": 10**13, **fields})  # type: ignore[arg-type]


def tick_of(
    spec: SyncPolicySpec | None = None, *, now: int = NOON, ledger: Ledger | None = None, **more: object
) -> Tick:
    spec = policy() if spec is None else spec
    return Tick(spec, ledger_of(spec) if ledger is None else ledger, now, **more)  # type: ignore[arg-type]


def planned_ids(result: Plan) -> list[list[str]]:
    """Ids of the planned users, batch by batch."""
    return [[it.record.user_id for it in batch.users] for job in result.jobs for batch in job.batches]


def told(result: Plan) -> dict[str, object]:
    """All of a plan that matters, in words that can be compared."""
    counters = result.counters
    return {
        "jobs": [
            [(batch.priority, sorted(user.record.user_id for user in batch.users)) for batch in job.batches]
            for job in result.jobs
        ],
        "order": [user.record.user_id for job in result.jobs for batch in job.batches for user in batch.users],
        "counts": (counters.total, counters.active, counters.stale, counters.due, counters.in_flight),
        "priorities": due_by_priority(counters.due, counters.due_by_reason),
        "requested": counters.requested,
        "reasons": {reason: count for reason, count in counters.by_reason.items() if count},
        "hold": result.hold,
        "next": result.next_due,
        "cohorts": result.cohorts,
        "unknown": result.unknown_users,
    }


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
    """A simulation of users who register and stay active for ever, with an account of every sync.

    `work`: how long a batch takes. `fails`: the verdict on a batch, by default success.
    """

    spec: SyncPolicySpec
    start: int
    work: Callable[[Batch], int] = lambda _: 5 * SECOND
    fails: Callable[[Batch, int], Verdict] = lambda _batch, _now: SUCCEEDED
    spreads: bool = True
    engine: Engine = field(init=False)
    syncs: list[Sync] = field(default_factory=list)
    batches: list[tuple[int, int, bool]] = field(default_factory=list)
    """When each batch was claimed, how many users it had, and whether it was a probe."""

    def __post_init__(self) -> None:
        ledger = ledger_of(self.spec, **({"cohorts_at": 0} if self.spreads else {}))
        self.engine = Engine(self.spec, UserIndex(), ledger, self.start, self, self.work, self._fate)

    @property
    def states(self) -> dict[str, UserState]:
        return self.engine.users.states

    @property
    def ledger(self) -> Ledger:
        return self.engine.ledger

    def register(self, arrivals: Iterable[tuple[int, str]]) -> None:
        """Users appear at these instants."""
        self.engine.expect((at, user(user_id, last_active=at + 1000 * DAY)) for at, user_id in arrivals)

    def run(self, until: int) -> None:
        self.engine.run(until)

    def claimed(self, claimed: Claimed) -> None:
        tick = claimed.plan.tick
        for job in claimed.plan.jobs:
            for batch in job.batches:
                self.batches.append((tick.now, len(batch.users), job.probe))
                self.syncs += (self._sync(it, tick) for it in batch.users)

    def settled(self, settled: Settled) -> None: ...
    def held(self, held: Held) -> None: ...

    def _fate(self, file: BatchFile, index: int, now: int) -> Verdict:
        return self.fails(file.batches[index], now)

    def _sync(self, planned: PlannedUser, tick: Tick) -> Sync:
        user_id = planned.record.user_id
        assert user_id not in self.engine.users.in_flight, f"{user_id} is in two batches at once"
        state = self.states.get(user_id, NEVER_SYNCED)
        gap = None if state.last_synced is None else tick.now - state.last_synced
        interval = planned.record.interval or tick.zone(planned.record.time_zone).interval
        return Sync(user_id, tick.now, gap, interval, planned.reason, bool(state.failures or state.unexplained))


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
