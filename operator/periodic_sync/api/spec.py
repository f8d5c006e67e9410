"""`spec` of a SyncPolicy. Durations are whole milliseconds in these models and GEP-2257 strings in the resource."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from periodic_sync.api.durations import HOUR, MINUTE, SECOND, Duration


class Model(BaseModel):
    """What all models of the resource share: camelCase outside, snake_case inside, immutable, unknown fields kept out."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class Intervals(Model):
    market_hours: Duration = 5 * MINUTE
    off_hours: Duration = 15 * MINUTE
    user_minimum: Duration = MINUTE


class MarketHours(Model):
    start: str = "09:00"
    end: str = "17:00"
    time_zone: str = "Etc/UTC"
    days: tuple[str, ...] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Thresholds(Model):
    active: Duration = 24 * HOUR
    stale: Duration = HOUR


class ConfigMapStore(Model):
    name: str


class SecretKeyRef(Model):
    name: str
    key: str


class RedisStore(Model):
    url_secret_ref: SecretKeyRef
    key_prefix: str


class Store(Model):
    config_map: ConfigMapStore | None = None
    redis: RedisStore | None = None


class History(Model):
    succeeded: int = 3
    failed: int = 5


class Jobs(Model):
    max_concurrent_batches: int = 10
    batches_per_job: int = 1
    deadline: Duration = 10 * MINUTE
    users_per_minute: int | None = None
    history: History = History()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Header(Model):
    name: str
    value: str


class Http(Model):
    url: str
    method: str = "POST"
    body: str | None = None
    headers: tuple[Header, ...] = ()
    bearer_token_secret_ref: SecretKeyRef | None = None
    timeout: Duration = 30 * SECOND
    attempts: int = 3
    concurrency: int = 4
    requests_per_second: int | None = None


class PodTemplateRef(Model):
    name: str = ""


class Worker(Model):
    http: Http | None = None
    image: str = ""
    image_pull_policy: str = "IfNotPresent"
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[dict[str, object], ...] = ()
    env_from: tuple[dict[str, object], ...] = ()
    resources: dict[str, object] = Field(default_factory=dict)
    pod_template: PodTemplateRef = PodTemplateRef()


class SyncPolicySpec(Model):
    enabled: bool = True
    intervals: Intervals = Intervals()
    market_hours: MarketHours = MarketHours()
    thresholds: Thresholds = Thresholds()
    batch_size: int = 10
    store: Store
    jobs: Jobs = Jobs()
    worker: Worker
