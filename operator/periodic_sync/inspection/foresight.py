"""What the operator would schedule, now or at another instant, with the users as they are. Nothing is written."""

from collections.abc import Mapping
from dataclasses import replace

from periodic_sync.api.names import Reason
from periodic_sync.client.backend import Known
from periodic_sync.core.due import decide, is_active
from periodic_sync.core.outcomes import Ending, Outcome, apply
from periodic_sync.core.plan import Plan, Population, User, plan_for, with_cohorts
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.stores.records import AHEAD


class Foresight:
    """A plan from users that are given one by one: those without any part in it are only counted.

    At a later instant than the tick's the batches that run now have ended, and synced all of their users.
    """

    def __init__(self, tick: Tick, at: int | None = None) -> None:
        """at: milliseconds; None: the tick's own instant."""
        self._landed: Mapping[str, int] = {}
        self._claims = {job.claimed_at: job.claim for job in tick.ledger.jobs}
        if at is None or at == tick.now:
            self._tick = tick
        elif at < tick.now:
            self._tick = replace(tick, now=at, zones={})
        else:
            self._landed = tick.in_flight
            self._tick = replace(tick, now=at, in_flight={}, ledger=replace(tick.ledger, jobs=()), zones={})
        self._users: dict[str, User] = {}
        self._others: dict[Reason, int] = {}

    def add(self, known: Known) -> None:
        """Raises: UnknownTimeZoneError."""
        record, state = known.record, known.state or NEVER_SYNCED
        if record.last_active > self._tick.now + AHEAD:
            return  # no store shows these to a plan
        if record.user_id in self._landed:
            state = self._synced(record, state)
        reason = decide(record, state, self._tick).reason
        if reason is Reason.INACTIVE or (reason is Reason.POLICY_DISABLED and not is_active(record, self._tick)):
            self._others[reason] = self._others.get(reason, 0) + 1
        else:
            self._users[record.user_id] = (record, state)  # one that changes meanwhile may come twice

    def plan(self) -> Plan:
        """Raises: UnknownTimeZoneError."""
        users = list(self._users.values())
        tick, cohorts = with_cohorts(self._tick, sum(is_active(record, self._tick) for record, _ in users))
        plan = plan_for(Population(users), tick, cohorts)
        for reason, count in self._others.items():
            plan.counters.total += count
            plan.counters.by_reason[reason] += count
        return plan

    def _synced(self, record: UserRecord, state: UserState) -> UserState:
        at = self._landed[record.user_id]
        claim = self._claims.get(at, state.last_claim + 1)
        asked = (
            record.sync_requested_at
            if record.sync_requested_at is not None and record.sync_requested_at <= at
            else None
        )
        return apply(state, Outcome(record.user_id, Ending.SYNCED, claim, at, self._tick.now, 1, asked))
