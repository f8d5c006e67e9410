"""The ledger: the one point of order of a policy.

One small ConfigMap per policy holds it, written only by compare-and-swap on its resourceVersion. It names no users:
users in flight are those in the batch files of its open Jobs, and a batch file never changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter

from periodic_sync.api.durations import MINUTE, SECOND
from periodic_sync.api.names import Priority
from periodic_sync.api.spec import MarketHours

FORMAT_VERSION = 1

FAILING_AFTER = 3
"""Batches in a row without a single success after which the worker counts as failing."""

PROBE_EVERY = 30 * SECOND
FIRST_REFUSAL_PAUSE = 30 * SECOND
LONGEST_REFUSAL_PAUSE = 5 * MINUTE


class Scope(StrEnum):
    """Whom a manual request asks for. Named users are read from the annotation as long as it carries the token."""

    ALL = "all"
    ACTIVE = "active"
    NAMED = "named"


class Phase(StrEnum):
    """How far an open Job is known to have come."""

    CLAIMED = "claimed"
    CREATED = "created"
    ABANDONED = "abandoned"
    """Never to be created: it is closed once nothing of it can run."""


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A Job whose users are in flight. `priorities` and `sizes` have an entry for each index; `open` are not closed."""

    name: str
    claim: int
    claimed_at: int
    priorities: tuple[Priority, ...]
    sizes: tuple[int, ...]
    open: frozenset[int]
    phase: Phase = Phase.CLAIMED
    probe: bool = False
    counted: frozenset[int] = frozenset()
    """Open indexes whose tally is in the totals already: what told it may be gone by the time they are closed."""

    @property
    def priority(self) -> Priority:
        """The highest in it."""
        return min(self.priorities, key=lambda priority: priority.rank)


@dataclass(frozen=True, slots=True)
class RecentClaim:
    """A claim of the last minute, for `usersPerMinute`."""

    at: int
    users: int


@dataclass(frozen=True, slots=True)
class ManualRequest:
    """A request made by annotation: a user in scope is served by an outcome of a claim higher than `claim`."""

    token: str
    scope: Scope
    claim: int
    completed: bool = False
    """It is over: served, or dropped."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """Batches in a row without a single success, and when the last probe was claimed."""

    failed_batches: int = 0
    last_probe: int = 0

    @property
    def is_open(self) -> bool:
        return self.failed_batches >= FAILING_AFTER

    def may_probe_at(self) -> int:
        return self.last_probe + PROBE_EVERY


@dataclass(frozen=True, slots=True)
class Intervals:
    """The policy's two intervals as last acted on, and the market hours that tell which holds."""

    market: int
    off: int
    hours: MarketHours = field(default_factory=MarketHours)


@dataclass(frozen=True, slots=True)
class IntervalEdit:
    """The last edit of intervals or market hours: when it was acted on, and what they were before."""

    at: int
    before: Intervals


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server refused to create a Job (quota, admission), `count` times in a row."""

    count: int
    at: int
    generation: int
    message: str

    def until(self) -> int:
        return self.at + min(FIRST_REFUSAL_PAUSE << min(self.count - 1, 10), LONGEST_REFUSAL_PAUSE)


@dataclass(frozen=True, slots=True)
class Totals:
    """Users synced and failed since the policy was made, by priority."""

    synced: Mapping[Priority, int] = field(default_factory=dict)
    failed: Mapping[Priority, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything the scheduling of one policy must agree on, whoever schedules it."""

    version: int = FORMAT_VERSION
    generation: int = 0
    """The spec's generation last acted on."""
    enabled: bool = False
    jobs: tuple[OpenJob, ...] = ()
    last_claim: int = 0
    recent: tuple[RecentClaim, ...] = ()
    request: ManualRequest | None = None
    last_completed_request: str = ""
    breaker: Breaker = Breaker()
    refusal: Refusal | None = None
    intervals: Intervals | None = None
    edit: IntervalEdit | None = None
    cohorts: int = 1
    """Into how many cohorts users are spread after the interval last dropped: K in the design."""
    cohorts_at: int = 0
    """The moment of that drop."""
    totals: Totals = Totals()
    last_schedule: int | None = None
    last_sync: int | None = None
    store: str = ""
    """Which store held the users, where a store can lose them: see `stores.base.Report.identity`."""

    def job(self, name: str) -> OpenJob | None:
        return next((job for job in self.jobs if job.name == name), None)

    def batches_in_flight(self) -> int:
        return sum(len(job.open) for job in self.jobs)

    def next_claim(self, *, now: int, highest_in_store: int) -> int:
        """The number of the next claim: above every number given before, whatever the clock does."""
        return max(self.last_claim + 1, now, highest_in_store + 1)


_LEDGERS = TypeAdapter(Ledger)


def to_json(ledger: Ledger) -> str:
    """The ledger as it is stored: in whole words, since people read it with kubectl at 3 a.m."""
    return _LEDGERS.dump_json(ledger).decode()


def from_json(text: str) -> Ledger:
    """Raises: ValueError with a sentence where the text is no ledger, or one of a later version of the program."""
    ledger = _LEDGERS.validate_json(text)
    if ledger.version != FORMAT_VERSION:
        raise ValueError(f"the ledger has format version {ledger.version}; this operator knows {FORMAT_VERSION}")
    return ledger
