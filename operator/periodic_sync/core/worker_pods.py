"""The pods of a Job: the PodTemplate as the base, `spec.worker` over it, and over both what the operator owns.

What it owns: that a pod runs once (no restarts, the deadline), that it carries no credential for the API server, that
its container `worker` finds the batch file, and how that container's termination message comes about. The built-in
worker also owns its command and gets a tight security context, unless the PodTemplate says otherwise; an own image runs
as its author and the cluster decide. Other containers of a PodTemplate stay as they are. A helper beside the worker
belongs among the init containers, with `restartPolicy: Always` (a native sidecar): a pod with an ordinary second
container goes on until that ends too.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from periodic_sync.api.names import WORKER_CONTAINER
from periodic_sync.api.spec import Http, Worker
from periodic_sync.core.objects import Object

BATCH_FILE_VARIABLE = "SYNC_BATCH_FILE"
HTTP_VARIABLE = "SYNC_HTTP"
TOKEN_VARIABLE = "SYNC_HTTP_BEARER_TOKEN"
DEADLINE_VARIABLE = "SYNC_DEADLINE_SECONDS"
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Put into every container by Kubernetes, unless the container has a variable of that name already."""

BATCH_FILE_PATH = "/etc/periodic-sync/batch.json"
BATCH_VOLUME = "periodic-sync-batch"
BUILT_IN_COMMAND = ("python3", "-m", "periodic_sync.worker")


def pod_spec(
    worker: Worker,
    base: Mapping[str, Any],
    *,
    batch_file: str,
    deadline_seconds: int,
    worker_image: str,
) -> Object:
    """The spec of a Job's pods. `base`: that of a PodTemplate, or empty; it is not changed.

    Raises: ValueError where no image is known.
    """
    spec: Object = deepcopy(dict(base))
    containers = list(spec.get("containers") or ())
    given = next((each for each in containers if each.get("name") == WORKER_CONTAINER), None)
    container = _container(worker, given or {}, spec, deadline_seconds, worker_image)
    if given is None:
        containers.insert(0, container)
    else:
        containers[containers.index(given)] = container
    if worker.http is not None:
        # Without it every Service of the namespace becomes seven variables, which the built-in worker never reads.
        spec.setdefault("enableServiceLinks", False)
    return {
        **spec,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": deadline_seconds,
        "automountServiceAccountToken": False,
        "containers": containers,
        "volumes": [
            *(volume for volume in spec.get("volumes") or () if volume.get("name") != BATCH_VOLUME),
            {"name": BATCH_VOLUME, "configMap": {"name": batch_file}},
        ],
    }


def _container(
    worker: Worker, given: Mapping[str, Any], pod: Mapping[str, Any], deadline_seconds: int, worker_image: str
) -> Object:
    # A container may have its own restart policy, but a second run in one pod would be a retry behind our back.
    kept = {key: value for key, value in given.items() if key not in ("restartPolicy", "restartPolicyRules")}
    owned: list[Object] = [
        {"name": BATCH_FILE_VARIABLE, "value": BATCH_FILE_PATH},
        {"name": DEADLINE_VARIABLE, "value": str(deadline_seconds)},
    ]
    container = _override(kept, worker)
    if worker.http is not None:
        container = _built_in(container, pod)
        owned += _http_env(worker.http)
    return {
        **container,
        "name": WORKER_CONTAINER,
        "image": _image(worker, worker_image),
        "env": _merge_env(owned, container.get("env") or ()),
        "volumeMounts": _mounts(container.get("volumeMounts") or ()),
        # Never the logs: whatever a worker prints, wallets too, would stand in the pod's status.
        "terminationMessagePolicy": "File",
    }


def _image(worker: Worker, worker_image: str) -> str:
    # Never a PodTemplate's: the API server demands one there, so what stands there is often but a placeholder.
    image = worker.image or (worker_image if worker.http is not None else "")
    if not image:
        raise ValueError(
            "no image for the worker: set worker.image in the SyncPolicy, or WORKER_IMAGE in the operator's Deployment"
        )
    return image


def _override(given: Mapping[str, Any], worker: Worker) -> Object:
    """Lay `worker.*` over the template's container, field by field, the way a strategic merge patch does."""
    container: Object = {**given, "imagePullPolicy": worker.image_pull_policy}
    if worker.command:
        container["command"] = list(worker.command)
    if worker.args:
        container["args"] = list(worker.args)
    if worker.env:
        container["env"] = _merge_env(worker.env, given.get("env") or ())
    if worker.env_from:
        container["envFrom"] = deepcopy(list(worker.env_from))
    if worker.resources:
        container["resources"] = _merge(given.get("resources") or {}, worker.resources)
    return container


def _built_in(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Object:
    kept = {key: value for key, value in container.items() if key not in ("args", "terminationMessagePath")}
    return {
        **kept,
        "command": list(BUILT_IN_COMMAND),
        "securityContext": _security_context(container.get("securityContext") or {}, pod.get("securityContext") or {}),
    }


def _security_context(of_container: Mapping[str, Any], of_pod: Mapping[str, Any]) -> Object:
    """The built-in worker's: as tight as Kubernetes knows, where neither the container nor its pod says otherwise.

    It stands on the container, not the pod: other containers of a template keep what they need.
    """
    tight: Object = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for key in ("runAsNonRoot", "seccompProfile"):
        if key in of_pod:
            del tight[key]
    if of_container.get("runAsUser", of_pod.get("runAsUser")) == 0:
        tight.pop("runAsNonRoot", None)
    if of_container.get("privileged"):
        del tight["allowPrivilegeEscalation"]  # the API server refuses the two together
    return {**tight, **of_container}


def _http_env(http: Http) -> list[Object]:
    env: list[Object] = [{"name": HTTP_VARIABLE, "value": _http_text(http)}]
    if http.bearer_token_secret_ref is not None:
        ref = {"name": http.bearer_token_secret_ref.name, "key": http.bearer_token_secret_ref.key}
        env.append({"name": TOKEN_VARIABLE, "valueFrom": {"secretKeyRef": ref}})
    return env


def _http_text(http: Http) -> str:
    """`worker.http` as JSON, with durations as strings."""
    # The worker reads body as the policy does: a string holds JSON, anything else is the template itself.
    value = {key: item for key, item in http.model_dump(mode="json", by_alias=True).items() if item is not None}
    # Kubernetes replaces $(NAME) in the values of variables. No JSON needs a $ to be written as such.
    return json.dumps(value, separators=(",", ":")).replace("$", "\\u0024")


def _merge_env(first: Iterable[Mapping[str, Any]], rest: Iterable[Mapping[str, Any]]) -> list[Object]:
    """Variables by name; `first` wins, and comes first, since a value may refer to those before it."""
    merged: dict[str, Object] = {}
    for variable in (*first, *rest):
        if variable["name"] != INDEX_VARIABLE:
            merged.setdefault(variable["name"], deepcopy(dict(variable)))
    return list(merged.values())


def _mounts(given: Sequence[Mapping[str, Any]]) -> list[Object]:
    ours = {
        "name": BATCH_VOLUME,
        "mountPath": BATCH_FILE_PATH,
        "subPathExpr": f"$({INDEX_VARIABLE})",
        "readOnly": True,
    }
    others = [
        dict(mount)
        for mount in given
        if mount.get("name") != BATCH_VOLUME and str(mount.get("mountPath")).rstrip("/") != BATCH_FILE_PATH
    ]
    return [*others, ours]


def _merge(given: Mapping[str, Any], over: Mapping[str, Any]) -> Object:
    merged: Object = deepcopy(dict(given))
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merge(below, value)
        else:
            merged[key] = deepcopy(value)
    return merged
