"""Why a user is, or is not, synced now, for callers of the API."""

from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client import StoreUnavailableError
from periodic_sync.client.backend import Clock
from periodic_sync.client.errors import UnknownUserError, store_errors
from periodic_sync.client.values import user_id_of
from periodic_sync.core.calendar import UnknownTimeZoneError
from periodic_sync.core.objects import PolicyRef
from periodic_sync.inspection.why import Looks, Why, judge, without_store
from periodic_sync.server.policies import Policies
from periodic_sync.server.problems import Problem, policy_problems, unavailable


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
        with policy_problems(namespace, name):
            body = await self._looks.policy(namespace, name)
            policy = SyncPolicy.parse(body)
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
        try:
            return judge(policy, body, flight, known, self._clock.now())
        except UnknownTimeZoneError as error:
            raise Problem(409, "PolicyInvalid", f"spec.marketHours.timeZone: {error}") from None
