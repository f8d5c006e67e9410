"""How much 10,000 users cost: memory of the operator, time of a turn, and what is written for each user synced.

    python -m benchmarks.scale --kubeconfig F --image I [--etcd-socket S] [--batches-per-job 1 20] [--concurrent 20]

Needs a cluster with the CRD and the image, and no other operator in it. The operator runs beside the benchmark, from
source, and each round is a manual request for all active users. Then the same Jobs run without an operator. Prints a
report in Markdown. The figures in docs/reference/scale.md were made so.
"""

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks import bare_jobs, users
from benchmarks.cluster import WRITES, Cluster, Counters, wait_for
from benchmarks.operator_process import ROOT, Operator, running_operator

Object = dict[str, Any]
POLICY = "portfolios"
REQUEST = "sync.moonx.farm/sync-users=active", "sync.moonx.farm/requested-at="
IDLE_SECONDS = 40
ROUND_SECONDS = 1800
WORKERS: dict[str, Object] = {
    "http": {"http": {"url": "http://sync-service/users/{userId}/sync", "timeout": "10s"}},
    "trivial": {"command": ["true"]},
}
"""The built-in worker against the quickstart's service, or one that ends at once: the same writes, and less CPU."""


@dataclass(frozen=True)
class Case:
    """One way to run the rounds."""

    batches_per_job: int
    concurrent: int
    rounds: int
    worker: str
    image: str

    @property
    def title(self) -> str:
        return f"batchesPerJob {self.batches_per_job}, maxConcurrentBatches {self.concurrent}"


def main() -> None:
    given = _arguments()
    print(f"{given.users} users in {given.shards} shards, {given.active} active; {os.cpu_count()} cores", flush=True)
    for batches_per_job in given.batches_per_job:
        case = Case(batches_per_job, given.concurrent, given.rounds, given.worker, given.image)
        cluster = Cluster(given.kubeconfig, f"bench-{batches_per_job}-{os.getpid()}", given.etcd_socket)
        print(f"\n## {case.title}, worker {case.worker}\n", flush=True)
        with _prepared(cluster, case, given):
            _with_operator(cluster, case, given)
            _without_operator(cluster, case, given)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--image", required=True, help="the product's image, as the cluster knows it")
    parser.add_argument("--etcd-socket", type=Path, help="unix socket where etcd answers /metrics, to count its bytes")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--active", type=int, default=2_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1, help="after the first one, which syncs everyone")
    parser.add_argument("--worker", choices=sorted(WORKERS), default="trivial", help="what runs in the pods")
    parser.add_argument("--concurrent", type=int, default=20, help="maxConcurrentBatches (default: %(default)s)")
    parser.add_argument("--batches-per-job", type=int, nargs="+", default=[1, 20])
    return parser.parse_args()


@contextmanager
def _prepared(cluster: Cluster, case: Case, given: argparse.Namespace) -> Iterator[None]:
    """A namespace with the users and the quickstart's sync service."""
    cluster.kubectl("create", "namespace", cluster.namespace)
    try:
        quickstart = ROOT / "examples" / "quickstart"
        program = (quickstart / "sync_service.py").read_text()
        service = list(yaml.safe_load_all((quickstart / "sync-service.yaml").read_text()))
        service[0]["spec"]["template"]["spec"]["containers"][0]["image"] = given.image
        code = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sync-service"}}
        cluster.apply({**code, "data": {"sync_service.py": program}}, *service)
        for shard in users.config_maps(given.users, given.active, given.shards):
            cluster.apply(shard)
        cluster.kubectl("rollout", "status", "deployment/sync-service", "--timeout=110s")
        yield
    finally:
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


def _with_operator(cluster: Cluster, case: Case, given: argparse.Namespace) -> None:
    with running_operator(given.kubeconfig, given.image) as operator:
        began = cluster.counters()
        cluster.apply(policy(cluster, case))
        _await_synced(cluster, given.active)
        _tell_round("first round, everyone never synced", cluster, began, given.active, operator)
        for number in range(1, case.rounds + 1):
            began = cluster.counters()
            cluster.kubectl("annotate", "syncpolicy", POLICY, "--overwrite", REQUEST[0], f"{REQUEST[1]}{number}")
            _await_synced(cluster, given.active * (number + 1), str(number))
            _tell_round(f"round {number}, on request", cluster, began, given.active, operator)
        time.sleep(15)
        began = cluster.counters()
        time.sleep(IDLE_SECONDS)
        _tell_idle(cluster.counters().since(began), operator.turns(began.at))
        print(f"- operator: {operator.memory()}", flush=True)


def policy(cluster: Cluster, case: Case) -> Object:
    """Intervals so long that only the first round and requests make anyone due."""
    jobs = {"maxConcurrentBatches": case.concurrent, "batchesPerJob": case.batches_per_job}
    return {
        "apiVersion": "sync.moonx.farm/v1alpha1",
        "kind": "SyncPolicy",
        "metadata": {"name": POLICY, "namespace": cluster.namespace},
        "spec": {
            "intervals": {"marketHours": "12h", "offHours": "12h"},
            "thresholds": {"stale": "23h"},
            "store": {"configMap": {"name": users.STORE}},
            "jobs": jobs,
            "worker": WORKERS[case.worker] | ({} if case.worker == "http" else {"image": case.image}),
        },
    }


def _await_synced(cluster: Cluster, total: int, token: str = "") -> None:
    def is_done() -> bool:
        status = cluster.get("syncpolicy", POLICY).get("status") or {}
        answered = not token or status.get("lastCompletedRequest") == token
        return answered and status.get("usersSynced", 0) >= total and not status.get("activeJobs")

    wait_for(f"{total} users synced", is_done, ROUND_SECONDS)


def _without_operator(cluster: Cluster, case: Case, given: argparse.Namespace) -> None:
    began = cluster.counters()
    people = [f"bare-{number:05d}" for number in range(given.active)]
    bare_jobs.run(given.kubeconfig, cluster.get("syncpolicy", POLICY), given.image, people)
    _tell_round("bare Jobs", cluster, began, given.active, None)


def _tell_round(what: str, cluster: Cluster, began: Counters, synced: int, operator: Operator | None) -> None:
    spent = cluster.counters().since(began)
    writes = sum(spent.writes.values())
    print(f"- {what}: {spent.at:.0f} s; {writes / synced:.3f} writes a user", end="")
    if spent.etcd_bytes is not None:
        print(f", {spent.etcd_bytes / synced:.0f} bytes to etcd a user", end="")
    print("\n  - all: " + ", ".join(f"{what} {count}" for what, count in spent.writes.most_common(16)))
    if operator is None:
        return
    turns = operator.turns(began.at)
    sent = _requests(turns)
    own = sum(count for what, count in sent.items() if what.split()[0] in WRITES)
    print(f"  - operator: {own / synced:.3f} writes a user in {len(turns)} turns: {sent}")
    print(f"  - working turns: {_figures([turn for turn in turns if _writes(turn)])}")
    print(
        f"  - of all turns: CPU {sum(turn['cpu_ms'] for turn in turns) / 1000:.1f} s, {operator.memory()}", flush=True
    )


def _tell_idle(spent: Counters, turns: list[Object]) -> None:
    print(f"- idle for {spent.at:.0f} s: {len(turns)} turns: {_figures(turns)}")
    print(f"  - writes by anyone: {dict(spent.writes)}; bytes to etcd: {spent.etcd_bytes}")
    print(f"  - requests: {_requests(turns)}", flush=True)


def _requests(turns: list[Object]) -> dict[str, int]:
    names = sorted({name for turn in turns for name in turn["requests"]})
    return {name: sum(turn["requests"].get(name, 0) for turn in turns) for name in names}


def _writes(turn: Object) -> int:
    return sum(count for name, count in turn["requests"].items() if name.split()[0] in WRITES)


def _figures(turns: list[Object]) -> str:
    if not turns:
        return "none"
    counts = [sum(turn["requests"].values()) for turn in turns]
    said = [
        f"{key} {median(turn[key] for turn in turns):.1f} (at most {max(turn[key] for turn in turns):.1f})"
        for key in ("wall_ms", "waiting_ms", "planning_ms", "cpu_ms")
    ]
    return f"median {', '.join(said)}, {median(counts):.0f} requests (at most {max(counts)})"


if __name__ == "__main__":
    main()
