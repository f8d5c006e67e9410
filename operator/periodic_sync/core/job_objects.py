"""The Job of a claim: one completion index for each batch, and a body that leaves every retry to the operator."""

from collections.abc import Mapping
from typing import Any

from periodic_sync.api.durations import SECOND
from periodic_sync.api.names import GROUP, PRIORITY_LABEL
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.ledger import OpenJob
from periodic_sync.core.objects import Object, PolicyRef, common_labels, metadata
from periodic_sync.core.worker_pods import pod_spec

BACKSTOP_SECONDS = 60
"""What a Job's own deadline leaves beyond twice that of its pods."""

OUR_KEYS = f"{GROUP}/"


def job(
    policy: PolicyRef,
    spec: SyncPolicySpec,
    open_job: OpenJob,
    *,
    worker_image: str,
    pod_template: Mapping[str, Any] | None = None,
) -> Object:
    """The Job to create for a claim, with a pod for each of its batches.

    worker_image: the operator's own, for the built-in worker. pod_template: the core/v1 PodTemplate that
    `worker.podTemplate` names, as it stands in the API server; it is not changed.
    Raises: ValueError where no image is known.
    """
    deadline = pod_deadline_seconds(spec)
    batches = len(open_job.priorities)
    base = (pod_template or {}).get("template") or {}
    ours = common_labels(policy.name) | {PRIORITY_LABEL: open_job.priority.value}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _job_metadata(policy, spec, open_job.name, ours),
        "spec": {
            # A failed index is reported and its users are planned anew: Kubernetes itself retries nothing. Without
            # maxFailedIndexes the other indexes run on, whatever becomes of one.
            "completionMode": "Indexed",
            "completions": batches,
            "parallelism": batches,
            "backoffLimitPerIndex": 0,
            # An index has failed only when its pod is over, so that no user is handed on while a worker still runs.
            "podReplacementPolicy": "Failed",
            # The pod's deadline ends a hung worker. The Job's own also runs while a pod waits for a node or an image.
            "activeDeadlineSeconds": 2 * deadline + BACKSTOP_SECONDS,
            # No ttlSecondsAfterFinished: a Job that is gone before its results were read is no success.
            "template": {
                "metadata": _pod_metadata(spec, base, ours),
                "spec": pod_spec(
                    spec.worker,
                    base.get("spec") or {},
                    batch_file=open_job.name,
                    deadline_seconds=deadline,
                    worker_image=worker_image,
                ),
            },
        },
    }


def pod_deadline_seconds(spec: SyncPolicySpec) -> int:
    """`jobs.deadline` in whole seconds, rounded up, as pods take it."""
    return -(-spec.jobs.deadline // SECOND)


def _job_metadata(policy: PolicyRef, spec: SyncPolicySpec, name: str, ours: Mapping[str, str]) -> Object:
    about = metadata(policy, name)
    about["labels"] = {**spec.jobs.labels, **ours}
    if spec.jobs.annotations:
        about["annotations"] = dict(spec.jobs.annotations)
    return about


def _pod_metadata(spec: SyncPolicySpec, base: Mapping[str, Any], ours: Mapping[str, str]) -> Object:
    """Labels and annotations of the pods. Nothing else of a template's metadata means anything for a pod of a Job."""
    given = base.get("metadata") or {}
    about: Object = {"labels": {**_foreign(given.get("labels")), **spec.jobs.labels, **ours}}
    annotations = {**_foreign(given.get("annotations")), **spec.jobs.annotations}
    if annotations:
        about["annotations"] = annotations
    return about


def _foreign(pairs: Mapping[str, str] | None) -> dict[str, str]:
    """Without the keys that are the operator's: they select what belongs to a policy."""
    return {key: value for key, value in (pairs or {}).items() if not key.startswith(OUR_KEYS)}
