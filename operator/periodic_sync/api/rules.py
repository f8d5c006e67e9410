"""Rules that the API server checks with CEL, each with the sentence a person reads when it is broken."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from periodic_sync.api.durations import DURATION_PATTERN

RULES_KEY = "x-kubernetes-validations"


@dataclass(frozen=True)
class Rule:
    """One CEL rule of the schema.

    `holds` is the same rule in Python, given only where the operator could not work with a resource that breaks it:
    such a resource can still reach the operator through an older CRD in the cluster.
    """

    cel: str
    message: str
    field_path: str = ""
    message_expression: str = ""
    holds: Callable[[Any], bool] | None = None

    def as_schema(self) -> dict[str, str]:
        entries = {
            "rule": self.cel,
            "message": self.message,
            "messageExpression": self.message_expression,
            "fieldPath": self.field_path,
        }
        return {key: text for key, text in entries.items() if text}


def rules(*given: Rule) -> dict[str, Any]:
    """The rules of one node, as the schema has them."""
    return {RULES_KEY: [rule.as_schema() for rule in given]}


def cel_text(text: str) -> str:
    """A CEL literal for a regular expression: raw, so that backslashes reach the matcher as they are written here."""
    if '"' in text:
        raise ValueError(f"a double quote would end the CEL literal: {text}")
    return f'r"{text}"'


def is_duration(path: str) -> str:
    return f"{path}.matches({cel_text(DURATION_PATTERN)})"


def _guarded(condition: str, *durations: str) -> str:
    """`condition`, or any of the durations being none.

    The API server runs every rule, also where a field's own rule has already failed. Without the guard a single typo
    would bring a second message, one about a failed CEL evaluation, which explains nothing.
    """
    malformed = " || ".join(f"!{is_duration(path)}" for path in durations)
    return f"{malformed} || {condition}"


_MARKET, _OFF = "self.intervals.marketHours", "self.intervals.offHours"
_ACTIVE, _STALE = "self.thresholds.active", "self.thresholds.stale"

NAME_RULE = Rule(
    cel=f"self.metadata.name.size() <= 40 && self.metadata.name.matches({cel_text('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')})",
    message=(
        "metadata.name must be at most 40 characters of a-z, 0-9 and '-', beginning and ending with a letter or digit "
        "(no dots), since the names of the policy's Jobs are made from it"
    ),
)

WINDOW_RULE = Rule(
    cel="self.start != self.end",
    message=(
        "marketHours.start and marketHours.end must differ, since a window of no length never opens: "
        "for one interval around the clock set intervals.marketHours and intervals.offHours to the same"
    ),
    field_path=".end",
    holds=lambda hours: bool(hours.start != hours.end),
)

STALE_RULE = Rule(
    cel=_guarded(
        f"duration({_STALE}) > duration({_MARKET}) || duration({_STALE}) > duration({_OFF})", _MARKET, _OFF, _STALE
    ),
    message=(
        "thresholds.stale must be longer than the shorter of intervals.marketHours and intervals.offHours, "
        "or every user is stale at all times: raise thresholds.stale or shorten that interval"
    ),
    message_expression=(
        f"'thresholds.stale (' + {_STALE} + ') must be longer than the shorter of intervals.marketHours (' + {_MARKET}"
        f" + ') and intervals.offHours (' + {_OFF} + '), or every user is stale at all times: "
        "raise thresholds.stale or shorten that interval'"
    ),
    field_path=".thresholds.stale",
)

ACTIVE_RULE = Rule(
    cel=_guarded(
        f"duration({_ACTIVE}) >= duration({_MARKET}) && duration({_ACTIVE}) >= duration({_OFF})", _MARKET, _OFF, _ACTIVE
    ),
    message=(
        "thresholds.active must not be shorter than the longer of intervals.marketHours and intervals.offHours, "
        "or users stop being active before their next sync: raise thresholds.active or shorten that interval"
    ),
    message_expression=(
        f"'thresholds.active (' + {_ACTIVE} + ') must not be shorter than the longer of intervals.marketHours (' + "
        f"{_MARKET} + ') and intervals.offHours (' + {_OFF} + '), or users stop being active before their next sync: "
        "raise thresholds.active or shorten that interval'"
    ),
    field_path=".thresholds.active",
)

STORE_RULE = Rule(
    cel="has(self.configMap) != has(self.redis)",
    message=(
        "store must name exactly one of configMap and redis, such as configMap: {name: user-activity}; "
        "remove one where both are given"
    ),
    holds=lambda store: (store.config_map is None) != (store.redis is None),
)

WORKER_RULE = Rule(
    cel="has(self.http) || self.image != ''",
    message=(
        "worker needs http (the built-in worker calls your sync service, such as "
        "http: {url: 'http://sync.default.svc/users/{userId}/sync'}) or image (your own worker's image)"
    ),
    holds=lambda worker: worker.http is not None or worker.image != "",
)

COMMAND_RULE = Rule(
    cel="!has(self.http) || (self.command.size() == 0 && self.args.size() == 0)",
    message=(
        "worker.command and worker.args belong to a worker of your own and would replace the built-in one that "
        "worker.http configures: remove them, or remove worker.http"
    ),
    holds=lambda worker: worker.http is None or not (worker.command or worker.args),
)

AUTHORIZATION_RULE = Rule(
    cel=(
        "!has(self.bearerTokenSecretRef) || !has(self.headers) || "
        "self.headers.all(h, h.name.lowerAscii() != 'authorization')"
    ),
    message=(
        "worker.http.bearerTokenSecretRef already sends the Authorization header: "
        "remove that header from worker.http.headers, or remove bearerTokenSecretRef"
    ),
    field_path=".headers",
)

STORE_GIVEN_RULE = Rule(
    cel="has(self.store)",
    message="spec.store is missing: say where the user records are, such as store: {configMap: {name: user-activity}}",
)

WORKER_GIVEN_RULE = Rule(
    cel="has(self.worker)",
    message=(
        "spec.worker is missing: say what syncs the users, such as "
        "worker: {http: {url: 'http://sync.default.svc/users/{userId}/sync'}}"
    ),
)

DAYS_RULE = Rule(
    cel="self.size() > 0",
    message=(
        "marketHours.days must name at least one weekday, such as [Mon, Tue, Wed, Thu, Fri]: "
        "for one interval on all days set intervals.marketHours and intervals.offHours to the same"
    ),
)

DAYS_ONCE_RULE = Rule(
    cel="self.all(day, self.exists_one(other, other == day))",
    message="name each weekday once, such as [Mon, Tue, Wed, Thu, Fri]",
)

HEADERS_OF_THE_WORKER_RULE = Rule(
    cel="!self.exists(h, h.name.lowerAscii() in ['connection', 'content-length', 'transfer-encoding'])",
    message="Connection, Content-Length and Transfer-Encoding are set by the worker itself: remove them",
)

HEADER_NAMES_RULE = Rule(
    cel="self.all(h, self.exists_one(other, other.name.lowerAscii() == h.name.lowerAscii()))",
    message="the same header is given twice (upper and lower case do not differ in header names): give each one once",
)

ENV_SOURCE_RULE = Rule(
    cel="!has(self.value) || !has(self.valueFrom)",
    message="an environment variable takes value or valueFrom, not both: remove one of them",
)

ENV_VALUE_FROM_RULE = Rule(
    cel=(
        "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), has(self.resourceFieldRef)]"
        ".exists_one(given, given)"
    ),
    message="valueFrom takes exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
)

ENV_FROM_RULE = Rule(
    cel="has(self.configMapRef) != has(self.secretRef)",
    message="each entry of envFrom takes exactly one of configMapRef and secretRef, such as {secretRef: {name: keys}}",
)

_REQUEST, _LIMIT = "string(self.requests[key])", "string(self.limits[key])"

REQUESTS_RULE = Rule(
    cel=(
        "!has(self.requests) || !has(self.limits) || self.requests.all(key, !(key in self.limits) || "
        f"!isQuantity({_REQUEST}) || !isQuantity({_LIMIT}) || "
        f"quantity({_REQUEST}).compareTo(quantity({_LIMIT})) <= 0)"
    ),
    message="resources.requests must not be more than resources.limits: raise the limit or lower the request",
)
