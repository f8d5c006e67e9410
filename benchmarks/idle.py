"""What planning and an idle turn cost with 10,000 users, in this process.

    python -m benchmarks.idle --kubeconfig F [--profile FILE]

An API server with the CRD is enough: `deploy/local/kind create cluster --control-plane-only`. Everyone is synced as far
as the operator knows, so that its turns find nothing to do. `--profile` writes what cProfile saw of 50 turns.
"""

import argparse
import asyncio
import cProfile
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import users
from benchmarks.cluster import Cluster
from benchmarks.measured_operator import Turn, measure_turns
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.controller.operator import open_store
from periodic_sync.controller.turn import PolicyTurns, Services
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.outcomes import Ending, Outcome
from periodic_sync.core.plan import User, plan
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected

TURNS = 50
PLANS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--active", type=int, default=2_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--profile", type=Path)
    given = parser.parse_args()
    cluster = Cluster(given.kubeconfig, f"bench-idle-{os.getpid()}")
    cluster.kubectl("create", "namespace", cluster.namespace)
    try:
        for shard in users.config_maps(given.users, given.active, given.shards):
            cluster.apply(shard)
        cluster.apply(_policy(cluster.namespace))
        asyncio.run(_run(cluster, given.profile))
    finally:
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


def _policy(namespace: str) -> dict[str, Any]:
    spec = {
        "intervals": {"marketHours": "12h", "offHours": "12h"},
        "thresholds": {"stale": "23h"},
        "store": {"configMap": {"name": users.STORE}},
        "worker": {"image": "none"},
    }
    about = {"name": "idle", "namespace": namespace}
    return {"apiVersion": "sync.moonx.farm/v1alpha1", "kind": "SyncPolicy", "metadata": about, "spec": spec}


async def _run(cluster: Cluster, profile: Path | None) -> None:
    body = cluster.get("syncpolicy", "idle")
    policy, ref = SyncPolicy.parse(body), PolicyRef(cluster.namespace, "idle", body["metadata"]["uid"])
    async with connected(str(cluster.kubeconfig)) as client:
        known = await _sync_everyone(client, policy, ref)
        _time_plans(policy, known)
        services = Services(client, _now, "none", "bench", partial(open_store, client))
        turns = PolicyTurns(ref, services, wake=lambda: None)
        for _ in range(3):
            await turns.turn()
        await _time_turns(turns.turn)
        if profile is not None:
            await _profile(turns.turn, profile)
        await turns.stopped()


async def _sync_everyone(client: KubeClient, policy: SyncPolicy, ref: PolicyRef) -> list[User]:
    """As batches of ten that ended well just now. Returns: the users as planning gets them."""
    store, now = open_store(client, ref, policy.spec.store), _now()
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


async def _time_turns(run: Callable[[], Awaitable[object]]) -> None:
    took: list[tuple[Turn, float, float]] = []
    with measure_turns() as begin:
        for _ in range(TURNS):
            turn, wall, cpu = begin(), time.perf_counter(), time.process_time()
            await run()
            took.append((turn, time.perf_counter() - wall, time.process_time() - cpu))
    walls, cpus = [wall * 1000 for _, wall, _ in took], [cpu * 1000 for _, _, cpu in took]
    requests = took[-1][0].requests
    print(
        f"- idle turn: {min(walls):.1f} ms at least, {median(walls):.1f} ms median, "
        f"of which CPU {min(cpus):.1f} and {median(cpus):.1f} ms; {sum(requests.values())} requests: {dict(requests)}"
    )


async def _profile(run: Callable[[], Awaitable[object]], file: Path) -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(TURNS):
        await run()
    profiler.disable()
    profiler.dump_stats(file)


def _now() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
