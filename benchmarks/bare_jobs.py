"""What the same pods cost without the operator: a loop that writes each Job's users, creates it, and deletes both.

Nothing is planned, remembered or reported; whoever is synced by these Jobs is nowhere written down.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from periodic_sync.api.names import Priority
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.core.job_objects import job
from periodic_sync.core.ledger import OpenJob
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from periodic_sync.kube.resources import CONFIG_MAPS, JOBS

Object = dict[str, Any]
LOOK_EVERY = 0.5
MARK = "bench=bare"


def run(kubeconfig: Path, policy: Object, image: str, users: Sequence[str]) -> None:
    """Sync these users once, with the Jobs that the operator would make for this policy."""
    asyncio.run(_run(kubeconfig, SyncPolicy.parse(policy), image, users))


async def _run(kubeconfig: Path, policy: SyncPolicy, image: str, users: Sequence[str]) -> None:
    namespace = policy.namespace
    size, most = policy.spec.batch_size, policy.spec.jobs.batches_per_job
    batches = [users[first : first + size] for first in range(0, len(users), size)]
    waiting = [batches[first : first + most] for first in range(0, len(batches), most)]
    room, running, number = policy.spec.jobs.max_concurrent_batches, dict[str, int](), 0
    async with connected(str(kubeconfig)) as client:
        while waiting or running:
            while waiting and sum(running.values()) + len(waiting[0]) <= max(room, most):
                name, number = f"bare-{number:04d}", number + 1
                running[name] = len(waiting[0])
                await _begin(client, policy, PolicyRef(namespace, "bare", "bare"), name, image, waiting.pop(0))
            await asyncio.sleep(LOOK_EVERY)
            for item in await client.list(JOBS, namespace, labels=MARK):
                if any(each["type"] == "Complete" for each in item["status"].get("conditions", ())):
                    await client.delete(JOBS, namespace, item["metadata"]["name"])
                    await client.delete(CONFIG_MAPS, namespace, item["metadata"]["name"])
                    running.pop(item["metadata"]["name"], None)


async def _begin(
    client: KubeClient, policy: SyncPolicy, owner: PolicyRef, name: str, image: str, batches: list[Sequence[str]]
) -> None:
    data = {str(index): json.dumps(_batch(owner, name, users)) for index, users in enumerate(batches)}
    about = {"name": name, "namespace": owner.namespace}
    await client.create(CONFIG_MAPS, owner.namespace, {"metadata": about, "immutable": True, "data": data})
    sizes = tuple(map(len, batches))
    opened = OpenJob(name, 1, 1, (Priority.MEDIUM,) * len(batches), sizes, frozenset(range(len(batches))))
    body = job(owner, policy.spec, opened, worker_image=image)
    body["metadata"] = {**about, "labels": dict([MARK.split("=")])}
    await client.create(JOBS, owner.namespace, body)


def _batch(owner: PolicyRef, name: str, users: Sequence[str]) -> Object:
    people = [{"id": user, "wallet": "0x" + "0" * 40, "tokens": []} for user in users]
    known = {"version": 1, "policy": owner.name, "namespace": owner.namespace}
    return {**known, "batch": name, "priority": "medium", "users": people}
