"""The operator: its Deployment and pods, its image's version, and the Lease by which one of them leads."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from periodic_sync import __version__
from periodic_sync.api.errors import ApiError, ForbiddenError
from periodic_sync.cli.check.cluster import SKEW_TOLD
from periodic_sync.cli.check.lines import Line, failed, ok, tried, unseen, warning
from periodic_sync.core.reading import NOTHING, mapping, text
from periodic_sync.core.views import ON_THE_WAY
from periodic_sync.kube.client import KubeClient, Object, Objects
from periodic_sync.kube.resources import DEPLOYMENTS, LEASES, PODS

NAME = "periodic-sync"
SELECTOR = f"app.kubernetes.io/name={NAME}"
PART_OF = f"app.kubernetes.io/part-of={NAME}"
MANY_RESTARTS = 5
LEASE_LOOK_SECONDS = 6.0
"""A leader renews every 2 s or so: one that is alive has done it by then, whatever its clock says."""


@dataclass(frozen=True, slots=True)
class Operator:
    """What one Deployment of the operator says of itself. serves: a namespace, or empty for all."""

    namespace: str
    name: str
    account: str
    image: str
    worker_image: str
    serves: str
    wanted: int
    available: int

    @property
    def lease(self) -> str:
        return f"{NAME}-{self.serves}" if self.serves else NAME


def operator_of(deployment: Object) -> Operator | None:
    """None: another one, such as that of the HTTP API."""
    spec, status = deployment["spec"], deployment.get("status") or {}
    pod = spec["template"]["spec"]
    container = next((it for it in pod["containers"] if "operator" in (it.get("args") or ())), None)
    if container is None:
        return None
    environment = {it["name"]: it.get("value") or "" for it in container.get("env") or ()}
    return Operator(
        namespace=deployment["metadata"]["namespace"],
        name=deployment["metadata"]["name"],
        account=pod.get("serviceAccountName") or "default",
        image=container["image"],
        worker_image=environment.get("WORKER_IMAGE", ""),
        serves=_option(container.get("args") or (), "--namespace"),
        wanted=spec.get("replicas", 1),
        available=status.get("availableReplicas") or 0,
    )


def _option(arguments: Sequence[str], name: str) -> str:
    for at, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
        if argument == name and at + 1 < len(arguments):
            return arguments[at + 1]
    return ""


async def find_operators(client: KubeClient, namespace: str) -> list[Operator] | ApiError:
    """In the whole cluster, or, where only that may be looked at, in the namespace."""
    found = await tried(client.list(DEPLOYMENTS, None, labels=PART_OF))
    if isinstance(found, ForbiddenError):
        found = await tried(client.list(DEPLOYMENTS, namespace, labels=PART_OF))
    if isinstance(found, ApiError):
        return found
    return [operator for it in found if (operator := operator_of(it)) is not None]


async def look_at_operator(client: KubeClient, operator: Operator, server_ahead: float) -> list[Line]:
    """server_ahead: seconds by which the API server's clock is ahead of this machine's."""
    pods = await tried(client.list(PODS, operator.namespace, labels=SELECTOR))
    return [
        judge_deployment(operator),
        *judge_pods(pods),
        judge_image(operator.image),
        *await look_at_lease(client, operator.namespace, operator.lease, server_ahead),
    ]


def judge_deployment(operator: Operator) -> Line:
    topic = "operator"
    place = f"Deployment {operator.namespace}/{operator.name}"
    if operator.wanted == 0:
        fix = f"`kubectl scale -n {operator.namespace} deployment/{operator.name} --replicas=2`"
        return failed(topic, f"{place} is scaled to 0: nothing is scheduled", fix)
    counts = f"{operator.available} of {operator.wanted} pods are available"
    if operator.available == 0:
        fix = f"`kubectl describe -n {operator.namespace} pods -l {SELECTOR}` says why"
        return failed(topic, f"{place}: {counts}", fix)
    serves = f", serving namespace {operator.serves}" if operator.serves else ""
    return (ok if operator.available >= operator.wanted else warning)(topic, f"{place}: {counts}{serves}")


def judge_pods(pods: Objects | ApiError) -> list[Line]:
    topic = "operator's pods"
    if isinstance(pods, ApiError):
        return [unseen(topic, pods)]
    lines = []
    for pod in pods:
        name = pod["metadata"]["name"]
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            if waiting := held_up(status):
                fix = f"`kubectl describe pod -n {pod['metadata']['namespace']} {name}`"
                lines.append(failed(topic, f"{name} waits: {waiting['reason']}", fix))
            elif status.get("restartCount", 0) >= MANY_RESTARTS:
                fix = f"`kubectl logs -n {pod['metadata']['namespace']} {name} --previous` says why"
                lines.append(warning(topic, f"{name} was restarted {status['restartCount']} times", fix))
    return lines


def held_up(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a container waits for, with its reason; empty where that is nothing, or what every one passes through."""
    waiting = mapping(status, "state", "waiting")
    return NOTHING if text(waiting, "reason") in ("", *ON_THE_WAY) else waiting


def judge_image(image: str) -> Line:
    topic, tag = "operator's version", image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    parts = tag.removeprefix("v").split(".")
    if len(parts) < 3 or not parts[0].isdigit():
        return unseen(topic, f"its image, {image}, has no version's tag; this program is {__version__}")
    if tag.removeprefix("v") == __version__:
        return ok(topic, f"{__version__}, as this program's")
    fix = "use the program of the operator's version: `pip install .` in a checkout of it"
    return warning(topic, f"the operator is {tag}, and this program {__version__}", fix)


async def look_at_lease(client: KubeClient, namespace: str, name: str, server_ahead: float) -> list[Line]:
    found = await tried(client.get(LEASES, namespace, name))
    if isinstance(found, ApiError) or not (record := _Record.read(found)).holder:
        return judge_lease(found, 0.0, renewed_since=False)
    age = _now() + server_ahead - record.renewed
    if -SKEW_TOLD <= age <= record.seconds:
        return judge_lease(found, age, renewed_since=True)
    # Too old, or of the future: it may be the clock of who writes it.
    again: Object | ApiError = found
    for _ in range(int(LEASE_LOOK_SECONDS)):
        await asyncio.sleep(1)
        again = await tried(client.get(LEASES, namespace, name))
        if isinstance(again, ApiError) or _Record.read(again) != record:
            break
    changed = not isinstance(again, ApiError) and _Record.read(again) != record
    return judge_lease(found, age, renewed_since=changed)


def judge_lease(found: Object | ApiError, age: float, *, renewed_since: bool) -> list[Line]:
    """age: seconds since it was renewed, by the API server's clock."""
    topic = "leader"
    if isinstance(found, ApiError):
        if found.status == 404:
            return [failed(topic, "there is no Lease: no operator has led yet", "start the operator, or see its log")]
        return [unseen(topic, found)]
    record = _Record.read(found)
    if not record.holder:
        return [failed(topic, "the Lease was given back, and nobody has taken it", "start the operator")]
    if not renewed_since:
        return [failed(topic, f"{record.holder} has not renewed its Lease for {age:.0f} s", "see the operator's log")]
    lines = [ok(topic, f"{record.holder} leads")]
    if not -SKEW_TOLD <= age <= record.seconds + SKEW_TOLD:
        way = "behind" if age > 0 else "ahead of"
        message = f"its node is about {abs(age):.0f} s {way} the API server"
        lines.append(warning("operator's clock", message, "synchronise the node's clock (NTP)"))
    return lines


@dataclass(frozen=True, slots=True)
class _Record:
    """seconds: how long it lasts. renewed: seconds since the epoch."""

    holder: str
    seconds: int
    renewed: float

    @classmethod
    def read(cls, lease: Object) -> "_Record":
        spec = lease.get("spec") or {}
        time = spec.get("renewTime")
        renewed = datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() if time else 0.0
        return cls(spec.get("holderIdentity") or "", spec.get("leaseDurationSeconds") or 15, renewed)


def _now() -> float:
    return datetime.now(UTC).timestamp()
