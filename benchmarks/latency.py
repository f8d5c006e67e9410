"""How soon a Job is there: after a policy was created, and after a user came due.

    python -m benchmarks.latency --kubeconfig F [--policies 15] [--rounds 10]

An API server with the CRD and the controllers is enough (`deploy/local/kind create cluster --control-plane-only`): what
ends the pods is in here. No other operator may run. The operator runs beside the benchmark, from source.
"""

import argparse
import asyncio
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import users
from benchmarks.cluster import Cluster
from benchmarks.operator_process import running_operator
from periodic_sync.api.names import POLICY_LABEL
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from periodic_sync.kube.resources import JOBS, PODS, SYNC_POLICIES

Object = dict[str, Any]
INTERVAL_SECONDS = 10
DUE_POLICIES = 3
SILENCE_SECONDS = 120.0
JOB_WITHIN_SECONDS = 60


class Seen:
    """Jobs as they appear: the moment in seconds since the epoch, and the claim, by policy."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self.jobs: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._first: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def follow(self) -> None:
        version = await self._client.current_version(JOBS, self._namespace)
        async for event in self._client.watch(JOBS, self._namespace, since=version, silence_seconds=SILENCE_SECONDS):
            about = event["object"]["metadata"]
            if event["type"] == "ADDED":
                # A name ends with the claim's number, which is the moment of the claim in ms, in base 36.
                claimed_at = int(about["name"].rsplit("-", 1)[1], 36) / 1000
                policy = about["labels"][POLICY_LABEL]
                self.jobs[policy].append((time.time(), claimed_at))
                self._first[policy].set()

    async def first_of(self, policy: str) -> float:
        async with asyncio.timeout(JOB_WITHIN_SECONDS):
            await self._first[policy].wait()
        return self.jobs[policy][0][0]


async def end_pods(client: KubeClient, namespace: str) -> None:
    """Every pod succeeds as soon as it is there."""
    ended = {"name": "worker", "image": "none", "imageID": "", "ready": False, "restartCount": 0}
    ended["state"] = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    version = await client.current_version(PODS, namespace)
    async for event in client.watch(PODS, namespace, since=version, silence_seconds=SILENCE_SECONDS):
        if event["type"] == "ADDED":
            name = event["object"]["metadata"]["name"]
            status = {"status": {"phase": "Succeeded", "containerStatuses": [ended]}}
            await client.merge(PODS, namespace, f"{name}/status", status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--policies", type=int, default=15, help="how many are created, one after another")
    parser.add_argument("--rounds", type=int, default=10, help=f"of {INTERVAL_SECONDS} s, of {DUE_POLICIES} policies")
    given = parser.parse_args()
    cluster = Cluster(given.kubeconfig, f"bench-latency-{os.getpid()}")
    cluster.kubectl("create", "namespace", cluster.namespace)
    try:
        cluster.apply(*users.config_maps(10, 10, 1))
        with running_operator(given.kubeconfig, "none"):
            asyncio.run(_run(cluster, given.policies, given.rounds))
    finally:
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


async def _run(cluster: Cluster, policies: int, rounds: int) -> None:
    async with connected(str(cluster.kubeconfig)) as client, _followed(client, cluster.namespace) as seen:
        await _create(client, cluster.namespace, "warm-up", "12h")
        await seen.first_of("warm-up")
        after_creation = []
        for number in range(policies):
            name = f"new-{number}"
            began = time.time()
            await _create(client, cluster.namespace, name, "12h")
            after_creation.append(await seen.first_of(name) - began)
        _tell("policy created to its first Job", after_creation)
        for number in range(DUE_POLICIES):
            await _create(client, cluster.namespace, f"due-{number}", f"{INTERVAL_SECONDS}s")
        await asyncio.sleep(INTERVAL_SECONDS * (rounds + 1))
        after_due = []
        for number in range(DUE_POLICIES):
            jobs = seen.jobs[f"due-{number}"]
            after_due += [at - before - INTERVAL_SECONDS for (_, before), (at, _) in pairwise(jobs)]
        _tell("user due to its Job", after_due)


@asynccontextmanager
async def _followed(client: KubeClient, namespace: str) -> AsyncIterator[Seen]:
    seen = Seen(client, namespace)
    tasks = [asyncio.create_task(seen.follow()), asyncio.create_task(end_pods(client, namespace))]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _create(client: KubeClient, namespace: str, name: str, interval: str) -> None:
    spec = {
        "intervals": {"marketHours": interval, "offHours": interval, "userMinimum": "1s"},
        "thresholds": {"stale": "23h"},
        "store": {"configMap": {"name": users.STORE}},
        "worker": {"image": "none"},
    }
    about = {"name": name, "namespace": namespace}
    body = {"apiVersion": "sync.moonx.farm/v1alpha1", "kind": "SyncPolicy", "metadata": about, "spec": spec}
    await client.create(SYNC_POLICIES, namespace, body)


def _tell(what: str, seconds: list[float]) -> None:
    ranked = sorted(seconds)
    late = ranked[min(len(ranked) - 1, len(ranked) * 99 // 100)]
    said = f"{ranked[0]:.3f} s at least, {median(ranked):.3f} s median, {late:.3f} s at 99 %"
    print(f"- {what}, {len(ranked)} times: {said}", flush=True)


if __name__ == "__main__":
    main()
