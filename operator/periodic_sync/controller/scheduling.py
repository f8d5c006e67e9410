"""Plan and claim: from the users as they are to the Jobs that sync them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from periodic_sync.api.names import Reason
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.api.reasons import EventReason
from periodic_sync.api.wallets import shown_id
from periodic_sync.controller.claiming import claim
from periodic_sync.controller.creating import JobMaker
from periodic_sync.controller.flights import Flights
from periodic_sync.controller.open_ledger import OpenLedger
from periodic_sync.controller.storytelling import Storyteller
from periodic_sync.controller.users import Users
from periodic_sync.core import transitions
from periodic_sync.core.ledger import Scope
from periodic_sync.core.plan import DUE, Plan, drop_to_spread, due_by_priority, plan_for, with_cohorts
from periodic_sync.core.requests import Asked, named_users, read_request
from periodic_sync.core.status import Counts
from periodic_sync.core.tick import Tick
from periodic_sync.kube.events import PolicyEvents

UNKNOWN_TOLD = 10


@dataclass(frozen=True, slots=True)
class Scheduling:
    """What planning and claiming take for one policy."""

    flights: Flights
    events: PolicyEvents
    story: Storyteller
    clock: Callable[[], int]

    async def run(
        self,
        policy: SyncPolicy,
        ledger: OpenLedger,
        users: Users,
        maker: JobMaker | None,
        *,
        is_blocked: bool,
        now: int,
    ) -> Plan | None:
        """Plan on users that were read after the ledger, and claim what was planned.

        `maker`: None where Jobs can't be made. `is_blocked`: something else forbids claims for now.
        Returns: None where the store has failed meanwhile. Raises: ConflictError, SupersededError, ApiError.
        """
        asked = read_request(policy.annotations)
        is_new = asked is not None and _take(asked, ledger, users)
        await self._drop_what_nobody_asks_for(asked, ledger)
        in_flight = await self.flights.users(ledger.ledger)
        tick = Tick(
            spec=policy.spec,
            ledger=ledger.ledger,
            now=now,
            in_flight=in_flight or {},
            named=named_users(asked, ledger.ledger),
            may_claim=maker is not None and in_flight is not None and not is_blocked,
        )
        made = await self._plan(users, tick)
        if made is None:
            return None
        self.story.tell(made)
        if is_new and asked is not None:
            await self._tell_request(asked, made)
        self._stage(made, ledger)
        if made.jobs and maker is not None:
            files = await claim(made, ledger, maker, highest_in_store=users.highest_claim, now=self.clock())
            self.flights.took_off(files)
        return made

    @staticmethod
    async def _plan(users: Users, tick: Tick) -> Plan | None:
        active: int | None = 0
        if drop_to_spread(tick) is not None:
            active = await users.active(tick.now - tick.spec.thresholds.active)
        if active is None:
            return None
        tick, cohorts = with_cohorts(tick, active)
        population = await users.population(tick)
        return plan_for(population, tick, cohorts) if population is not None else None

    async def _drop_what_nobody_asks_for(self, asked: Asked | None, ledger: OpenLedger) -> None:
        """The ids of a named request are only in the annotation: without them it can't go on."""
        request = ledger.ledger.request
        if request is None or request.completed or request.scope is not Scope.NAMED:
            return
        if asked is None or (asked.token, asked.scope) != (request.token, request.scope):
            ledger.stage(transitions.drop_request(ledger.ledger, token=request.token))
            await self.events.warning(
                EventReason.REQUEST_DROPPED,
                f"Request {request.token} is over: the annotations that named its users have changed.",
            )

    @staticmethod
    def _stage(made: Plan, ledger: OpenLedger) -> None:
        staged = ledger.ledger
        if made.cohorts is not None:
            staged = transitions.spread(staged, at=made.cohorts.at, cohorts=made.cohorts.count)
        request = staged.request
        if request is not None and not request.completed and made.tick.spec.enabled and not made.counters.requested:
            staged = transitions.complete_request(staged, token=request.token)
        ledger.stage(staged)

    async def _tell_request(self, asked: Asked, made: Plan) -> None:
        whom = f"{len(asked.users)} users by id" if asked.scope is Scope.NAMED else f"{asked.scope.value} users"
        await self.events.normal(EventReason.REQUEST_QUEUED, f"Request {asked.token} asks to sync {whom}.")
        if made.unknown_users:
            some = ", ".join(map(shown_id, sorted(made.unknown_users)[:UNKNOWN_TOLD]))
            await self.events.warning(
                EventReason.UNKNOWN_USERS,
                f"Request {asked.token} names {len(made.unknown_users)} users that the store does not have, such as "
                f"{some}: check the ids in the annotation",
            )


def _take(asked: Asked, ledger: OpenLedger, users: Users) -> bool:
    """Queue the request. Returns: whether it is new."""
    before = ledger.ledger
    ledger.stage(transitions.take_request(before, token=asked.token, scope=asked.scope, claim=users.highest_claim))
    return ledger.ledger is not before


def counts(made: Plan) -> Counts:
    """The plan's count of users, as it is once its Jobs are claimed."""
    planned = [user.reason for job in made.jobs for batch in job.batches for user in batch.users]
    counters = made.counters
    by_reason = Counter(counters.by_reason)
    by_reason.subtract(planned)
    by_reason[Reason.IN_FLIGHT] += len(planned)
    due = counters.due - sum(reason in DUE for reason in planned)
    due_by_reason = Counter(counters.due_by_reason)
    due_by_reason.subtract(reason for reason in planned if reason in DUE)
    return Counts(
        total=counters.total,
        active=counters.active,
        stale=counters.stale,
        due=due,
        due_by_priority=due_by_priority(due, due_by_reason),
        in_flight=counters.in_flight + len(planned),
        next_due=made.next_due,
        by_reason=by_reason,
    )
