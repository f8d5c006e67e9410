"""Telling people: the status of the policy, and Events at its turning points."""

from collections.abc import Callable, Mapping

from periodic_sync.api.names import Condition
from periodic_sync.api.reasons import ConditionReason, EventReason
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.pace import COUNTERS_EVERY
from periodic_sync.core.status import Findings, Status, fold
from periodic_sync.core.status_writes import NOTHING_WRITTEN, Written, changes, is_urgent
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.events import PolicyEvents
from periodic_sync.kube.resources import SYNC_POLICIES


class Reporter:
    """Writes one policy's status: what a person waits for at once, counters at most every 5 s."""

    def __init__(self, client: KubeClient, policy: PolicyRef, events: PolicyEvents, clock: Callable[[], int]) -> None:
        self._client = client
        self._policy = policy
        self._events = events
        self._clock = clock
        self._written_at = 0
        self._written = NOTHING_WRITTEN

    async def report(self, policy: Object, found: Findings) -> int | None:
        """Bring the status from what it was when `policy` was read to what was found.

        Returns: when to come again for what was put off, in ms; None: everything is written.
        Raises: ConflictError where the policy has changed since: what was found may not be true of it. ApiError.
        """
        before = policy.get("status") or {}
        after = fold(before, found)
        patch = changes(before, after)
        unsent = self._written.unsent(before, patch)
        if not unsent:
            return None
        now = self._clock()
        next_write = self._written_at + COUNTERS_EVERY
        if not is_urgent(before, unsent) and self._written_at <= now < next_write:
            return next_write
        version = policy["metadata"]["resourceVersion"]
        where = self._policy.namespace, self._policy.name
        answer = await self._client.merge_status(SYNC_POLICIES, *where, patch, version=version)
        self._written = Written(after, answer.get("status") or {})
        self._written_at = now
        await self._tell_turns(before, after)
        return None

    async def _tell_turns(self, before: Status, after: Status) -> None:
        """An Event where a condition turns, or a new reason is given for one that stays."""
        old = {condition["type"]: condition for condition in before.get("conditions") or []}
        new = {condition["type"]: condition for condition in after["conditions"]}
        for kind, condition in new.items():
            was = old.get(kind, {})
            if (condition["status"], condition["reason"]) == (was.get("status"), was.get("reason")):
                continue
            if _is_said_by_another(kind, new):
                continue
            if condition["status"] == ("True" if kind == Condition.STALLED else "False"):
                await self._events.warning(ConditionReason(condition["reason"]), condition["message"])
            elif kind == Condition.READY:
                await self._events.normal(ConditionReason(condition["reason"]), condition["message"])
        token = after.get("lastCompletedRequest")
        if token and token != before.get("lastCompletedRequest"):
            await self._events.normal(
                EventReason.REQUEST_COMPLETED, f"Everyone asked for by request {token} was synced or failed."
            )


def _is_said_by_another(kind: str, conditions: Mapping[str, Mapping[str, str]]) -> bool:
    """Of two conditions that turn with the same words, the one with the more telling reason speaks."""
    ready = conditions[Condition.READY]
    if kind == Condition.STORE_READY:
        return conditions[kind]["message"] == ready["message"]
    return kind == Condition.READY and ready["reason"] == ConditionReason.STALLED
