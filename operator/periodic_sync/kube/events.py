"""Events on a SyncPolicy, for what a person needs to know. The same words are not said again for a while."""

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from periodic_sync.api.durations import MINUTE
from periodic_sync.api.errors import ApiError
from periodic_sync.api.names import API_VERSION, KIND, MANAGED_BY
from periodic_sync.api.reasons import ConditionReason, EventReason
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import EVENTS

QUIET = 10 * MINUTE
LONGEST_NOTE = 1024
"""Bytes, which is what the API server counts."""

log = logging.getLogger(__name__)


class PolicyEvents:
    """Writes Events about one policy. An event that can't be written is only logged: nothing depends on it."""

    def __init__(self, client: KubeClient, policy: PolicyRef, reporter: str, clock: Callable[[], int]) -> None:
        """`reporter`: the operator's own name, such as its pod's."""
        self._client = client
        self._policy = policy
        self._reporter = reporter
        self._clock = clock
        self._said: dict[tuple[str, str], int] = {}

    async def normal(self, reason: EventReason | ConditionReason, note: str) -> None:
        await self._say("Normal", reason, note)

    async def warning(self, reason: EventReason | ConditionReason, note: str) -> None:
        await self._say("Warning", reason, note)

    async def _say(self, kind: str, reason: str, note: str) -> None:
        now = self._clock()
        self._said = {key: at for key, at in self._said.items() if 0 <= now - at < QUIET}
        if (reason, note) in self._said:
            return
        self._said[reason, note] = now
        try:
            await self._client.create(EVENTS, self._policy.namespace, self._body(kind, reason, note, now))
        except ApiError as error:
            log.warning("an Event can't be written", extra={"reason": reason, "error": str(error)})

    def _body(self, kind: str, reason: str, note: str, now: int) -> dict[str, object]:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{self._policy.name}.{uuid.uuid4().hex[:16]}", "namespace": self._policy.namespace},
            "eventTime": datetime.fromtimestamp(now / 1000, UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z"),
            "type": kind,
            "reason": reason,
            "action": "Schedule",
            "note": note.encode()[:LONGEST_NOTE].decode(errors="ignore"),
            "reportingController": MANAGED_BY,
            "reportingInstance": self._reporter[:128] or MANAGED_BY,
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": self._policy.name,
                "namespace": self._policy.namespace,
                "uid": self._policy.uid,
            },
        }
