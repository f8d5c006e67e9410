"""`spec` of a SyncPolicy. Durations are whole milliseconds in these models and GEP-2257 strings in the resource."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from periodic_sync.api.container import ATOMIC
from periodic_sync.api.durations import HOUR, MINUTE
from periodic_sync.api.metadata import Annotations, Labels
from periodic_sync.api.model import Model
from periodic_sync.api.rules import (
    ACTIVE_RULE,
    DAYS_ONCE_RULE,
    DAYS_RULE,
    STALE_RULE,
    STORE_GIVEN_RULE,
    STORE_RULE,
    WINDOW_RULE,
    WORKER_GIVEN_RULE,
    Rule,
    rules,
)
from periodic_sync.api.shapes import Interval, KeyPrefix, StoreName, TimeOfDay, ZoneName
from periodic_sync.api.worker_spec import Header, Http, PodTemplateRef, SecretKeyRef, Worker

__all__ = [
    "ConfigMapStore",
    "Header",
    "History",
    "Http",
    "Intervals",
    "Jobs",
    "MarketHours",
    "PodTemplateRef",
    "RedisStore",
    "SecretKeyRef",
    "Store",
    "SyncPolicySpec",
    "Thresholds",
    "Worker",
]

Weekday = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


class Intervals(Model):
    """How often users are synced."""

    market_hours: Interval = 5 * MINUTE
    """How often each active user is synced during market hours, as a duration of at least 1s, such as 5m."""

    off_hours: Interval = 15 * MINUTE
    """How often each active user is synced outside market hours, as a duration of at least 1s, such as 15m."""

    user_minimum: Interval = MINUTE
    """The shortest interval that a user's own record may ask for; a shorter one counts as this. An interval of the
    policy that is shorter than this lowers it."""


class MarketHours(Model):
    """When the market is open."""

    RULES: ClassVar[tuple[Rule, ...]] = (WINDOW_RULE,)

    start: TimeOfDay = "09:00"
    """When market hours begin, as HH:MM in the time zone's wall time. This minute is inside."""

    end: TimeOfDay = "17:00"
    """When market hours end, as HH:MM in the time zone's wall time. This minute is outside. An end before start is on
    the next day, and the hours past midnight belong to the day on which they began."""

    time_zone: ZoneName = "Etc/UTC"
    """Time zone of start, end and days, as its name in the IANA database, such as Europe/Berlin. A name that does not
    exist shows in the condition Stalled, reason UnknownTimeZone."""

    days: Annotated[
        tuple[Weekday, ...],
        Field(
            max_length=7,
            json_schema_extra={"x-kubernetes-list-type": "set"} | rules(DAYS_RULE, DAYS_ONCE_RULE),
        ),
    ] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    """Weekdays on which market hours begin. The other days are off hours, all day long."""


class Thresholds(Model):
    """When users count as active, and data as stale."""

    active: Interval = 24 * HOUR
    """A user is active when seen within this time, as a duration such as 24h; inactive users are not synced. Not
    shorter than the longer one of intervals.marketHours and intervals.offHours."""

    stale: Interval = HOUR
    """A user's data older than this is stale and synced ahead of everything else, as a duration such as 1h. Longer than
    the shorter one of intervals.marketHours and intervals.offHours."""


class ConfigMapStore(Model):
    """User records in ConfigMaps, for up to 10,000 users."""

    name: StoreName
    """Name of a ConfigMap in the policy's namespace, at most 63 characters. Each key of its data is one user, the value
    a JSON record. Other ConfigMaps with the label sync.moonx.farm/store of this value are read as more of the same."""


class RedisStore(Model):
    """User records in Redis or Valkey, for any number of users."""

    url_secret_ref: Annotated[SecretKeyRef, Field(json_schema_extra=ATOMIC)]
    """Secret in the policy's namespace that holds the URL: redis:// or rediss://, redis+sentinel:// or
    redis+cluster://."""

    key_prefix: KeyPrefix
    """What the policy's keys begin with, such as portfolios: with a colon at its end. One prefix serves one policy."""


class Store(Model):
    """Where the records of users are; exactly one of configMap and redis."""

    RULES: ClassVar[tuple[Rule, ...]] = (STORE_RULE,)

    config_map: ConfigMapStore | None = None
    """Keep the records of users in ConfigMaps, which takes nothing but kubectl. For up to 10,000 users."""

    redis: RedisStore | None = None
    """Keep the records of users in Redis 7 or later, or in Valkey. For any number of users."""


class History(Model):
    """How many finished Jobs are kept for people to look at."""

    succeeded: Annotated[int, Field(ge=0, le=1000)] = 3
    """How many Jobs in which every batch succeeded are kept. Older ones are deleted."""

    failed: Annotated[int, Field(ge=0, le=1000)] = 5
    """How many Jobs with a failed batch are kept. Older ones are deleted."""


class Jobs(Model):
    """How batches become Jobs."""

    max_concurrent_batches: Annotated[int, Field(ge=1, le=10_000)] = 10
    """How many batches run at a time, at most, and so how many worker pods. More wait for a free place."""

    batches_per_job: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many batches one Job takes, at most; each is a completion index and a pod of its own. More batches in a Job
    mean fewer objects in the API server."""

    deadline: Interval = 10 * MINUTE
    """How long one batch may run, as a duration of at least 1s. A worker that runs longer is stopped, and its users are
    due again."""

    users_per_minute: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """How many users the whole policy hands to workers in any minute, at most. Absent: no limit."""

    history: History = History()
    """How many finished Jobs are kept for people to look at."""

    labels: Labels = Field(default={})
    """Labels put onto every Job and pod, such as a Kueue queue name or a cost centre. Keys under sync.moonx.farm/ are
    refused; labels that the operator sets itself keep the operator's value."""

    annotations: Annotations = Field(default={})
    """Annotations put onto every Job and pod. Keys under sync.moonx.farm/ are refused."""


class SyncPolicySpec(Model):
    """Which users are synced, how often, and by what."""

    RULES: ClassVar[tuple[Rule, ...]] = (STORE_GIVEN_RULE, WORKER_GIVEN_RULE, STALE_RULE, ACTIVE_RULE)
    EXPLAINED: ClassVar[tuple[str, ...]] = ("store", "worker")

    enabled: bool = True
    """Whether users are synced. false stops new batches at once and lets running ones finish: one patch rolls back."""

    intervals: Intervals = Intervals()
    """How often users are synced."""

    market_hours: MarketHours = MarketHours()
    """When intervals.marketHours applies; at all other times it is intervals.offHours."""

    thresholds: Thresholds = Thresholds()
    """When users count as active, and data as stale."""

    batch_size: Annotated[int, Field(ge=1, le=1000)] = 10
    """How many users one batch holds, at most. One worker pod syncs one batch."""

    store: Store
    """Where the records of users are; exactly one of configMap and redis. Required."""

    jobs: Jobs = Jobs()
    """How batches become Jobs: how many at a time, for how long, and what is put onto them."""

    worker: Worker
    """What syncs the users of one batch: http (the built-in worker calls your sync service), image (your own worker),
    or both (the built-in worker from a mirrored image). Required."""
