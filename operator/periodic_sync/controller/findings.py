"""What a turn finds, gathered step by step for the status to tell."""

from dataclasses import replace
from typing import Any

from periodic_sync.api.policy import SyncPolicy
from periodic_sync.api.reasons import ConditionReason
from periodic_sync.api.spec import Store as StoreSpec
from periodic_sync.controller.sight import Sight
from periodic_sync.controller.users import Users
from periodic_sync.core.calendar import UnknownTimeZoneError, find_zone
from periodic_sync.core.status import Findings, Obstacle
from periodic_sync.kube.client import Object


class Draft:
    """What the turn has found so far, so that a turn that fails half-way can still say what it knows."""

    def __init__(self, found: Findings) -> None:
        self.found = found

    def note(self, **changes: Any) -> None:
        """Set fields of the findings."""
        self.found = replace(self.found, **changes)


def unknown_zone(policy: SyncPolicy) -> Obstacle | None:
    try:
        find_zone(policy.spec.market_hours.time_zone)
    except UnknownTimeZoneError as error:
        return Obstacle(ConditionReason.UNKNOWN_TIME_ZONE, f"spec.marketHours.timeZone: {error}")
    return None


def is_enabled(body: Object) -> bool:
    """Also where nothing else of the spec can be read: switching off must always work."""
    spec = body.get("spec")
    return not isinstance(spec, dict) or spec.get("enabled", True) is not False


def note_users(draft: Draft, users: Users) -> None:
    draft.note(store_obstacle=users.obstacle)
    if users.report is not None:
        draft.note(is_store_read=True, skipped=users.report.skipped, store_note=users.note())


def blocked_by(sight: Sight) -> Obstacle | None:
    """What is left of a policy of the same name that was deleted: until it is gone nothing is claimed."""
    running = sorted([job.name for job in sight.foreign_jobs.values() if not job.finished] + list(sight.foreign_files))
    if not running:
        return None
    return Obstacle(
        ConditionReason.REBUILDING_LEDGER,
        f"Waiting for {', '.join(running[:3])} to go: it carries the labels of this policy's own objects, and belongs "
        "to a policy of the same name that was deleted, or to nobody. Delete it if it is not wanted any more",
    )


def store_name(spec: StoreSpec) -> str:
    if spec.config_map is not None:
        return f"ConfigMap/{spec.config_map.name}"
    return f"Redis/{spec.redis.url_secret_ref.name}" if spec.redis is not None else ""


def store_kind(spec: StoreSpec) -> str:
    if spec.config_map is not None:
        return "configmap"
    return "redis" if spec.redis is not None else "none"
