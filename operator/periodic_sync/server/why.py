"""Why a user is, or is not, synced now: looking at what the operator looks at, in the same order, and judging alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from periodic_sync.api.errors import NotFoundError
from periodic_sync.api.names import Condition, Reason
from periodic_sync.api.policy import InvalidPolicyError, SyncPolicy
from periodic_sync.client import StoreUnavailableError
from periodic_sync.client.backend import Clock, Known
from periodic_sync.client.errors import UnknownUserError, store_errors
from periodic_sync.client.values import user_id_of
from periodic_sync.core.calendar import UnknownTimeZoneError
from periodic_sync.core.due import Decision
from periodic_sync.core.explain import explain, tick_now
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.users import NEVER_SYNCED
from periodic_sync.server.policies import Policies
from periodic_sync.server.problems import Problem, invalid_policy, no_such_policy, unavailable
from periodic_sync.server.words import sentence

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flight:
    """The ledger, and who is in flight by the batch files of its open Jobs."""

    ledger: Ledger
    in_flight: Mapping[str, int]
    """When each was claimed (ms)."""
    doubt: str = ""
    """Why the operator claims nothing now, as a sentence."""


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


class Explainer:
    """For any number of tasks."""

    def __init__(self, policies: Policies, looks: Looks, clock: Clock) -> None:
        self._policies, self._looks, self._clock = policies, looks, clock

    async def why(self, namespace: str, name: str, user_id: str) -> Why:
        """Raises: UnknownUserError, InvalidUserError, Problem, ApiError."""
        wanted = user_id_of(user_id)
        found = await self._policies.find(namespace, name)
        # The ledger before policy and users: whatever it calls closed is then sure to be in what is read of them.
        flight = await self._looks.flight(PolicyRef(namespace, name, found.uid))
        try:
            body = await self._looks.policy(namespace, name)
            policy = SyncPolicy.parse(body)
        except NotFoundError:
            raise no_such_policy(namespace, name) from None
        except InvalidPolicyError as error:
            raise invalid_policy(namespace, name, error) from None
        if policy.uid != found.uid:
            raise unavailable("PolicyReplaced", "The policy was made anew a moment ago: call again")
        try:
            async with self._policies.use(namespace, name) as opened:
                with store_errors():
                    known = await opened.backend.get(wanted)
        except StoreUnavailableError as error:
            return without_store(policy, str(error), self._clock.now())
        if known is None:
            raise UnknownUserError(wanted)
        return judge(policy, body, flight, known, self._clock.now())


def judge(policy: SyncPolicy, body: Object, flight: Flight, known: Known, now: int) -> Why:
    """From all that was looked at. Raises: Problem where the policy can't be worked with."""
    trouble = _store_trouble(body)
    if trouble and policy.spec.enabled:
        return without_store(policy, trouble, now)
    tick = tick_now(
        policy,
        flight.ledger,
        now=now,
        in_flight=flight.in_flight,
        store_ready=True,
        may_claim=not flight.doubt,
    )
    try:
        decision = explain(known.record, known.state or NEVER_SYNCED, tick)
    except UnknownTimeZoneError as error:
        raise Problem(409, "PolicyInvalid", f"spec.marketHours.timeZone: {error}") from None
    because = flight.doubt if decision.held_from else ""
    return Why(decision, sentence(decision, now, because), now)


def without_store(policy: SyncPolicy, trouble: str, now: int) -> Why:
    """What can be said while the users can't be read."""
    reason = Reason.STORE_NOT_READY if policy.spec.enabled else Reason.POLICY_DISABLED
    decision = Decision(reason)
    return Why(decision, sentence(decision, now, trouble if policy.spec.enabled else ""), now)


def _store_trouble(body: Object) -> str:
    """What the operator says is wrong with the store; "": nothing."""
    for condition in (body.get("status") or {}).get("conditions") or ():
        if condition.get("type") == Condition.STORE_READY and condition.get("status") == "False":
            return str(condition.get("message") or "The operator can't read it")
    return ""
