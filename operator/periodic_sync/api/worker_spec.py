"""`spec.worker`: what syncs the users of one batch."""

import json
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, JsonValue, WithJsonSchema

from periodic_sync.api.container import ATOMIC, EnvFrom, EnvVar, Resources
from periodic_sync.api.durations import SECOND
from periodic_sync.api.model import Model, PlainDict
from periodic_sync.api.rules import AUTHORIZATION_RULE, COMMAND_RULE, HEADER_NAMES_RULE, RULES_KEY, WORKER_RULE, Rule
from periodic_sync.api.shapes import CallTime, DataKey, ImageName, ObjectName, OptionalObjectName, Shape

ATOMIC_LIST = {"x-kubernetes-list-type": "atomic"}
MAP_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}

_HOST = r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])"
_PLACES = r"([^\s{}]|\{userId\}|\{wallet\})*"

Url = Annotated[
    str,
    Shape(
        rf"https?://([^\s{{}}/?#@]+@)?{_HOST}(:[0-9]{{1,5}})?([/?#]{_PLACES})?",
        "write the address to call for each user, http:// or https:// with a host, such as "
        "http://sync.default.svc/users/{userId}/sync; {userId} and {wallet} are the only placeholders, "
        "and stand after the host",
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


def _read_template(value: JsonValue) -> JsonValue:
    """Take a string that holds JSON for that JSON, so that a template can be written either way."""
    if not isinstance(value, str):
        return value
    try:
        template: JsonValue = json.loads(value)
    except ValueError as error:
        raise ValueError(
            f"write a JSON template, as YAML or as a string that holds JSON, with {{userId}} and {{wallet}} inside "
            f"quoted strings only; this string is not JSON: {error}"
        ) from None
    return template


JsonTemplate = Annotated[
    JsonValue, BeforeValidator(_read_template), WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})
]
"""Any JSON. CEL cannot look into a field without a type, so what a string holds is checked by the operator."""


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
    """Address to call, once for each user of a batch. {userId} and {wallet} are filled in, percent-encoded. An answer
    of 200 to 299 means that the user is synced; the call must be safe to repeat."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    """HTTP method of the calls."""

    body: JsonTemplate | None = None
    """Template of a JSON body, as YAML or as a string that holds JSON. In its strings {userId} and {wallet} are filled
    in. Absent: no body is sent."""

    headers: Annotated[
        tuple[Header, ...],
        Field(max_length=32, json_schema_extra={**MAP_BY_NAME, RULES_KEY: [HEADER_NAMES_RULE.as_schema()]}),
    ] = Field(default_factory=tuple)
    """Headers to send with each call, beside those of the worker itself."""

    bearer_token_secret_ref: Annotated[SecretKeyRef, Field(json_schema_extra=ATOMIC)] | None = None
    """Secret whose value is sent as Authorization: Bearer. The operator does not read it: the worker's pod mounts it,
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
