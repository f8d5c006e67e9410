"""The account of a simulation, hour by hour."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from periodic_sync.api.durations import HOUR
from periodic_sync.api.names import Reason
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.calendar import MarketCalendar, calendar_for
from periodic_sync.core.outcomes import Ending
from periodic_sync.simulation.engine import Claimed, Held, Settled
from periodic_sync.simulation.writes import WriteCounter, Writes


@dataclass(frozen=True, slots=True)
class Lag:
    """From due to synced, of those who were due by the clock, in milliseconds."""

    p50: int
    p99: int
    longest: int


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour, or all of them together. What ended in it counts as synced, what was claimed in it as its batches."""

    start: int
    """Milliseconds."""
    is_open_at_start: bool
    """The market, in the policy's time zone."""
    is_open_at_end: bool
    synced: int
    failed: int
    batches: int
    """Which is pods."""
    jobs: int
    most_pods: int
    """At once."""
    most_active: int
    most_waiting: int
    """Users due and in no batch after a turn, at most."""
    most_stale: int
    """Of these."""
    waited: dict[Reason, int]
    """For how long, in ms, users waited for each cause: `WaitingForCapacity`, `RateLimited`, `WorkerFailing`."""
    lag: Lag | None
    """None: nobody was synced who was due by the clock."""
    writes: Writes


@dataclass(slots=True)
class _Page:
    """An hour that is being played."""

    start: int
    synced: int = 0
    failed: int = 0
    batches: int = 0
    jobs: int = 0
    most_pods: int = 0
    most_active: int = 0
    most_waiting: int = 0
    most_stale: int = 0
    waited: dict[Reason, int] = field(default_factory=dict)
    lags: "array[int]" = field(default_factory=lambda: array("q"))
    writes: Writes = field(default_factory=Writes)

    def close(self, market: MarketCalendar, end: int) -> Hour:
        return Hour(
            self.start,
            market.is_open(self.start),
            market.is_open(end - 1),
            self.synced,
            self.failed,
            self.batches,
            self.jobs,
            self.most_pods,
            self.most_active,
            self.most_waiting,
            self.most_stale,
            dict(self.waited),
            lag_of(self.lags),
            self.writes,
        )


class Account:
    """A `Watcher` that writes down what happens."""

    def __init__(self, spec: SyncPolicySpec, *, users: int, start: int, hours: int) -> None:
        self._start = start
        self._market = calendar_for(spec.market_hours, spec.market_hours.time_zone)
        self._pages = [_Page(start + hour * HOUR) for hour in range(hours)]
        self._writes = WriteCounter(spec, users)
        self._pods = 0
        self._failed_jobs: set[str] = set()
        self._held = Held(start, None, 0, 0)

    def hours(self) -> list[Hour]:
        return [page.close(self._market, page.start + HOUR) for page in self._pages]

    def total(self) -> Hour:
        """Of all hours; what is a peak of an hour is the highest."""
        whole = _Page(self._start)
        for page in self._pages:
            for name in ("synced", "failed", "batches", "jobs"):
                setattr(whole, name, getattr(whole, name) + getattr(page, name))
            for name in ("most_pods", "most_active", "most_waiting", "most_stale"):
                setattr(whole, name, max(getattr(whole, name), getattr(page, name)))
            for reason, waited in page.waited.items():
                whole.waited[reason] = whole.waited.get(reason, 0) + waited
            whole.lags.extend(page.lags)
            whole.writes += page.writes
        return whole.close(self._market, self._pages[-1].start + HOUR)

    def settled(self, settled: Settled) -> None:
        page = self._page(settled.now)
        for ended in settled.ended:
            page.synced += ended.tally.synced
            page.failed += ended.tally.failed
            page.lags.extend(ended.lags())
            if any(outcome.ending is not Ending.SYNCED for outcome in ended.outcomes):
                self._failed_jobs.add(ended.file.name)
        self._pods -= len(settled.ended)
        failed = self._failed_jobs & set(settled.closed)
        self._failed_jobs -= failed
        self._writes.settled(
            page.writes,
            users=sum(len(ended.outcomes) for ended in settled.ended),
            closed=(len(settled.closed) - len(failed), len(failed)),
            has_doubt=any(ended.tally.failed for ended in settled.ended if ended.file.name in failed),
        )
        self._writes.status_changed(page.writes, settled.now)

    def claimed(self, claimed: Claimed) -> None:
        now = claimed.plan.tick.now
        page = self._page(now)
        batches = sum(len(file.batches) for file in claimed.files)
        self._pods += batches
        page.jobs += len(claimed.files)
        page.batches += batches
        page.most_pods = max(page.most_pods, self._pods)
        page.most_active = max(page.most_active, claimed.plan.counters.active)
        self._writes.claimed(page.writes, jobs=len(claimed.files), batches=batches)
        self._writes.status_changed(page.writes, now)

    def held(self, held: Held) -> None:
        self._wait_until(held.now)
        self._held = held
        page = self._page(held.now)
        page.most_pods = max(page.most_pods, self._pods)
        page.most_waiting = max(page.most_waiting, held.users)
        page.most_stale = max(page.most_stale, held.stale)

    def end(self, now: int) -> None:
        """Nothing follows."""
        self._wait_until(now)

    def _wait_until(self, now: int) -> None:
        if self._held.hold is None:
            return
        at, reason = self._held.now, self._held.hold.reason
        while at < now:
            page = self._page(at)
            until = min(now, page.start + HOUR)
            page.waited[reason] = page.waited.get(reason, 0) + until - at
            at = max(until, at + 1)

    def _page(self, now: int) -> _Page:
        return self._pages[min((now - self._start) // HOUR, len(self._pages) - 1)]


def lag_of(lags: Iterable[int]) -> Lag | None:
    """Percentiles by nearest rank."""
    ordered = sorted(lags)
    if not ordered:
        return None
    at = {share: ordered[-(-len(ordered) * share // 100) - 1] for share in (50, 99)}
    return Lag(at[50], at[99], ordered[-1])
