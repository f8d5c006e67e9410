"""A policy played in virtual time: the operator's own decisions, with a worker that is assumed.

Plans, claims, the ledger's transitions, the judgement of results and back-off are what the operator itself calls.
What the operator asks the API server and the store for is here: which users there are (an index in memory), and when a
batch ends and how. Time jumps to whatever comes next.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core import transitions
from periodic_sync.core.batch_files import Batch, BatchFile
from periodic_sync.core.claims import numbered
from periodic_sync.core.landed import lags_of
from periodic_sync.core.ledger import Intervals, Ledger
from periodic_sync.core.limits import Hold, hold, limits
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.outcomes import SUCCEEDED, Ending, Outcome, Verdict, apply
from periodic_sync.core.plan import Plan, drop_to_spread, plan_for, with_cohorts
from periodic_sync.core.results import outcomes, tally
from periodic_sync.core.spread import Cohorts, Drop
from periodic_sync.core.tick import Tick, ZoneNow
from periodic_sync.core.transitions import Tally
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.simulation.index import UserIndex

POLICY = PolicyRef("simulation", "simulation", "simulation")
"""Whose Jobs they are: names in a simulation mean nothing."""

NEVER = 1 << 62

Work = Callable[[Batch], int]
"""How long a batch takes from its claim until its end is seen, in milliseconds."""

Fate = Callable[[BatchFile, int, int], Verdict]
"""How a batch ends: its file, its index in it, and when (ms)."""


def _succeeds(_file: BatchFile, _index: int, _now: int) -> Verdict:
    return SUCCEEDED


@dataclass(frozen=True, slots=True)
class Ended:
    """One batch that is over."""

    file: BatchFile
    index: int
    outcomes: tuple[Outcome, ...]
    tally: Tally

    @property
    def batch(self) -> Batch:
        return self.file.batches[self.index]

    def lags(self) -> tuple[int, ...]:
        """From due to synced, of those who were due by the clock. Milliseconds."""
        return tuple(lag.to_end for lag in lags_of(self.batch, self.outcomes))


class Settled(NamedTuple):
    """What one turn found to be over, and the names of the Jobs that ended with that."""

    now: int
    ended: tuple[Ended, ...]
    closed: tuple[str, ...]


class Claimed(NamedTuple):
    """What one turn claimed. `plan`: before that."""

    plan: Plan
    files: tuple[BatchFile, ...]


class Held(NamedTuple):
    """What the users wait for, from this instant on, who are due and in no batch; hold is None while there are none."""

    now: int
    hold: Hold | None
    users: int
    stale: int


class Watcher(Protocol):
    """Whoever keeps account of a simulation."""

    def settled(self, settled: Settled) -> None: ...
    def claimed(self, claimed: Claimed) -> None: ...
    def held(self, held: Held) -> None: ...


def ledger_for(spec: SyncPolicySpec, states: Iterable[UserState] = ()) -> Ledger:
    """The ledger of a policy that was acted on and has nothing in flight. states: of its users so far."""
    intervals = Intervals(spec.intervals.market_hours, spec.intervals.off_hours, spec.market_hours)
    last_claim = max((state.last_claim for state in states), default=0)
    return Ledger(generation=1, enabled=spec.enabled, intervals=intervals, last_claim=last_claim)


@dataclass(slots=True)
class Engine:
    """One policy from `now` on."""

    spec: SyncPolicySpec
    users: UserIndex
    ledger: Ledger
    now: int
    watcher: Watcher
    work: Work
    fate: Fate = _succeeds
    rest: int = 0
    """At least so long (ms) is it from one turn to the next, so that what happens meanwhile shares a turn."""
    turns: int = 0
    _arrivals: list[tuple[int, UserRecord]] = field(default_factory=list)
    """Records to come, the last one first."""
    _running: list[tuple[int, str, int]] = field(default_factory=list)
    """A heap of when batches end, their Jobs and their indexes."""
    _files: dict[str, BatchFile] = field(default_factory=dict)
    _zones: dict[str | None, ZoneNow] = field(default_factory=dict)
    _zones_hold_until: int = 0

    def expect(self, arrivals: Iterable[tuple[int, UserRecord]]) -> None:
        """These records are written at these instants, as an application does it."""
        self._arrivals = sorted([*self._arrivals, *arrivals], key=lambda arrival: arrival[0], reverse=True)

    def run(self, until: int) -> None:
        """Play to that instant, and not beyond. Raises: UnknownTimeZoneError."""
        while self.now < until:
            while self._arrivals and self._arrivals[-1][0] <= self.now:
                self.users.put(self._arrivals.pop()[1])
            moments = [until if (at := self._turn()) is None else at]
            if self._running:
                moments.append(self._running[0][0])
            if self._arrivals:
                moments.append(self._arrivals[-1][0])
            self.now = min(until, max(min(moments), self.now + self.rest))

    def _turn(self) -> int | None:
        """Returns: when time alone calls for another turn; None: never."""
        self.turns += 1
        self._settle()
        tick, is_drop = self._look()
        allowed = limits(tick)
        someone = self.users.due > 0 or allowed.is_probe
        if not is_drop and not (someone and allowed.batches > 0 and allowed.users > 0):
            is_waiting = self.users.due > 0 or tick.ledger.breaker.is_open
            return self._wait(hold(tick, claimed=0) if is_waiting else None)
        cohorts: Cohorts | None = None
        if is_drop:
            tick, cohorts = with_cohorts(tick, self.users.active(self.now - self.spec.thresholds.active))
        plan = plan_for(self.users.population(tick, with_flying=False), tick, cohorts)
        if plan.cohorts is not None:
            self.ledger = transitions.spread(self.ledger, at=plan.cohorts.at, cohorts=plan.cohorts.count)
        if plan.jobs:
            self._claim(plan)
        is_waiting = plan.hold is None and self.ledger.breaker.is_open
        return self._wait(hold(tick, claimed=len(plan.claimed)) if is_waiting else plan.hold)

    def _look(self) -> tuple[Tick, bool]:
        """The tick, with everyone in their place, and whether the interval has dropped.

        Both zones and drops stay as they are until the market opens or closes somewhere, or a spread is over; to look
        them up takes longer than most turns.
        """
        is_news = self.now >= self._zones_hold_until
        if is_news:
            self._zones = {}
        tick = Tick(
            self.spec,
            self.ledger,
            self.now,
            self.users.in_flight,
            cohorts=self.ledger.cohorts,
            zones=self._zones,
        )
        is_drop = is_news and drop_to_spread(tick) is not None
        tick.zone(None)
        self.users.follow(tick)
        moments = [zone.next_change for zone in self._zones.values() if zone.next_change is not None]
        moments += [drop.moment + drop.new for zone in self._zones.values() for drop in _drops(zone)]
        self._zones_hold_until = min(moments, default=NEVER)
        return tick, is_drop

    def _claim(self, plan: Plan) -> None:
        files = numbered(plan, POLICY, self.ledger, highest_in_store=0, now=self.now)
        jobs = [file.open_job() for file in files]
        self.watcher.claimed(Claimed(plan, tuple(files)))
        claimed = transitions.claim(self.ledger, jobs, generation=self.ledger.generation, now=self.now)
        self.ledger = transitions.mark_created(claimed, [job.name for job in jobs])
        self.users.take_off(plan.claimed, self.now)
        for file in files:
            self._files[file.name] = file
            for index, batch in enumerate(file.batches):
                heappush(self._running, (self.now + self.work(batch), file.name, index))

    def _settle(self) -> None:
        if not self._running or self._running[0][0] > self.now:
            return
        ended: list[Ended] = []
        tallies: dict[str, dict[int, Tally]] = {}
        states: dict[str, UserState] = {}
        while self._running and self._running[0][0] <= self.now:
            _, name, index = heappop(self._running)
            ended.append(self._end(self._files[name], index, states))
            tallies.setdefault(name, {})[index] = ended[-1].tally
        self.users.land(states)
        for name, of_job in tallies.items():
            self.ledger = transitions.close(self.ledger, name, of_job, now=self.now)
        over = [name for name in tallies if self.ledger.job(name) is None]
        for name in over:
            del self._files[name]
        self.watcher.settled(Settled(self.now, tuple(ended), tuple(over)))

    def _end(self, file: BatchFile, index: int, states: dict[str, UserState]) -> Ended:
        """states: gets those of its users as it leaves them."""
        batch, verdict = file.batches[index], self.fate(file, index, self.now)
        results = outcomes(file, index, verdict, ended_at=self.now)
        before = {user.user_id: self.users.states.get(user.user_id, NEVER_SYNCED) for user in batch.users}
        alike: dict[tuple[int, Ending, int | None], UserState] = {}
        for outcome in results:
            was = before[outcome.user_id]
            # Users who were in one batch before share their state, and will again: the most of the work is done once.
            kind = id(was), outcome.ending, outcome.request
            if kind not in alike:
                alike[kind] = apply(was, outcome)
            states[outcome.user_id] = alike[kind]
        return Ended(file, index, results, tally(batch, verdict, results, before))

    def _wait(self, held: Hold | None) -> int | None:
        self.watcher.held(Held(self.now, held if self.users.due else None, self.users.due, self.users.stale))
        moments = [self._zones_hold_until]
        if held is not None and held.until is not None:
            moments.append(held.until)
        # With all batches taken, who comes due waits for the next end of one.
        next_due = self.users.next_due
        if next_due is not None and self.ledger.batches_in_flight() < self.spec.jobs.max_concurrent_batches:
            moments.append(next_due)
        return min((moment for moment in moments if self.now < moment < NEVER), default=None)


def _drops(zone: ZoneNow) -> tuple[Drop, ...]:
    return () if zone.spread is None else zone.spread.drops
