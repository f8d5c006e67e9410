"""Would a Job of the policy be taken, and a pod of it? The API server is asked, and nothing is made.

Quotas, LimitRanges and Pod Security judge pods, of which the Job controller finds out too late for anyone to see.
"""

from collections.abc import Mapping
from typing import Any

from periodic_sync.api.errors import ApiError, ForbiddenError, NotFoundError
from periodic_sync.api.names import Priority
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.cli.check.lines import Line, failed, ok, tried, unseen
from periodic_sync.core.job_objects import job
from periodic_sync.core.ledger import OpenJob
from periodic_sync.core.objects import PolicyRef, object_name
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.resources import JOBS, POD_TEMPLATES, PODS

SOME_IMAGE = "periodic-sync"
"""Where the operator's own is not known: nothing is pulled for a question."""


async def look_at_room(client: KubeClient, policy: SyncPolicy, worker_image: str, now: int) -> list[Line]:
    """now: milliseconds."""
    template = None
    if name := policy.spec.worker.pod_template.name:
        found = await tried(client.get(POD_TEMPLATES, policy.namespace, name))
        if isinstance(found, NotFoundError):
            return []  # which is told already
        if isinstance(found, ApiError):
            return [unseen("Jobs", found)]
        template = found
    body = trial_job(policy, worker_image or SOME_IMAGE, template, now)
    pod = trial_pod(body)
    return [
        judge("Jobs", "a Job", await tried(client.create(JOBS, policy.namespace, body, dry_run=True))),
        judge("pods", "a pod", await tried(client.create(PODS, policy.namespace, pod, dry_run=True))),
    ]


def trial_job(policy: SyncPolicy, image: str, template: Mapping[str, Any] | None, now: int) -> Object:
    """As the operator would make one, of one batch."""
    name = object_name(policy.name, policy.uid, now)
    opened = OpenJob(name, now, now, (Priority.LOW,), (1,), frozenset({0}))
    return job(
        PolicyRef(policy.namespace, policy.name, policy.uid),
        policy.spec,
        opened,
        worker_image=image,
        pod_template=template,
    )


def trial_pod(body: Object) -> Object:
    """As the Job controller would make one."""
    template = body["spec"]["template"]
    about = {**template["metadata"], "name": f"{body['metadata']['name']}-0"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": template["spec"]}


def judge(topic: str, what: str, answer: Object | ApiError) -> Line:
    if not isinstance(answer, ApiError):
        return ok(topic, f"{what} would be taken as the operator makes it")
    if isinstance(answer, ForbiddenError) and " cannot create resource " in str(answer):
        return unseen(topic, answer)
    if answer.status in (400, 403, 409, 413, 422):
        return failed(
            topic,
            f"{what} would be refused: {answer}",
            "correct spec.jobs or spec.worker (resources), or raise the namespace's quota or limits",
        )
    return unseen(topic, answer)
