"""Is this user synced now, and why: an ordered chain of small rules, of which the first that matches answers.

The answer is a reason code, the same word that conditions, logs, metrics, API and CLI use. Each rule looks at what was
worked out about one user and at the tick, and at nothing else.
"""

from collections.abc import Callable
from typing import NamedTuple

from periodic_sync.api.durations import MINUTE
from periodic_sync.api.names import Priority, Reason
from periodic_sync.core.ledger import Scope
from periodic_sync.core.outcomes import back_off
from periodic_sync.core.spread import Who
from periodic_sync.core.tick import CLOCK_SKEW, Tick, ZoneNow, own_interval
from periodic_sync.core.users import UserRecord, UserState

TOKEN_OVERLAP = 5 * MINUTE
"""A token that changed this long before the last sync may have been missed by it."""

STALE_GRACE = MINUTE
"""Whoever came due less than this ago is Regular: else, with a threshold as short as the interval, all were stale."""


class Case(NamedTuple):
    """One user as the rules see it. Instants and durations in milliseconds."""

    record: UserRecord
    state: UserState
    is_active: bool
    interval: int
    """In force now: the user's own, or the policy's in the user's zone."""
    due_at: int
    """When it comes, or came, due."""
    is_stale: bool
    """Never synced too."""
    backs_off_until: int
    """0: it does not back off."""


class Decision(NamedTuple):
    """The one reason code of a user, and when it changes."""

    reason: Reason
    priority: Priority | None = None
    """Of one that is due, held or not; None: it is not due."""
    due_at: int | None = None
    """Since when it is due, or from when on it will be; None: not foreseeable."""
    until: int | None = None
    """The end of BackingOff, NotDue or of what it is held by, where that is known."""
    held_from: Reason | None = None
    """The Due code that a held user would have."""


Rule = Callable[[Case, Tick], Decision | None]


def decide(record: UserRecord, state: UserState, tick: Tick) -> Decision:
    """The reason code of one user, before capacity: what it is held by is for the plan to say."""
    return judge(examine(record, state, tick), tick)


def judge(case: Case, tick: Tick) -> Decision:
    """The first rule that matches."""
    for rule in RULES:
        decision = rule(case, tick)
        if decision is not None:
            return decision
    raise AssertionError("the last rule always matches")


def examine(record: UserRecord, state: UserState, tick: Tick) -> Case:
    """Work out once what several rules need to know of a user."""
    now = tick.now
    own = own_interval(record, tick)
    zone = tick.zone(record.time_zone)
    interval = zone.interval if own is None else own
    active = is_active(record, tick)
    backs_off_until = _back_off_end(state, now) if state.failures else 0
    last = state.last_synced
    if last is None:
        return Case(record, state, active, interval, now, True, backs_off_until)
    if last > now + CLOCK_SKEW:
        # The clock was set back. How old the data is nobody knows; the next sync says so again.
        return Case(record, state, active, interval, now, False, backs_off_until)
    due_at, stale_from = due_times(last, record.user_id, own, zone, tick)
    if state.failures or state.unexplained:
        due_at = min(due_at, backs_off_until or now)  # to be tried again, however young the data is
    return Case(record, state, active, interval, due_at, now > stale_from, backs_off_until)


def is_active(record: UserRecord, tick: Tick) -> bool:
    return tick.now - record.last_active <= tick.spec.thresholds.active


def due_times(last_synced: int, who: Who, own: int | None, zone: ZoneNow, tick: Tick) -> tuple[int, int]:
    """When somebody comes due who succeeded last, and after which instant they are stale.

    own: their own interval as it counts, None for the policy's in their `zone`. Neither is earlier for one who was
    synced later, nor the first for one at a later place; stores that keep users in an order rely on it.
    """
    due_at = zone.due_at(last_synced, who, tick.cohorts) if own is None else last_synced + own
    stale_from = last_synced + max(tick.spec.thresholds.stale, own or 0)
    if due_at <= stale_from < due_at + STALE_GRACE:
        stale_from = due_at + STALE_GRACE
    return min(due_at, stale_from + 1), stale_from


def _back_off_end(state: UserState, now: int) -> int:
    """When the user's back-off ends, 0 where it is over."""
    if state.failed_at > now + CLOCK_SKEW:
        return 0  # the clock was set back: waiting for it to catch up could take hours
    end = state.failed_at + back_off(state.failures)
    return end if end > now else 0


def policy_disabled(_: Case, tick: Tick) -> Decision | None:
    return None if tick.spec.enabled else Decision(Reason.POLICY_DISABLED)


def store_not_ready(_: Case, tick: Tick) -> Decision | None:
    return None if tick.store_ready else Decision(Reason.STORE_NOT_READY)


def in_flight(case: Case, tick: Tick) -> Decision | None:
    return Decision(Reason.IN_FLIGHT) if case.record.user_id in tick.in_flight else None


def requested(case: Case, tick: Tick) -> Decision | None:
    """By name, in the policy's annotation or in the user's own record."""
    asked = case.record.sync_requested_at
    if (asked is not None and asked > case.state.request_served) or (tick.named and _is_named(case, tick)):
        return Decision(Reason.DUE_REQUESTED, Priority.HIGH, tick.now)
    return None


def _is_named(case: Case, tick: Tick) -> bool:
    request = tick.request
    return (
        request is not None
        and request.scope is Scope.NAMED
        and case.record.user_id in tick.named
        and case.state.last_outcome <= request.claim
    )


def requested_in_bulk(case: Case, tick: Tick) -> Decision | None:
    """Someone who is due anyway keeps that priority: a request for everyone must not push the stale behind."""
    request = tick.request
    if request is None or request.scope is Scope.NAMED or case.state.last_outcome > request.claim:
        return None
    if request.scope is Scope.ACTIVE and not case.is_active:
        return None
    priority = Priority.LOW
    if case.is_active and not case.backs_off_until and case.due_at <= tick.now:
        priority = Priority.HIGH if case.is_stale else Priority.MEDIUM
    return Decision(Reason.DUE_BULK, priority, tick.now)


def inactive(case: Case, _: Tick) -> Decision | None:
    return None if case.is_active else Decision(Reason.INACTIVE)


def backing_off(case: Case, _: Tick) -> Decision | None:
    end = case.backs_off_until
    return Decision(Reason.BACKING_OFF, None, end, end) if end else None


def due_stale(case: Case, _: Tick) -> Decision | None:
    return Decision(Reason.DUE_STALE, Priority.HIGH, case.due_at) if case.is_stale else None


def due_regular(case: Case, tick: Tick) -> Decision | None:
    return Decision(Reason.DUE_REGULAR, Priority.MEDIUM, case.due_at) if case.due_at <= tick.now else None


def not_due(case: Case, _: Tick) -> Decision:
    return Decision(Reason.NOT_DUE, None, case.due_at, case.due_at)


RULES: tuple[Rule, ...] = (
    policy_disabled,
    store_not_ready,
    in_flight,
    requested,
    requested_in_bulk,
    inactive,
    backing_off,
    due_stale,
    due_regular,
    not_due,
)


def may_go_along(case: Case, tick: Tick) -> bool:
    """Whether a user that is NotDue may ride in a batch that has room: it comes due within a tenth of its interval.

    Its last sync is then at least nine tenths of the interval ago, also where the interval is about to change.
    """
    last = case.state.last_synced
    if last is None:
        return False
    return case.due_at - tick.now <= case.interval // 10 and 10 * (tick.now - last) >= 9 * case.interval


def tokens_to_sync(record: UserRecord, state: UserState) -> tuple[str, ...]:
    """The tokens that changed since the last sync, sorted. Empty: sync everything, as for one never synced."""
    if state.last_synced is None or not record.changed_tokens:
        return ()
    since = state.last_synced - TOKEN_OVERLAP
    return tuple(sorted(token for token, changed_at in record.changed_tokens.items() if changed_at > since))
