"""Secrets, ConfigMaps and a PodTemplate that a policy names. Values of Secrets are never asked for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from periodic_sync.api.errors import ApiError, NotFoundError
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.cli.check.lines import Line, failed, ok, tried, unseen, warning
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.resources import CONFIG_MAPS, POD_TEMPLATES, SECRETS, Resource

_KINDS: Mapping[str, Resource] = {"Secret": SECRETS, "ConfigMap": CONFIG_MAPS, "PodTemplate": POD_TEMPLATES}


@dataclass(frozen=True, slots=True)
class Reference:
    """field: where the policy names it. optional: pods start without."""

    kind: str
    name: str
    field: str
    optional: bool = False


def references(spec: SyncPolicySpec) -> list[Reference]:
    """Each object once, but for that of the store, which is looked at with the store."""
    found: dict[tuple[str, str], Reference] = {}
    for reference in _all(spec):
        known = found.get((reference.kind, reference.name))
        if known is None or known.optional:
            found[reference.kind, reference.name] = reference
    return list(found.values())


def _all(spec: SyncPolicySpec) -> Iterator[Reference]:
    worker = spec.worker
    if worker.http and worker.http.bearer_token_secret_ref:
        yield Reference("Secret", worker.http.bearer_token_secret_ref.name, "worker.http.bearerTokenSecretRef")
    for at, variable in enumerate(worker.env or ()):
        source: Mapping[str, Any] = variable.get("valueFrom") or {}  # type: ignore[assignment]
        yield from _of_source(source, f"worker.env[{at}]", "KeyRef")
    for at, each in enumerate(worker.env_from or ()):
        yield from _of_source(each, f"worker.envFrom[{at}]", "Ref")
    if worker.pod_template.name:
        yield Reference("PodTemplate", worker.pod_template.name, "worker.podTemplate")


def _of_source(source: Mapping[str, Any], field: str, suffix: str) -> Iterable[Reference]:
    for kind, key in (("Secret", f"secret{suffix}"), ("ConfigMap", f"configMap{suffix}")):
        if key in source:
            yield Reference(kind, source[key]["name"], field, bool(source[key].get("optional")))


async def look_at_references(client: KubeClient, namespace: str, wanted: Iterable[Reference]) -> list[Line]:
    lines = []
    for reference in wanted:
        request = client.get(_KINDS[reference.kind], namespace, reference.name, metadata_only=True)
        lines.append(judge_reference(reference, await tried(request)))
    return lines


def judge_reference(reference: Reference, found: Object | ApiError) -> Line:
    name = f"{reference.kind} {reference.name}"
    if isinstance(found, NotFoundError):
        message = f"{name}, which {reference.field} names, does not exist"
        if reference.optional:
            return warning("worker", f"{message}; pods start without it")
        return failed("worker", message, "make it in the policy's namespace, or correct the name")
    if isinstance(found, ApiError):
        return unseen("worker", found)
    return ok("worker", f"{name} is there")
