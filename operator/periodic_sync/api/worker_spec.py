"""`spec.worker`: what syncs the users of one batch."""

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue, WithJsonSchema

from periodic_sync.api.container import ATOMIC, EnvFrom, EnvVar, Resources
from periodic_sync.api.durations import SECOND
from periodic_sync.api.model import Model, PlainDict
from periodic_sync.api.rules import (
    AUTHORIZATION_RULE,
    COMMAND_RULE,
    HEADER_NAMES_RULE,
    HEADERS_OF_THE_WORKER_RULE,
    WORKER_RULE,
    Rule,
    rules,
)
from periodic_sync.api.shapes import CallTime, DataKey, ImageName, ObjectName, OptionalObjectName, Shape

ATOMIC_LIST = {"x-kubernetes-list-type": "atomic"}
MAP_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}

_HOST = r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])"
_PORT = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
# Visible ASCII, with braces only around what the worker fills in. Not in the host: a user's record must never choose
# who gets the bearer token.
_PATH = r"([!-z|~]|\{(userId|wallet|policy|batch|priority)\})*"

Url = Annotated[
    str,
    Shape(
        rf"https?://{_HOST}(:{_PORT})?([/?#]{_PATH})?",
        "write an http:// or https:// address with a host, such as http://sync.default.svc/users/{userId}/sync; "
        "{userId}, {wallet}, {policy}, {batch} and {priority} are filled in after the host; other braces, spaces, "
        "and a user name or password are refused",
        2048,
    ),
]
HeaderName = Annotated[
    str,
    Shape(
        "[A-Za-z0-9!#$%&'*+.^_`|~-]+",
        "write the name of an HTTP header: letters, digits and '-', no spaces or colon, such as X-Request-Source",
        128,
    ),
]
HeaderValue = Annotated[
    str, Shape(r"[^\x00-\x08\x0a-\x1f\x7f]*", "write the header's value on one line, without control characters", 4096)
]


def _check_template(value: JsonValue) -> JsonValue:
    """See to it that a string holds JSON. It stays a string here, since the worker reads it."""
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"write a JSON template, as YAML or as a string that holds JSON, with placeholders such as {{userId}} "
            f"inside quoted strings only; this string is not JSON: {error}"
        ) from None
    return value


def _any_json(levels: int) -> dict[str, Any]:
    """The schema of any JSON value that is nested so many levels deep, at most.

    Without that limit one policy could stop the operator for all: the API server takes 10,000 levels, and Python can't
    read 1,000. A node without a type takes any value, and the bounds below apply to it as far as they fit.
    """
    bounds: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True, "maxLength": 65_536}
    if levels == 0:
        return bounds | {"maxProperties": 0, "maxItems": 0}
    inside = _any_json(levels - 1)
    return bounds | {"maxProperties": 64, "maxItems": 256, "additionalProperties": inside, "items": inside}


JsonTemplate = Annotated[JsonValue, AfterValidator(_check_template), WithJsonSchema(_any_json(4))]
"""Any JSON. CEL can't look into a field without a type, so what a string holds is checked by the operator."""


class SecretKeyRef(Model):
    """A key of a Secret in the policy's namespace."""

    name: ObjectName
    """Name of the Secret, in the policy's namespace."""

    key: DataKey
    """Key in the Secret's data."""


class Header(Model):
    """A header of each call."""

    name: HeaderName
    """Name of the header."""

    value: HeaderValue
    """Value of the header, readable by whoever may read the policy: keep tokens in bearerTokenSecretRef."""


class Http(Model):
    """How the built-in worker calls a sync service."""

    RULES: ClassVar[tuple[Rule, ...]] = (AUTHORIZATION_RULE,)

    url: Url
    """Address to call, once for each user of a batch. {userId} and {wallet} are filled in, percent-encoded, as are
    {policy}, {batch} and {priority}. An answer of 200 to 299 means that the user is synced; the call must be safe to
    repeat."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    """HTTP method of the calls."""

    body: JsonTemplate | None = None
    """Template of a JSON body, as YAML or as a string that holds JSON (in which a null survives kubectl apply). In its
    strings the placeholders of url are filled in, and the string "{tokens}" becomes the list of tokens that changed.
    YAML may be nested four levels deep, the string deeper. Absent: POST, PUT and PATCH send {"userId", "wallet",
    "priority", "tokens"}, other methods nothing."""

    headers: Annotated[
        tuple[Header, ...],
        Field(max_length=32, json_schema_extra=MAP_BY_NAME | rules(HEADER_NAMES_RULE, HEADERS_OF_THE_WORKER_RULE)),
    ] = Field(default_factory=tuple)
    """Headers to send with each call, beside those of the worker itself."""

    bearer_token_secret_ref: Annotated[SecretKeyRef, Field(json_schema_extra=ATOMIC)] | None = None
    """Secret whose value is sent as Authorization: Bearer. The operator does not read it: the worker's pod gets it,
    and waits while the Secret or the key is missing."""

    timeout: CallTime = 30 * SECOND
    """How long one call may take, as a duration such as 30s. A call that takes longer has failed and is tried again."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """How many times a user is tried within one batch, the first time included. After that the user has failed."""

    concurrency: Annotated[int, Field(ge=1, le=100)] = 4
    """How many calls one worker pod has open at a time."""

    requests_per_second: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """How many calls one worker pod starts per second, at most. Absent: no limit. The load on the sync service is up to
    jobs.maxConcurrentBatches times this."""


class PodTemplateRef(Model):
    """A core/v1 PodTemplate in the policy's namespace."""

    name: OptionalObjectName = ""
    """Name of the PodTemplate, in the policy's namespace. Empty: none is used."""


class Worker(Model):
    """What syncs the users of one batch: http, or image, or both (the built-in worker from a mirrored image)."""

    RULES: ClassVar[tuple[Rule, ...]] = (WORKER_RULE, COMMAND_RULE)

    http: Http | None = None
    """Use the built-in worker, which calls your sync service once for each user."""

    image: ImageName = ""
    """Image of your own worker; beside http, where to pull the built-in worker from. It finds its batch in the file
    that the variable SYNC_BATCH_FILE names. Empty: the operator's own image."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled."""

    command: Annotated[
        tuple[Annotated[str, Field(max_length=65536)], ...], Field(max_length=128, json_schema_extra=ATOMIC_LIST)
    ] = ()
    """Command of your own worker, in place of its image's entrypoint. Refused beside http."""

    args: Annotated[
        tuple[Annotated[str, Field(max_length=65536)], ...], Field(max_length=256, json_schema_extra=ATOMIC_LIST)
    ] = ()
    """Arguments of your own worker, in place of its image's. Refused beside http."""

    env: Annotated[
        tuple[Annotated[dict[str, object], PlainDict(EnvVar)], ...],
        Field(max_length=128, json_schema_extra=MAP_BY_NAME),
    ] = Field(default_factory=tuple)
    """Environment variables of the worker's container, as in any container."""

    env_from: Annotated[
        tuple[Annotated[dict[str, object], PlainDict(EnvFrom)], ...],
        Field(max_length=32, json_schema_extra=ATOMIC_LIST),
    ] = Field(default_factory=tuple)
    """ConfigMaps and Secrets all keys of which become environment variables, as in any container."""

    resources: Annotated[dict[str, object], PlainDict(Resources)] = Field(default_factory=dict)
    """CPU and memory of the worker's container, as in any container."""

    pod_template: PodTemplateRef = PodTemplateRef()
    """A core/v1 PodTemplate for all else: nodes, volumes, service account, security context. Its container called
    worker is the base that the fields above override; what the operator itself sets wins over both."""
