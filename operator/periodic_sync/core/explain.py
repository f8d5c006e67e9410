"""Why one user is, or is not, synced now, told from outside of the operator: by the same rules, without a plan.

A plan knows which of the due it claims. Whoever asks between two turns sees what they have left: who is due while
nothing may be claimed is held by what forbids it.
"""

from collections.abc import Mapping

from periodic_sync.api.names import Reason
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.core.due import Decision, examine, judge
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.limits import hold, limits
from periodic_sync.core.plan import DUE, MOST_OPEN_JOBS
from periodic_sync.core.requests import named_users, read_request
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import UserRecord, UserState


def tick_now(
    policy: SyncPolicy, ledger: Ledger, *, now: int, in_flight: Mapping[str, int], store_ready: bool, may_claim: bool
) -> Tick:
    """The tick that the operator would plan on. in_flight: users, and when (ms) each was claimed."""
    return Tick(
        spec=policy.spec,
        ledger=ledger,
        now=now,
        in_flight=in_flight,
        named=named_users(read_request(policy.annotations), ledger),
        store_ready=store_ready,
        may_claim=may_claim,
        cohorts=ledger.cohorts,
    )


def explain(record: UserRecord, state: UserState, tick: Tick) -> Decision:
    """The one reason code of a user, and when it changes.

    Of one in flight `due_at` is when it comes due next if that sync succeeds.
    Raises: UnknownTimeZoneError where the policy's own time zone does not exist and the answer depends on it.
    """
    if not tick.spec.enabled:
        return Decision(Reason.POLICY_DISABLED)
    if not tick.store_ready:
        return Decision(Reason.STORE_NOT_READY)
    decision = judge(examine(record, state, tick), tick)
    if decision.reason is Reason.IN_FLIGHT:
        after = examine(record, UserState(last_synced=tick.in_flight[record.user_id]), tick)
        return decision._replace(due_at=after.due_at if after.is_active else None)
    if decision.reason not in DUE or not _is_held(tick):
        return decision
    held = hold(tick, claimed=0)
    return decision._replace(reason=held.reason, until=held.until, held_from=decision.reason)


def _is_held(tick: Tick) -> bool:
    allowed = limits(tick)
    no_room = allowed.batches == 0 or allowed.users == 0 or len(tick.ledger.jobs) >= MOST_OPEN_JOBS
    return no_room or tick.ledger.breaker.is_open
