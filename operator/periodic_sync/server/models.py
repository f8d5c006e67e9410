"""What is sent and answered, as JSON. Names and meanings change only with a line in the changelog."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from periodic_sync.api.names import Priority, Reason

MOST_AT_ONCE = 1000

Text = Annotated[str, Field(max_length=256)]
"""What it must be besides is told by the rules of user records."""


class Sent(BaseModel):
    """Of unknown fields one may be a misspelt interval, so they are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", validate_by_name=True, use_attribute_docstrings=True
    )


class Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, use_attribute_docstrings=True)


class Registration(Sent):
    """A user. An interval or a time zone that is not given is taken away."""

    wallet: Text
    interval: Text | None = None
    """The user's own in place of the policy's, such as 5m or 1h30m."""
    time_zone: Text | None = None
    """Of the user's own market hours: an IANA name."""
    last_active: Text | None = None
    """RFC 3339; now if not given. It only grows."""


class Activity(Sent):
    at: Text | None = None
    """RFC 3339; now if not given."""


class UserActivity(Activity):
    id: Text


class Activities(Sent):
    users: Annotated[list[UserActivity], Field(min_length=1, max_length=MOST_AT_ONCE)]


class SyncRequest(Sent):
    """With a wallet the user is registered, or updated: what else is not given then stays as it is."""

    wallet: Text | None = None
    interval: Text | None = None
    time_zone: Text | None = None


class Tokens(Sent):
    tokens: Annotated[list[Text], Field(min_length=1, max_length=100)]
    at: Text | None = None
    """When they changed, RFC 3339; now if not given."""


class Recorded(Answer):
    recorded: int
    unknown: list[str]
    """Ids that are not registered: of these nothing was stored."""


class SyncAccepted(Answer):
    requested_at: str
    """Served once `state.requestServed` of the user, which Location names, is as late as this."""


class State(Answer):
    """What the operator knows of a user."""

    last_synced: str | None
    """When the last batch that synced the user was handed to a Job."""
    failures: int
    """In a row."""
    failed_at: str | None
    request_served: str | None
    """The `syncRequestedAt` that was served last."""


class UserAnswer(Answer):
    user_id: str
    wallet: str
    last_active: str
    interval: str | None
    time_zone: str | None
    sync_requested_at: str | None
    changed_tokens: dict[str, str]
    state: State | None
    """null where this server can't read it."""


class Users(Answer):
    users: list[UserAnswer]
    cursor: str
    """For the next page; empty: that was all."""


class Removed(Answer):
    remains: str
    """What is left of the user for now, as a sentence; empty: nothing."""


class WhyAnswer(Answer):
    user_id: str
    reason: Reason
    message: str
    held_from: Reason | None
    """The Due code that a held user would have."""
    priority: Priority | None
    due_at: str | None
    """When the user is due next, or since when; of one in flight, if that sync succeeds. null: not foreseeable."""
    until: str | None
    """When the reason ends, where that is known."""
    as_of: str


class SchedulerStats(Answer):
    enabled: bool
    running: bool
    total_users: int
    active_users: int
    is_market_hours: bool
    next_scheduled_sync: str | None
    """RFC 3339; null: nobody is to be synced."""


class Health(Answer):
    status: str
    timestamp: str
    scheduler_stats: SchedulerStats


class Queue(Answer):
    """Users who wait, are in batches that run, or whose time has not come, and how often users were synced and failed.

    Batches count by the most urgent user in them, users who wait by their own priority.
    """

    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    """All under medium: by the clock they come due as regular."""


class ByPriority(Answer):
    high: Queue
    medium: Queue
    low: Queue


class QueueStats(Answer):
    """Counts of users; `completed` and `failed` are since the policy was made."""

    waiting: int
    """Due, and not in a batch."""
    active: int
    completed: int
    failed: int
    delayed: int
    """Active users whose time has not come."""
    by_priority: ByPriority


class ProblemAnswer(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    """One word that programs can rely on."""
    detail: str
    """The cause, and what to do."""
