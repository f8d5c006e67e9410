"""All users of a policy in memory, in the order in which they come due: what a plan needs, without looking at everyone.

It shows what the Redis store shows, by simpler means, since here everything is at hand and time only goes on. When a
user comes due is a fixed instant from one sync to the next, as long as the market neither opens nor closes and no
spread begins or ends; so that instant is worked out once, by the rules themselves, and anew for all at such moments.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from heapq import heappop, heappush
from itertools import islice

from sortedcontainers import SortedList

from periodic_sync.api.names import Priority, Reason
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.due import Decision, due_times, examine, judge, may_go_along
from periodic_sync.core.limits import limits
from periodic_sync.core.outcomes import back_off
from periodic_sync.core.plan import DUE, Census, Population, User
from periodic_sync.core.tick import CLOCK_SKEW, Tick, ZoneNow, own_interval
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState

_HIGH, _MEDIUM = Priority.HIGH.rank, Priority.MEDIUM.rank
NEVER = -1
"""In place of the last sync of somebody who was never synced: it sorts first."""

Urgency = tuple[int, int, int, str]
"""As `core.batches.urgency` has it."""


class Where(Enum):
    """Where a user is kept who is not in flight."""

    INACTIVE = auto()
    LATER = auto()
    """Due by the clock, at a known instant."""
    BACKING_OFF = auto()
    """Due at the end of a back-off."""
    DUE = auto()
    SUSPECT = auto()
    """Due, and to share batches only with others whose batches failed unexplained."""
    ODD = auto()
    """Asked for by their own record, or seen by a clock that was ahead: judged anew at every tick."""


@dataclass(slots=True)
class _Place:
    where: Where
    due_at: int = 0
    stale_from: int = 0
    """The last instant at which the user is not stale."""
    urgency: Urgency = (0, 0, 0, "")
    """Of one who is due."""


class UserIndex:
    """The users of one policy. `records`, `states` and `in_flight` are for reading; the methods change them."""

    def __init__(self, users: Iterable[User] = ()) -> None:
        self.records: dict[str, UserRecord] = {}
        self.states: dict[str, UserState] = {}
        self.in_flight: dict[str, int] = {}
        """And when each was claimed."""
        self._places: dict[str, _Place] = {}
        self._unplaced: set[str] = set()
        self._seen: SortedList = SortedList()
        """Last activity and id, of everyone."""
        self._later: SortedList = SortedList()
        """Instant and id of all who come due at one."""
        self._due: SortedList = SortedList()
        """Urgency of those due, suspects aside."""
        self._suspects: SortedList = SortedList()
        self._backing_off: dict[str, None] = {}
        self._odd: dict[str, None] = {}
        self._inactive = 0
        self._stale = 0
        """Of the due, suspects included."""
        self._turning_stale: list[tuple[int, str]] = []
        """A heap of due users and the last instant at which they are not stale; some are due no longer."""
        self._by_zone: dict[str | None, dict[str, None]] = {}
        """Ids of those without an interval of their own."""
        self._zones: dict[str | None, ZoneNow] = {}
        self._longest = 0
        """Of the intervals of users' own."""
        self._spec: SyncPolicySpec | None = None
        self._now = NEVER
        self._cohorts = 0
        for record, state in users:
            self.states[record.user_id] = state
            self.put(record)

    def put(self, record: UserRecord) -> None:
        """A record is new, or has changed."""
        user_id, before = record.user_id, self.records.get(record.user_id)
        if before is not None:
            self._forget_record(before)
        self.records[user_id] = record
        self._seen.add((record.last_active, user_id))
        if record.interval is None:
            self._by_zone.setdefault(record.time_zone, {})[user_id] = None
        else:
            self._longest = max(self._longest, record.interval)
        self._displace(user_id)

    def remove(self, user_id: str) -> None:
        """A user leaves, with all that is known of it. One in flight stays so until it is landed."""
        record = self.records.pop(user_id)
        self._displace(user_id)
        self._forget_record(record)
        self._unplaced.discard(user_id)
        self.states.pop(user_id, None)

    def take_off(self, user_ids: Iterable[str], at: int) -> None:
        """These were claimed at that instant."""
        for user_id in user_ids:
            self.in_flight[user_id] = at
            self._displace(user_id)

    def land(self, states: Mapping[str, UserState]) -> None:
        """The batches of these users ended, and left them in these states."""
        for user_id, state in states.items():
            self.in_flight.pop(user_id, None)
            if user_id in self.records:
                self.states[user_id] = state
                self._displace(user_id)

    def active(self, since: int) -> int:
        """How many users were last active at that instant or later."""
        return len(self._seen) - int(self._seen.bisect_left((since,)))

    def follow(self, tick: Tick) -> None:
        """Bring everyone to their place at that tick. Raises: UnknownTimeZoneError."""
        if tick.spec is not self._spec or tick.now < self._now:
            self._displace_all(list(self.records))
        self._follow_zones(tick)
        self._follow_activity(tick)
        for user_id in self._unplaced:
            self._put_in_place(user_id, tick)
        self._unplaced.clear()
        self._spec, self._now, self._cohorts = tick.spec, tick.now, tick.cohorts
        while self._later and self._later[0][0] <= tick.now:
            user_id = self._later.pop(0)[1]
            self._backing_off.pop(user_id, None)
            self._make_due(user_id, self._places[user_id], tick.now)
        while self._turning_stale and self._turning_stale[0][0] < tick.now:
            self._turn_stale(heappop(self._turning_stale)[1], tick.now)

    @property
    def due(self) -> int:
        """How many are due, at the tick last followed, who are not in flight."""
        return len(self._due) + len(self._suspects) + len(self._odd)

    @property
    def stale(self) -> int:
        """How many of these are stale."""
        return self._stale

    @property
    def next_due(self) -> int | None:
        """When the next of those who are not due comes due, or may be tried again."""
        return self._later[0][0] if self._later else None

    def everyone(self) -> Iterator[User]:
        states = self.states
        return ((record, states.get(user_id, NEVER_SYNCED)) for user_id, record in self.records.items())

    def population(self, tick: Tick, *, with_flying: bool = True) -> Population:
        """The users for one plan, as `Store.population` has it. Raises: UnknownTimeZoneError.

        with_flying: without those in flight the same is planned, and quicker, but then the plan's `next_due` and
        `stale` leave them out.
        """
        if not tick.spec.enabled or not tick.store_ready or tick.request is not None:
            return Population(list(self.everyone()))
        self.follow(tick)
        chosen = [*self._odd, *self._worth_planning(tick)]
        flying = [user_id for user_id in self.in_flight if user_id in self.records]
        if with_flying:
            chosen += flying
        return Population([self._user(user_id) for user_id in chosen], self._census(tick, flying, with_flying))

    def _worth_planning(self, tick: Tick) -> Iterator[str]:
        """As many of the due as may be claimed, and of those that may go along; for a probe everyone it may take."""
        allowed, size = limits(tick), tick.spec.batch_size
        if tick.ledger.breaker.is_open:
            yield from islice(self._backing_off, None if allowed.is_probe and allowed.users else 1)
        most = None if allowed.is_probe else min(allowed.batches * size, allowed.users)
        for urgency in islice(self._due, most):
            yield urgency[3]
        for urgency in islice(self._suspects, most):
            yield urgency[3]
        if most and (self._due or self._odd):
            yield from islice(self._along(tick), size)

    def _along(self, tick: Tick) -> Iterator[str]:
        """Who comes due soon enough to go along, soonest first."""
        intervals = tick.spec.intervals
        end = tick.now + max(intervals.market_hours, intervals.off_hours, self._longest) // 10
        for due_at, user_id in self._later:
            if due_at > end:
                break
            if self._places[user_id].where is Where.LATER and may_go_along(examine(*self._user(user_id), tick), tick):
                yield user_id

    def _census(self, tick: Tick, flying: list[str], with_flying: bool) -> Census:
        reasons = dict.fromkeys(Reason, 0)
        odd = [judge(examine(*self._user(user_id), tick), tick) for user_id in self._odd]
        for decision in odd:
            reasons[decision.reason] += 1
        due = len(self._due) + len(self._suspects)
        reasons[Reason.DUE_STALE] += self._stale
        reasons[Reason.DUE_REGULAR] += due - self._stale
        reasons[Reason.BACKING_OFF] += len(self._backing_off)
        reasons[Reason.NOT_DUE] += len(self._later) - len(self._backing_off)
        reasons[Reason.INACTIVE] += self._inactive
        reasons[Reason.IN_FLIGHT] += len(flying)
        looked_at = [*self._odd, *self._backing_off, *flying] if with_flying else []
        cases = (examine(*self._user(user_id), tick) for user_id in looked_at)
        return Census(
            total=len(self.records),
            active=self.active(tick.now - tick.spec.thresholds.active),
            stale=self._stale + sum(case.is_stale and case.is_active for case in cases),
            due=sum(reasons[reason] for reason in DUE),
            requested=0,
            by_reason=reasons,
            next_due=min((at for at in (self.next_due, *map(_later_than(tick.now), odd)) if at), default=None),
        )

    def _user(self, user_id: str) -> User:
        return self.records[user_id], self.states.get(user_id, NEVER_SYNCED)

    def _follow_zones(self, tick: Tick) -> None:
        for name, user_ids in self._by_zone.items():
            zone, before = tick.zone(name), self._zones.get(name)
            if zone is not before or tick.cohorts != self._cohorts:
                self._zones[name] = zone
                if zone != before or tick.cohorts != self._cohorts:
                    self._displace_all(user_ids)

    def _follow_activity(self, tick: Tick) -> None:
        """Whoever was active enough at the last tick, and is not any more."""
        threshold = tick.spec.thresholds.active
        if self._now < tick.now:
            passed = self._seen.irange((self._now - threshold,), (tick.now - threshold,), (True, False))
            self._displace_all([user_id for _, user_id in passed])

    def _put_in_place(self, user_id: str, tick: Tick) -> None:
        if user_id in self.in_flight:
            return
        record, state = self._user(user_id)
        last, now = state.last_synced, tick.now
        if (
            (record.sync_requested_at is not None and record.sync_requested_at > state.request_served)
            or (last is not None and last > now + CLOCK_SKEW)
            or state.failed_at > now + CLOCK_SKEW
        ):
            self._places[user_id] = _Place(Where.ODD)
            self._odd[user_id] = None
            return
        if now - record.last_active > tick.spec.thresholds.active:
            self._places[user_id] = _Place(Where.INACTIVE)
            self._inactive += 1
            return
        due_at, stale_from = NEVER, NEVER
        if last is not None:
            zone = tick.zone(record.time_zone)
            due_at, stale_from = due_times(last, user_id, own_interval(record, tick), zone, tick)
        again_at = state.failed_at + back_off(state.failures) if state.failures else NEVER
        if again_at > now:
            self._place_later(user_id, _Place(Where.BACKING_OFF, again_at, stale_from))
            self._backing_off[user_id] = None
        elif due_at > now and not (state.failures or state.unexplained):
            self._place_later(user_id, _Place(Where.LATER, due_at, stale_from))
        else:
            self._make_due(user_id, _Place(Where.DUE, due_at, stale_from), now)

    def _place_later(self, user_id: str, place: _Place) -> None:
        self._places[user_id] = place
        self._later.add((place.due_at, user_id))

    def _make_due(self, user_id: str, place: _Place, now: int) -> None:
        state = self.states.get(user_id, NEVER_SYNCED)
        last, is_stale = state.last_synced, place.stale_from < now
        rank = _HIGH if is_stale else _MEDIUM
        place.where = Where.SUSPECT if state.unexplained else Where.DUE
        place.urgency = (rank, 1, NEVER, user_id) if last is None else (rank, 2, last, user_id)
        self._places[user_id] = place
        (self._suspects if state.unexplained else self._due).add(place.urgency)
        if is_stale:
            self._stale += 1
        else:
            heappush(self._turning_stale, (place.stale_from, user_id))

    def _turn_stale(self, user_id: str, now: int) -> None:
        place = self._places.get(user_id)
        if place is None or place.where not in (Where.DUE, Where.SUSPECT) or place.urgency[0] == _HIGH:
            return
        if place.stale_from < now:
            (self._due if place.where is Where.DUE else self._suspects).remove(place.urgency)
            self._make_due(user_id, place, now)

    def _displace_all(self, user_ids: Iterable[str]) -> None:
        for user_id in user_ids:
            self._displace(user_id)

    def _displace(self, user_id: str) -> None:
        """Whoever is to be put in another place, or may be."""
        self._unplaced.add(user_id)
        place = self._places.pop(user_id, None)
        if place is None:
            return
        match place.where:
            case Where.DUE | Where.SUSPECT:
                (self._due if place.where is Where.DUE else self._suspects).remove(place.urgency)
                self._stale -= place.urgency[0] == _HIGH
            case Where.LATER:
                self._later.remove((place.due_at, user_id))
            case Where.BACKING_OFF:
                self._later.remove((place.due_at, user_id))
                del self._backing_off[user_id]
            case Where.ODD:
                del self._odd[user_id]
            case Where.INACTIVE:
                self._inactive -= 1

    def _forget_record(self, record: UserRecord) -> None:
        self._seen.remove((record.last_active, record.user_id))
        if record.interval is None:
            del self._by_zone[record.time_zone][record.user_id]


def _later_than(now: int) -> Callable[[Decision], int | None]:
    def due_at(decision: Decision) -> int | None:
        return decision.due_at if decision.due_at is not None and decision.due_at > now else None

    return due_at
