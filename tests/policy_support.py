"""SyncPolicies for tests: small good ones, and how to change them."""

from typing import Any, NamedTuple

Spec = dict[str, Any]

MINIMAL_SPEC: Spec = {
    "store": {"configMap": {"name": "user-activity"}},
    "worker": {"http": {"url": "http://sync.default.svc/users/{userId}/sync"}},
}

REDIS: Spec = {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": "portfolios:"}
IMAGE_WORKER: Spec = {"http": None, "image": "registry.example.com/team/worker:1"}


DEFAULTS: Spec = {
    "enabled": True,
    "intervals": {"marketHours": "5m", "offHours": "15m", "userMinimum": "1m"},
    "marketHours": {
        "start": "09:00",
        "end": "17:00",
        "timeZone": "Etc/UTC",
        "days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    },
    "thresholds": {"active": "24h", "stale": "1h"},
    "batchSize": 10,
    "jobs": {
        "maxConcurrentBatches": 10,
        "batchesPerJob": 1,
        "deadline": "10m",
        "history": {"succeeded": 3, "failed": 5},
        "labels": {},
        "annotations": {},
    },
    "worker": {
        "http": {"method": "POST", "timeout": "30s", "attempts": 3, "concurrency": 4},
        "image": "",
        "imagePullPolicy": "IfNotPresent",
        "command": [],
        "args": [],
        "podTemplate": {"name": ""},
    },
}
"""What the API server adds to the minimal spec."""


def _preset(market: str, off: str, stale: str, batch: int) -> Spec:
    return {
        "intervals": {"marketHours": market, "offHours": off},
        "thresholds": {"stale": stale},
        "batchSize": batch,
    }


PRESETS = {
    "Development": _preset("10m", "30m", "2h", 5),
    "Production": _preset("5m", "15m", "1h", 10),
    "High load": _preset("15m", "30m", "30m", 20),
}

EVERY_FIELD: Spec = {
    "enabled": True,
    "intervals": {"marketHours": "5m", "offHours": "15m", "userMinimum": "1m"},
    "marketHours": {"start": "22:00", "end": "04:30", "timeZone": "America/New_York", "days": ["Mon", "Fri"]},
    "thresholds": {"active": "24h", "stale": "1h"},
    "batchSize": 25,
    "store": {"redis": REDIS},
    "jobs": {
        "maxConcurrentBatches": 20,
        "batchesPerJob": 10,
        "deadline": "1h30m",
        "usersPerMinute": 600,
        "history": {"succeeded": 0, "failed": 10},
        "labels": {"kueue.x-k8s.io/queue-name": "sync", "team": ""},
        "annotations": {"example.com/cost-centre": "47 11"},
    },
    "worker": {
        "http": {
            "url": "https://sync.example.com:8443/users/{userId}/sync?wallet={wallet}",
            "method": "PUT",
            "body": {"user": "{userId}", "wallets": ["{wallet}"], "options": {"parts": [{"full": True, "depth": 2}]}},
            "headers": [{"name": "X-Source", "value": "periodic-sync"}],
            "bearerTokenSecretRef": {"name": "sync", "key": "token"},
            "timeout": "1s500ms",
            "attempts": 10,
            "concurrency": 100,
            "requestsPerSecond": 50,
        },
        "image": "registry.example.com:5000/mirror/periodic-sync@sha256:" + "0" * 64,
        "imagePullPolicy": "Always",
        "command": [],
        "args": [],
        "env": [
            {"name": "LOG_LEVEL", "value": "debug"},
            {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api", "optional": True}}},
            {"name": "REGION", "valueFrom": {"configMapKeyRef": {"name": "site", "key": "region"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}},
            {
                "name": "MEMORY",
                "valueFrom": {
                    "resourceFieldRef": {"containerName": "worker", "resource": "limits.memory", "divisor": "1Mi"}
                },
            },
        ],
        "envFrom": [{"prefix": "SITE_", "configMapRef": {"name": "site"}}, {"secretRef": {"name": "keys"}}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": 1, "memory": "128Mi"},
            "claims": [{"name": "device", "request": "first"}],
        },
        "podTemplate": {"name": "sync-nodes"},
    },
}


GOOD_CHANGES: dict[str, Spec] = {
    **{f"the preset {name}": change for name, change in PRESETS.items()},
    "intervals of one second": {"intervals": {"marketHours": "1s", "offHours": "1000ms"}},
    "a policy interval below userMinimum": {"intervals": {"marketHours": "10s", "userMinimum": "1m"}},
    "a duration of four parts": {"thresholds": {"active": "23h59m59s1000ms"}},
    "a window past midnight": {"marketHours": {"start": "22:00", "end": "04:00"}},
    "a zone with three parts": {"marketHours": {"timeZone": "America/Argentina/ComodRivadavia"}},
    "a zone with a hyphen": {"marketHours": {"timeZone": "America/Port-au-Prince"}},
    "a zone of the form Etc/GMT+5": {"marketHours": {"timeZone": "Etc/GMT+5"}},
    "a zone that is an abbreviation": {"marketHours": {"timeZone": "EST5EDT"}},
    "an active threshold as long as the longer interval": {"thresholds": {"active": "15m"}},
    "the largest batches": {"batchSize": 1000, "jobs": {"batchesPerJob": 1000}},
    "a history of nothing": {"jobs": {"history": {"succeeded": 0, "failed": 0}}},
    "a store's name of 63": {"store": {"configMap": {"name": "u" * 63}}},
    "a worker from one's own image": {"worker": {**IMAGE_WORKER, "command": ["sh", "-c", "exit 0"], "args": ["-v"]}},
    "the built-in worker from a mirrored image": {"worker": {"image": "localhost/mirror/periodic-sync:1.0_a"}},
    "a body as YAML": {"worker": {"http": {"body": {"user": "{userId}", "deep": {"list": [1, None, True]}}}}},
    "a body as a string of JSON": {"worker": {"http": {"body": '{"user": "{userId}"}'}}},
    "a body that is a list": {"worker": {"http": {"body": ["{userId}"]}}},
    "a URL with an IPv6 address": {"worker": {"http": {"url": "http://[fd00::1]:8080/{userId}"}}},
    "a URL with nothing but a host": {"worker": {"http": {"url": "http://sync"}}},
    "a time-out in milliseconds": {"worker": {"http": {"timeout": "1500ms"}}},
    "resources of every spelling": {
        "worker": {"resources": {"limits": {"cpu": 2, "memory": "1.5Gi", "x.io/gpu": "1"}}}
    },
    "labels with and without a prefix": {"jobs": {"labels": {"kueue.x-k8s.io/queue-name": "q", "team": ""}}},
}


class Bad(NamedTuple):
    """A spec that is refused: what is wrong with it, and words that the message must hold.

    `by_operator`: whether the operator, too, has to refuse it, which is the case where it could not work with it.
    """

    case: str
    change: Spec
    words: tuple[str, ...]
    by_operator: bool = True


def spec_with(change: Spec) -> Spec:
    """The minimal spec with a change laid over it, as a merge patch is: null takes away."""
    return merged(MINIMAL_SPEC, change)


def merged(base: Spec, change: Spec) -> Spec:
    result = dict(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result[key] if isinstance(result.get(key), dict) else {}, value)
        else:
            result[key] = value
    return result


def policy_body(spec: Spec, *, name: str = "portfolios", namespace: str = "default") -> Spec:
    """The resource as a client sends it."""
    return {
        "apiVersion": "sync.moonx.farm/v1alpha1",
        "kind": "SyncPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def largest_spec() -> Spec:
    """Every list and text as long as the schema lets it be, for the cost of the rules that read them."""
    name = "n" * 253
    keys = [f"k{number:03}{'a' * 59}.{'b' * 63}.{'c' * 63}.{'d' * 61}/{'e' * 63}" for number in range(32)]
    secret = {"secretKeyRef": {"name": name, "key": name}}
    http = {
        "url": f"http://{'h' * 1000}/{'p' * 1040}",
        "headers": [{"name": f"H{number:03}{'x' * 124}", "value": "v" * 4096} for number in range(32)],
    }
    worker = {
        "http": http,
        "image": f"registry.example.com/{'a' * 380}:{'t' * 100}",
        "env": [{"name": f"E{number:03}{'N' * 249}", "valueFrom": secret} for number in range(128)],
        "envFrom": [{"prefix": "p" * 253, "secretRef": {"name": name}}] * 32,
        "resources": {"requests": dict.fromkeys(keys, "1" * 60), "limits": dict.fromkeys(keys, "1" * 60 + "k")},
        "podTemplate": {"name": name},
    }
    jobs = {"labels": dict.fromkeys(keys, "v" * 63), "annotations": dict.fromkeys(keys, "v" * 16384)}
    return spec_with({"jobs": jobs, "worker": worker})
