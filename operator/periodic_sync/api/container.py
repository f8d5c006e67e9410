"""The parts of a container that `spec.worker` takes as they stand in Kubernetes: env, envFrom and resources."""

from typing import Annotated, ClassVar

from pydantic import Field

from periodic_sync.api.model import Model
from periodic_sync.api.rules import ENV_FROM_RULE, ENV_SOURCE_RULE, ENV_VALUE_FROM_RULE, REQUESTS_RULE, Rule
from periodic_sync.api.shapes import DataKey, ObjectName, QuantityShape, Shape

ATOMIC = {"x-kubernetes-map-type": "atomic"}

EnvName = Annotated[
    str, Shape(r"[!-<>-~]+", "write the name of an environment variable: no spaces and no '=', such as LOG_LEVEL", 253)
]
Quantity = Annotated[object, QuantityShape()]


class KeySelector(Model):
    """One key of an object in the policy's namespace."""

    name: ObjectName
    """Name of the object, in the policy's namespace."""

    key: DataKey
    """Key in the object's data."""

    optional: bool | None = None
    """Whether the pod starts without the variable when the object or the key is missing. Otherwise it waits."""


class FieldSelector(Model):
    """A field of the worker's own pod."""

    api_version: Annotated[str, Field(max_length=63)] | None = None
    """Version of the pod's schema that fieldPath is written for; v1 when absent."""

    field_path: Annotated[str, Field(min_length=1, max_length=512)]
    """Path of the field, such as metadata.name, spec.nodeName or status.podIP."""


class ResourceFieldSelector(Model):
    """A request or limit of a container of the worker's own pod."""

    container_name: Annotated[str, Field(max_length=63)] | None = None
    """Name of the container; the one called worker when absent."""

    resource: Annotated[str, Field(min_length=1, max_length=253)]
    """Which request or limit, such as limits.memory or requests.cpu."""

    divisor: Quantity | None = None
    """Unit that the value is given in, such as 1Mi; 1 when absent."""


class EnvSource(Model):
    """Where the value of an environment variable comes from; exactly one of the four."""

    RULES: ClassVar[tuple[Rule, ...]] = (ENV_VALUE_FROM_RULE,)

    secret_key_ref: Annotated[KeySelector, Field(json_schema_extra=ATOMIC)] | None = None
    """A key of a Secret. The operator does not read it: the kubelet does, when the pod starts."""

    config_map_key_ref: Annotated[KeySelector, Field(json_schema_extra=ATOMIC)] | None = None
    """A key of a ConfigMap."""

    field_ref: Annotated[FieldSelector, Field(json_schema_extra=ATOMIC)] | None = None
    """A field of the pod, such as metadata.name."""

    resource_field_ref: Annotated[ResourceFieldSelector, Field(json_schema_extra=ATOMIC)] | None = None
    """A request or limit of the pod's container, such as limits.memory."""


class EnvVar(Model):
    """An environment variable of the worker's container."""

    RULES: ClassVar[tuple[Rule, ...]] = (ENV_SOURCE_RULE,)

    name: EnvName
    """Name of the variable. Names that the operator sets itself, such as SYNC_BATCH_FILE, keep the operator's value."""

    value: Annotated[str, Field(max_length=32768)] | None = None
    """Value of the variable, in quotes where it looks like a number. $(OTHER) is replaced as in any container."""

    value_from: EnvSource | None = None
    """Where the value comes from, in place of value."""


class EnvObject(Model):
    """An object of the policy's namespace, all keys of which become environment variables."""

    name: ObjectName
    """Name of the object, in the policy's namespace."""

    optional: bool | None = None
    """Whether the pod starts when the object is missing. Otherwise it waits."""


class EnvFrom(Model):
    """A whole ConfigMap or Secret as environment variables."""

    RULES: ClassVar[tuple[Rule, ...]] = (ENV_FROM_RULE,)

    prefix: Annotated[str, Field(max_length=253)] | None = None
    """Put before the name of each variable."""

    config_map_ref: EnvObject | None = None
    """The ConfigMap whose keys become variables."""

    secret_ref: EnvObject | None = None
    """The Secret whose keys become variables. The operator does not read it: the kubelet does, when the pod starts."""


class ResourceClaim(Model):
    """A device claim that the container uses."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """Name of an entry in the pod's resourceClaims, which come from worker.podTemplate."""

    request: Annotated[str, Field(max_length=63)] | None = None
    """Name of one request in that claim; all of the claim when absent."""


class Resources(Model):
    """CPU, memory and other resources of the worker's container."""

    RULES: ClassVar[tuple[Rule, ...]] = (REQUESTS_RULE,)

    requests: Annotated[dict[str, Quantity], Field(max_length=32)] | None = None
    """What the scheduler sets aside for each worker pod, such as {cpu: 100m, memory: 64Mi}."""

    limits: Annotated[dict[str, Quantity], Field(max_length=32)] | None = None
    """What each worker pod may use at most, such as {memory: 256Mi}."""

    claims: (
        Annotated[
            tuple[ResourceClaim, ...],
            Field(
                max_length=16,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            ),
        ]
        | None
    ) = None
    """Device claims that the container uses."""
