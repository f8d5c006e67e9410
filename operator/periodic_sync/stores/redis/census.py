"""The count over all users at one tick, from what the index tells and from those who had to be looked at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from periodic_sync.api.names import Reason
from periodic_sync.core.due import Decision, decide, examine
from periodic_sync.core.plan import DUE, Census
from periodic_sync.core.tick import Tick
from periodic_sync.stores.records import AHEAD
from periodic_sync.stores.redis.index import Look
from periodic_sync.stores.redis.schema import StoredUser


@dataclass(frozen=True, slots=True)
class _Read:
    """One user that was looked at, with the reason code that the index counts, and the one that holds."""

    user: StoredUser
    counted: Decision
    holds: Decision | None
    """None: skipped, as last active too far in the future."""


def take_census(look: Look, users: Mapping[str, StoredUser], tick: Tick, *, unqueued: int) -> Census:
    """unqueued: users whom a request for many waits for, and who are not queued for it yet."""
    tallies = look.tallies
    total = tallies.total - tallies.broken - tallies.ahead
    active = tallies.active - tallies.ahead
    read = _judged(users, tick)
    stale = tallies.stale + sum(_is_stale(users, user_id, tick) for user_id in look.doubtfully_stale)
    stale -= sum(each.holds is None and examine(*each.user, tick).is_stale for each in read)
    requested = tallies.queued + unqueued
    if not tick.spec.enabled:
        reasons = {Reason.POLICY_DISABLED: total}
        return Census(total, active, stale, due=0, requested=requested, by_reason=reasons, next_due=None)
    reasons = _by_index(look, read, users, tick, total=total + tallies.ahead)
    for each in read:
        if each.counted is not each.holds:
            reasons[each.counted.reason] -= 1
            if each.holds is not None:
                reasons[each.holds.reason] += 1
    due = sum(reasons[reason] for reason in DUE)
    return Census(
        total=total,
        active=active,
        stale=stale,
        due=min(due + unqueued, max(0, total - len(tick.in_flight))),
        requested=requested,
        by_reason=reasons,
        next_due=min((at for at in (_next_due(each, tick) for each in read) if at is not None), default=None),
    )


def _judged(users: Mapping[str, StoredUser], tick: Tick) -> list[_Read]:
    """The index neither knows who is in flight nor whom a person named: what it counts is as if nobody were."""
    plain, apart = replace(tick, in_flight={}, named=frozenset()), tick.in_flight.keys() | tick.named
    unasked = replace(plain, ledger=replace(tick.ledger, request=None))
    judged = []
    for user_id, user in users.items():
        if user.record.last_active > tick.now + AHEAD:
            judged.append(_Read(user, decide(*user, unasked), None))  # who is skipped is not queued
            continue
        holds = decide(*user, tick)
        judged.append(_Read(user, decide(*user, plain) if user_id in apart else holds, holds))
    return judged


def _by_index(
    look: Look, read: Iterable[_Read], users: Mapping[str, StoredUser], tick: Tick, *, total: int
) -> dict[Reason, int]:
    """The reason codes of all users, if nobody were in flight or named."""
    tallies = look.tallies
    doubtful = [users[user_id] for user_id in look.doubtful if user_id in users]
    regular_due = tallies.due + sum(examine(*user, tick).due_at <= tick.now for user in doubtful)
    regular_stale = tallies.stale_regular + sum(
        _is_regular(users[user_id]) and _is_stale(users, user_id, tick)
        for user_id in look.doubtfully_stale
        if user_id in users
    )
    retried_stale = sum(each.counted.reason is Reason.DUE_STALE and not _is_regular(each.user) for each in read)
    reasons = dict.fromkeys(Reason, 0)
    reasons[Reason.DUE_REQUESTED] = tallies.asked
    reasons[Reason.DUE_BULK] = tallies.queued - tallies.asked_and_queued
    reasons[Reason.DUE_STALE] = regular_stale + min(retried_stale, tallies.retry_due)
    reasons[Reason.DUE_REGULAR] = (
        regular_due - regular_stale + tallies.retry_due - min(retried_stale, tallies.retry_due)
    )
    reasons[Reason.BACKING_OFF] = tallies.backing_off
    reasons[Reason.NOT_DUE] = tallies.regular - regular_due
    reasons[Reason.INACTIVE] = max(0, total - sum(reasons.values()))
    return reasons


def _is_regular(user: StoredUser) -> bool:
    return not user.state.failures and not user.state.unexplained


def _is_stale(users: Mapping[str, StoredUser], user_id: str, tick: Tick) -> bool:
    return user_id in users and examine(*users[user_id], tick).is_stale


def _next_due(read: _Read, tick: Tick) -> int | None:
    due_at = read.holds.due_at if read.holds is not None else None
    return due_at if due_at is not None and due_at > tick.now else None
