"""What planning and an idle turn cost with 10,000 users.

    python -m benchmarks.idle --kubeconfig F [--profile FILE]

An API server with the CRD is enough: `deploy/local/kind create cluster --control-plane-only`. Everyone is synced as far
as the operator knows, so that its turns find nothing to do. No other operator may run.
"""

import argparse
import asyncio
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import users
from benchmarks.cluster import Cluster
from benchmarks.operator_process import running_operator
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.controller.stores import open_store
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.outcomes import Ending, Outcome
from periodic_sync.core.plan import User, plan
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from periodic_sync.stores.configmap import ConfigMapStore

Object = dict[str, Any]
NAMES = ("idle-0", "idle-1", "idle-2", "idle-3")
"""Policies on the same users, so that there are enough turns."""
SETTLE_SECONDS = 15
PLANS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--active", type=int, default=2_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--profile", type=Path, help="file for what cProfile sees of the operator")
    given = parser.parse_args()
    cluster = Cluster(given.kubeconfig, f"bench-idle-{os.getpid()}")
    cluster.kubectl("create", "namespace", cluster.namespace)
    try:
        for shard in users.config_maps(given.users, given.active, given.shards):
            cluster.apply(shard)
        for name in NAMES:
            cluster.apply(_policy(cluster.namespace, name))
            asyncio.run(_prepare(cluster, name))
        with running_operator(given.kubeconfig, "none", profile=given.profile) as operator:
            time.sleep(SETTLE_SECONDS)
            since = time.time()
            time.sleep(given.seconds)
            _tell(operator.turns(since))
            print(f"  - {len(NAMES)} policies of these users: {operator.memory()}", flush=True)
    finally:
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


def _policy(namespace: str, name: str) -> dict[str, Any]:
    spec = {
        "intervals": {"marketHours": "12h", "offHours": "12h"},
        "thresholds": {"stale": "23h"},
        "store": {"configMap": {"name": users.STORE}},
        "worker": {"image": "none"},
    }
    about = {"name": name, "namespace": namespace}
    return {"apiVersion": "sync.moonx.farm/v1alpha1", "kind": "SyncPolicy", "metadata": about, "spec": spec}


async def _prepare(cluster: Cluster, name: str) -> None:
    """Everyone is synced, as far as an operator that starts later can know."""
    body = cluster.get("syncpolicy", name)
    policy, ref = SyncPolicy.parse(body), PolicyRef(cluster.namespace, name, body["metadata"]["uid"])
    async with connected(str(cluster.kubeconfig)) as client:
        known = await _sync_everyone(client, policy, ref)
    if name == NAMES[0]:
        _time_plans(policy, known)


async def _sync_everyone(client: KubeClient, policy: SyncPolicy, ref: PolicyRef) -> list[User]:
    """As batches of ten that ended well just now. Returns: the users as planning gets them."""
    store, now = open_store(client, ref, policy.spec.store), _now()
    assert isinstance(store, ConfigMapStore)
    records = (await store.read(now)).records
    active = [each for each in records.values() if now - each.last_active <= policy.spec.thresholds.active]
    await store.apply(
        [
            Outcome(each.user_id, Ending.SYNCED, now - place // 10, now - place // 10, now, 10)
            for place, each in enumerate(active)
        ]
    )
    states = (await store.read(now)).states
    return [(record, states.get(user_id, NEVER_SYNCED)) for user_id, record in records.items()]


def _time_plans(policy: SyncPolicy, known: list[User]) -> None:
    for what, now in (
        ("nobody is due", _now()),
        ("every active user is due", _now() + policy.spec.intervals.off_hours),
    ):
        times = []
        for _ in range(PLANS):
            began = time.process_time()
            made = plan(known, Tick(policy.spec, Ledger(), now))
            times.append((time.process_time() - began) * 1000)
        print(
            f"- plan, {len(known)} users, {what} ({made.counters.due}): "
            f"CPU {min(times):.1f} ms at least, {median(times):.1f} ms median"
        )


def _tell(turns: list[Object]) -> None:
    def figures(key: str) -> str:
        took = [turn[key] for turn in turns]
        return f"{min(took):.1f} ms at least, {median(took):.1f} ms median"

    requests = turns[-1]["requests"]
    print(f"- idle turn, {len(turns)} times: {figures('wall_ms')}; CPU {figures('cpu_ms')}")
    print(f"  - planning in it: {figures('planning_ms')}; waiting for requests: {figures('waiting_ms')}")
    print(f"  - {sum(requests.values())} requests: {requests}", flush=True)


def _now() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
