"""`status` of a SyncPolicy: what the operator reports. Nothing here has a default, so that absent means not known."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, PlainSerializer

from periodic_sync.api.model import Model


def _whole_seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Moment = Annotated[AwareDatetime, PlainSerializer(_whole_seconds, return_type=str)]
"""A point in time, written as Kubernetes writes it: RFC 3339 in UTC, whole seconds."""

Count = Annotated[int, Field(ge=0)]

# No token that fits into an annotation may make a status unwritable: this is what all annotations may hold together.
Token = Annotated[str, Field(max_length=262_144)]


class Condition(Model):
    """One aspect of the policy's state, as in metav1.Condition."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=(
                r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
                r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
            ),
        ),
    ]
    """Ready, StoreReady or Stalled (only while it is true)."""

    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""

    observed_generation: Count | None = None
    """The metadata.generation that the condition speaks of."""

    last_transition_time: Moment
    """When status last changed."""

    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """One word for the cause, such as Scheduling, Paused or StoreNotReady."""

    message: Annotated[str, Field(max_length=32_768)]
    """A sentence for people: the cause, and what to do about it."""


class ByPriority(Model):
    """Counts by priority."""

    high: Count
    """Users whose data is stale or who were never synced, and those asked for by name."""

    medium: Count
    """Users whose interval is over."""

    low: Count
    """Users asked for together with all others, whatever they would be without that."""


class SyncPolicyStatus(Model):
    """What the operator reports."""

    observed_generation: Count | None = None
    """The metadata.generation of the spec that this status speaks of."""

    conditions: (
        Annotated[
            tuple[Condition, ...],
            Field(
                max_length=16,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
            ),
        ]
        | None
    ) = None
    """Ready (users are being synced as the policy says), StoreReady (the user records can be read) and, only while it
    is true, Stalled (waiting for someone to correct something)."""

    enabled: bool | None = None
    """spec.enabled as the operator last acted on it. Once false, with observedGeneration at the current generation, no
    new batch starts."""

    running: bool | None = None
    """Whether the operator is scheduling this policy now."""

    is_market_hours: bool | None = None
    """Whether market hours are open now, in the policy's time zone."""

    store: Annotated[str, Field(max_length=320)] | None = None
    """Which store is in use: ConfigMap/<name>, or Redis/<name of the Secret>."""

    total_users: Count | None = None
    """How many valid user records the store holds."""

    active_users: Count | None = None
    """How many of them were seen within thresholds.active."""

    stale_users: Count | None = None
    """How many active users have data older than thresholds.stale, or none yet; those in flight included."""

    due_users: Count | None = None
    """How many users are due and not in flight, whatever they wait for. 0 while disabled."""

    due_users_by_priority: ByPriority | None = None
    """The dueUsers by their priority."""

    in_flight_users: Count | None = None
    """How many users are in a batch that has not been settled yet."""

    skipped_entries: Count | None = None
    """How many records of the store were skipped, wholly or in part. StoreReady's message names the first few."""

    active_jobs: Count | None = None
    """How many Jobs are open."""

    last_schedule_time: Moment | None = None
    """When a batch was last handed to a Job."""

    last_sync_time: Moment | None = None
    """When a user was last synced."""

    next_scheduled_sync: Moment | None = None
    """When the next user comes due. Absent while disabled."""

    last_handled_request: Token | None = None
    """The token in the annotation sync.moonx.farm/requested-at of the last manual sync whose users were queued."""

    last_completed_request: Token | None = None
    """The token of the last manual sync of which each user was synced or failed."""

    users_synced: Count | None = None
    """How many times users were synced since the policy was made."""

    users_failed: Count | None = None
    """How many times syncs of users failed since the policy was made."""
