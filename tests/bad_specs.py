"""A table of SyncPolicies that are refused, each with the words that a person has to read."""

from bad_workers import BAD_WORKERS, OBJECT, env, http
from policy_support import REDIS, Bad, Spec

_LEAST = "a duration of at least 1s, with its unit (h, m, s or ms), such as 5m"
_TIME = "a time of day as HH:MM on the 24-hour clock"
_ZONE = "the name of a time zone as in the IANA database"
_ONE_STORE = "exactly one of configMap and redis"
_STORE_NAME = "at most 63 characters"
_KEYS = "write each key as a name with an optional prefix"


def _interval(value: object) -> Spec:
    return {"intervals": {"marketHours": value}}


def _hours(**changes: object) -> Spec:
    return {"marketHours": changes}


DURATIONS = (
    Bad("an interval of zero", _interval("0s"), ("spec.intervals.marketHours", _LEAST)),
    Bad("a negative interval", _interval("-5m"), ("spec.intervals.marketHours", _LEAST)),
    Bad("an interval under a second", _interval("999ms"), ("spec.intervals.marketHours", _LEAST)),
    Bad("an interval without a unit", _interval("300000"), ("spec.intervals.marketHours", _LEAST)),
    Bad("an interval as a number", _interval(300000), ("spec.intervals.marketHours", "string"), False),
    Bad("an interval in days", {"intervals": {"offHours": "1d"}}, ("spec.intervals.offHours", _LEAST)),
    Bad("an interval with a fraction", {"intervals": {"offHours": "1.5h"}}, ("spec.intervals.offHours", _LEAST)),
    Bad("an interval in words", {"intervals": {"userMinimum": "5 minutes"}}, ("spec.intervals.userMinimum", _LEAST)),
    Bad("an empty interval", _interval(""), ("spec.intervals.marketHours", _LEAST)),
    Bad("a deadline of zero", {"jobs": {"deadline": "0s"}}, ("spec.jobs.deadline", _LEAST)),
    Bad("a deadline under a second", {"jobs": {"deadline": "500ms"}}, ("spec.jobs.deadline", _LEAST)),
    Bad("a time-out of zero", http(timeout="0s"), ("spec.worker.http.timeout", "longer than zero", "such as 30s")),
    Bad("a negative time-out", http(timeout="-1s"), ("spec.worker.http.timeout", "longer than zero")),
    Bad("a stale threshold of zero", {"thresholds": {"stale": "0s"}}, ("spec.thresholds.stale", _LEAST)),
    Bad(
        "a stale threshold as long as the shorter interval",
        {"intervals": {"marketHours": "30m", "offHours": "1h"}, "thresholds": {"stale": "30m"}},
        ("thresholds.stale (30m) must be longer than the shorter of intervals.marketHours (30m)", "raise"),
        False,
    ),
    Bad(
        "a stale threshold shorter than both intervals",
        {"thresholds": {"stale": "1m"}},
        ("thresholds.stale (1m) must be longer", "every user is stale at all times"),
        False,
    ),
    Bad(
        "an active threshold shorter than the longer interval",
        {"intervals": {"offHours": "2h"}, "thresholds": {"active": "1h", "stale": "3h"}},
        ("thresholds.active (1h) must not be shorter than the longer", "intervals.offHours (2h)", "raise"),
        False,
    ),
)

MARKET_HOURS = (
    Bad("market hours that start when they end", _hours(start="09:00", end="09:00"), ("must differ", "never opens")),
    Bad("a start at the default end", _hours(start="17:00"), ("must differ",)),
    Bad("a time past midnight", _hours(end="24:00"), ("spec.marketHours.end", _TIME)),
    Bad("a time with minute 60", _hours(start="09:60"), ("spec.marketHours.start", _TIME)),
    Bad("a time of one digit", _hours(start="9:00"), ("spec.marketHours.start", _TIME)),
    Bad("a time on the 12-hour clock", _hours(end="5:00 pm"), ("spec.marketHours.end", _TIME)),
    Bad("a time as a number", _hours(start=9), ("spec.marketHours.start", "string")),
    Bad(
        "an unknown weekday", _hours(days=["Mon", "Someday"]), ("spec.marketHours.days[1]", '"Someday"', '"Sun"'), False
    ),
    Bad("a weekday in full", _hours(days=["Monday"]), ("spec.marketHours.days[0]", '"Monday"', '"Mon"'), False),
    Bad("a weekday in lower case", _hours(days=["mon"]), ("spec.marketHours.days[0]", '"mon"', '"Mon"'), False),
    Bad(
        "a repeated weekday",
        _hours(days=["Mon", "Tue", "Mon"]),
        ("days[2]", "Duplicate value", "name each weekday once"),
        False,
    ),
    Bad("no weekday at all", _hours(days=[]), ("spec.marketHours.days", "at least one weekday"), False),
    Bad("weekdays as one string", _hours(days="Mon-Fri"), ("spec.marketHours.days", "array"), False),
    Bad("an offset for a time zone", _hours(timeZone="+02:00"), ("spec.marketHours.timeZone", _ZONE)),
    Bad("a zone as an offset of UTC", _hours(timeZone="UTC+2"), ("spec.marketHours.timeZone", _ZONE)),
    Bad("a zone in lower case", _hours(timeZone="europe/berlin"), ("spec.marketHours.timeZone", _ZONE)),
    Bad("a zone with a space", _hours(timeZone="America/New York"), ("spec.marketHours.timeZone", _ZONE)),
    Bad("a zone that is a path", _hours(timeZone="../etc/passwd"), ("spec.marketHours.timeZone", _ZONE)),
    Bad("an empty zone", _hours(timeZone=""), ("spec.marketHours.timeZone", _ZONE)),
)

NUMBERS = (
    Bad("batches of nobody", {"batchSize": 0}, ("spec.batchSize", "greater than or equal to 1")),
    Bad("batches that are too large", {"batchSize": 1001}, ("spec.batchSize", "less than or equal to 1000")),
    Bad("a batch size in quotes", {"batchSize": "10"}, ("spec.batchSize", "integer"), False),
    Bad("a batch size with a fraction", {"batchSize": 2.5}, ("spec.batchSize", "integer")),
    Bad("enabled in quotes", {"enabled": "yes"}, ("spec.enabled", "boolean"), False),
    Bad("no batches at a time", {"jobs": {"maxConcurrentBatches": 0}}, ("spec.jobs.maxConcurrentBatches", "1")),
    Bad("no batches in a Job", {"jobs": {"batchesPerJob": 0}}, ("spec.jobs.batchesPerJob", "1")),
    Bad("too many batches in a Job", {"jobs": {"batchesPerJob": 1001}}, ("spec.jobs.batchesPerJob", "1000")),
    Bad("no users per minute", {"jobs": {"usersPerMinute": 0}}, ("spec.jobs.usersPerMinute", "1")),
    Bad("a negative history", {"jobs": {"history": {"failed": -1}}}, ("spec.jobs.history.failed", "0")),
    Bad("no attempts", http(attempts=0), ("spec.worker.http.attempts", "greater than or equal to 1")),
    Bad("eleven attempts", http(attempts=11), ("spec.worker.http.attempts", "less than or equal to 10")),
    Bad("no calls at once", http(concurrency=0), ("spec.worker.http.concurrency", "1")),
    Bad("too many calls at once", http(concurrency=101), ("spec.worker.http.concurrency", "100")),
    Bad("no requests per second", http(requestsPerSecond=0), ("spec.worker.http.requestsPerSecond", "1")),
)

STORES = (
    Bad("no store", {"store": None}, ("spec.store is missing", "such as store: {configMap")),
    Bad("an empty store", {"store": {"configMap": None}}, ("spec.store", _ONE_STORE)),
    Bad("two stores", {"store": {"redis": REDIS}}, ("spec.store", _ONE_STORE)),
    Bad("a store without a name", {"store": {"configMap": {"name": None}}}, ("spec.store.configMap.name", "required")),
    Bad("a store's name with capitals", {"store": {"configMap": {"name": "Users"}}}, ("configMap.name", _STORE_NAME)),
    Bad("a store's name of 64", {"store": {"configMap": {"name": "u" * 64}}}, ("configMap.name", _STORE_NAME)),
    Bad("a store's name that is empty", {"store": {"configMap": {"name": ""}}}, ("configMap.name", _STORE_NAME)),
    Bad(
        "a Redis store without a key",
        {"store": {"configMap": None, "redis": {**REDIS, "urlSecretRef": {"name": "redis"}}}},
        ("spec.store.redis.urlSecretRef.key", "required"),
    ),
    Bad(
        "a Secret's name with an underscore",
        {"store": {"configMap": None, "redis": {**REDIS, "urlSecretRef": {"name": "my_redis", "key": "url"}}}},
        ("spec.store.redis.urlSecretRef.name", OBJECT),
    ),
    Bad(
        "an empty key prefix",
        {"store": {"configMap": None, "redis": {**REDIS, "keyPrefix": ""}}},
        ("spec.store.redis.keyPrefix", "1 to 128 letters"),
    ),
    Bad(
        "a key prefix with a hash tag",
        {"store": {"configMap": None, "redis": {**REDIS, "keyPrefix": "{portfolios}:"}}},
        ("spec.store.redis.keyPrefix", "such as portfolios:"),
    ),
)

METADATA = (
    Bad(
        "a label of the operator's own",
        {"jobs": {"labels": {"sync.moonx.farm/policy": "other"}}},
        ("spec.jobs.labels", "keys that begin with sync.moonx.farm/ belong to the operator"),
        False,
    ),
    Bad(
        "an annotation of the operator's own",
        {"jobs": {"annotations": {"sync.moonx.farm/x": "y"}}},
        ("spec.jobs.annotations", "keys that begin with sync.moonx.farm/ belong to the operator"),
        False,
    ),
    Bad("a label with a space in its key", {"jobs": {"labels": {"cost centre": "x"}}}, ("jobs.labels", _KEYS), False),
    Bad(
        "an annotation with two slashes", {"jobs": {"annotations": {"a/b/c": "x"}}}, ("jobs.annotations", _KEYS), False
    ),
    Bad(
        "a label with a space in its value",
        {"jobs": {"labels": {"team": "growth hacking"}}},
        ("spec.jobs.labels", "write each label's value as at most 63"),
        False,
    ),
    Bad(
        "a label that Kubernetes sets", {"jobs": {"labels": {"job-name": "x"}}}, ("jobs.labels", "by Kubernetes"), False
    ),
    Bad("a label that is a number", {"jobs": {"labels": {"team": 7}}}, ("spec.jobs.labels.team", "string")),
)

BAD_SPECS = (*DURATIONS, *MARKET_HOURS, *NUMBERS, *STORES, *BAD_WORKERS, *METADATA)

TYPOS = (
    Bad("batchsize in lower case", {"batchsize": 5}, ('unknown field "spec.batchsize"',)),
    Bad("market_hours in snake case", {"intervals": {"market_hours": "5m"}}, ('"spec.intervals.market_hours"',)),
    Bad("a field of another section", {"maxConcurrentBatches": 5}, ('unknown field "spec.maxConcurrentBatches"',)),
    Bad("an unknown store", {"store": {"postgres": {}}}, ('unknown field "spec.store.postgres"',)),
    Bad("headers as a map", http(header={"X-A": "1"}), ('unknown field "spec.worker.http.header"',)),
    Bad("a misspelt env", env({"name": "A", "val": "1"}), ('unknown field "spec.worker.env[0].val"',)),
    Bad("a misspelt resource kind", {"worker": {"resources": {"limit": {}}}}, ('"spec.worker.resources.limit"',)),
)
