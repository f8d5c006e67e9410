"""What of a status is to be written, and how soon."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from periodic_sync.core.status import Status

COUNTERS = frozenset(
    {
        "isMarketHours",
        "totalUsers",
        "activeUsers",
        "staleUsers",
        "dueUsers",
        "dueUsersByPriority",
        "inFlightUsers",
        "skippedEntries",
        "activeJobs",
        "lastScheduleTime",
        "lastSyncTime",
        "nextScheduledSync",
        "usersSynced",
        "usersFailed",
    }
)
"""Fields that may wait for a moment to be written together; all others say something a person waits for."""


@dataclass(frozen=True, slots=True)
class Written:
    """A status as it was sent, and as the API server has kept it: a CRD older than the operator lacks fields, and those
    are dropped without a word."""

    sent: Status
    kept: Status

    def unsent(self, previous: Status, patch: Status) -> Status:
        """Of a patch to `previous` what would not end as it did before: the same was not sent already, or others have
        changed the field since."""
        return {
            key: value
            for key, value in patch.items()
            if value != self.sent.get(key) or previous.get(key) != self.kept.get(key)
        }


NOTHING_WRITTEN = Written({}, {})


def changes(previous: Status, new: Status) -> Status:
    """The merge patch from one status to the other; empty where they are equal."""
    gone = dict.fromkeys(previous.keys() - new.keys())
    return {key: value for key, value in new.items() if previous.get(key) != value or key not in previous} | gone


def is_urgent(previous: Status, patch: Status) -> bool:
    """Whether a person or a program waits for this patch: an acknowledgement, a token, a condition. Counters, and the
    words of a condition that stays as it is, may wait to be written together."""
    if patch.keys() - COUNTERS - {"conditions"}:
        return True
    return "conditions" in patch and _essence(patch["conditions"]) != _essence(previous.get("conditions") or [])


def _essence(conditions: list[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        tuple(condition.get(key) for key in ("type", "status", "reason", "observedGeneration"))
        for condition in conditions
    ]
