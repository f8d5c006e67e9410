"""Why a user is, or is not, synced now: looking at what the operator looks at, and judging alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from periodic_sync.api.names import Condition, Reason
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client.backend import Known
from periodic_sync.core.due import Decision
from periodic_sync.core.explain import explain, tick_now
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED
from periodic_sync.inspection.words import sentence

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flight:
    """The ledger, and who is in flight by the batch files of its open Jobs."""

    ledger: Ledger
    in_flight: Mapping[str, int]
    """When each was claimed (ms)."""
    doubt: str = ""
    """Why the operator claims nothing now, as a sentence."""

    def tick(self, policy: SyncPolicy, now: int, *, store_ready: bool) -> Tick:
        """The one that the operator would plan on."""
        return tick_now(
            policy,
            self.ledger,
            now=now,
            in_flight=self.in_flight,
            store_ready=store_ready,
            may_claim=not self.doubt,
        )


class Looks(Protocol):
    """Uncached looks at what a policy has in the API server. Every method raises ApiError."""

    async def flight(self, policy: PolicyRef) -> Flight: ...

    async def policy(self, namespace: str, name: str) -> Object:
        """Raises: NotFoundError."""
        ...


@dataclass(frozen=True, slots=True)
class Why:
    """Instants in milliseconds."""

    decision: Decision
    message: str
    as_of: int


def judge(policy: SyncPolicy, body: Object, flight: Flight, known: Known, now: int) -> Why:
    """From all that was looked at. Raises: UnknownTimeZoneError."""
    trouble = store_trouble(body)
    if trouble and policy.spec.enabled:
        return without_store(policy, trouble, now)
    decision = explain(known.record, known.state or NEVER_SYNCED, flight.tick(policy, now, store_ready=True))
    because = flight.doubt if decision.held_from else ""
    return Why(decision, sentence(decision, now, because), now)


def without_store(policy: SyncPolicy, trouble: str, now: int) -> Why:
    """What can be said while the users can't be read."""
    reason = Reason.STORE_NOT_READY if policy.spec.enabled else Reason.POLICY_DISABLED
    decision = Decision(reason)
    return Why(decision, sentence(decision, now, trouble if policy.spec.enabled else ""), now)


def store_trouble(body: Object) -> str:
    """What the operator says is wrong with the store; "": nothing."""
    for condition in (body.get("status") or {}).get("conditions") or ():
        if condition.get("type") == Condition.STORE_READY and condition.get("status") == "False":
            return str(condition.get("message") or "The operator can't read it")
    return ""
