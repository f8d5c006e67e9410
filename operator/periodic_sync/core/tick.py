"""One turn of the scheduler: everything that holds for all users at one instant, worked out once."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property

from periodic_sync.api.durations import SECOND
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.calendar import UnknownTimeZoneError, calendar_for
from periodic_sync.core.ledger import Ledger, ManualRequest
from periodic_sync.core.spread import Calendars, Drop, Spread, Who, drop_due, drops_in_force, interval_in
from periodic_sync.core.users import UserRecord

CLOCK_SKEW = 5 * SECOND
"""How far two machines' clocks may be apart before an instant in the future means that the clock was set back."""


@dataclass(frozen=True, slots=True)
class ZoneNow:
    """The market and the policy's interval in one time zone, now and after the next opening or closing."""

    is_open: bool
    interval: int
    spread: Spread | None
    next_change: int | None
    """When the market opens or closes next; None: never."""
    next_interval: int

    def due_at(self, last_synced: int, who: Who, cohorts: int) -> int:
        """When a user without an interval of its own comes due. Looks one opening or closing ahead."""
        if self.spread is not None and last_synced < self.spread.since:
            due = self.spread.due_at(last_synced, who, cohorts)
        else:
            due = last_synced + self.interval
        if self.next_change is None or due < self.next_change or self.next_interval == self.interval:
            return due
        return drop_due(Drop(self.next_change, self.interval, self.next_interval), last_synced, due, who, cohorts)


@dataclass(frozen=True)
class Tick:
    """What the rules look at besides the user: one policy at one instant.

    `in_flight`: those in the batch files of the ledger's open Jobs, and when each was claimed. `named`: ids of the
    manual request's annotation, where it carries the ledger's token. `may_claim`: False while the protocol forbids
    claims for now.
    `cohorts`: K, of the ledger or, where that is of an older drop, the one about to be fixed there.
    """

    spec: SyncPolicySpec
    ledger: Ledger
    now: int
    in_flight: Mapping[str, int] = field(default_factory=dict)
    named: Set[str] = frozenset()
    store_ready: bool = True
    may_claim: bool = True
    cohorts: int = 1
    zones: dict[str | None, ZoneNow] = field(default_factory=dict, compare=False, repr=False)
    """Filled as users ask; None is the policy's own zone."""

    @cached_property
    def request(self) -> ManualRequest | None:
        """The manual request that is still to be served."""
        request = self.ledger.request
        return None if request is None or request.completed else request

    @cached_property
    def user_minimum(self) -> int:
        """The shortest interval of one's own that counts: a policy interval shorter than `userMinimum` lowers it."""
        intervals = self.spec.intervals
        return min(intervals.user_minimum, intervals.market_hours, intervals.off_hours)

    def zone(self, name: str | None) -> ZoneNow:
        """The market in that zone. None, or a zone that does not exist: the policy's.

        Raises: UnknownTimeZoneError where the policy's own zone does not exist.
        """
        known = self.zones.get(name)
        if known is None:
            known = self.zones[name] = self._look_up(name)
        return known

    def calendars(self, name: str | None) -> Calendars:
        """The market hours in that zone; None: the policy's own. Raises: UnknownTimeZoneError."""
        hours, edit = self.spec.market_hours, self.ledger.edit
        now = calendar_for(hours, name or hours.time_zone)
        if edit is None or edit.before.hours == hours:
            return Calendars(now, now)
        try:
            return Calendars(now, calendar_for(edit.before.hours, name or edit.before.hours.time_zone))
        except UnknownTimeZoneError:
            return Calendars(now, now)  # the edit has mended the policy's zone

    def _look_up(self, name: str | None) -> ZoneNow:
        intervals = self.spec.intervals
        try:
            calendars = self.calendars(name)
        except UnknownTimeZoneError:
            if name in (None, self.spec.market_hours.time_zone):
                raise
            return self.zone(None)  # one record must not stop the others
        calendar = calendars.now
        is_open = calendar.is_open(self.now)
        return ZoneNow(
            is_open=is_open,
            interval=interval_in(intervals, is_open=is_open),
            spread=drops_in_force(intervals, calendars, self.ledger.edit, self.now),
            next_change=calendar.next_change(self.now),
            next_interval=interval_in(intervals, is_open=not is_open),
        )


def own_interval(record: UserRecord, tick: Tick) -> int | None:
    """The user's own interval as it counts: at least `userMinimum`. None: the policy's."""
    return None if record.interval is None else max(record.interval, tick.user_minimum)
