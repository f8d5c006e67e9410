"""How much 10,000 users cost: memory of the operator, time of a turn, and what is written for each user synced.

    python -m benchmarks.scale --kubeconfig F --image I [--etcd-socket S] [--batches-per-job 1 20] [--concurrent 20]

Needs a cluster with the CRD and the image, and no other operator in it. The operator runs beside the benchmark, from
source, and each round is a manual request for all active users. Then the same Jobs run without an operator. Prints a
report in Markdown. The figures in docs/scale.md were made so.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
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

Object = dict[str, Any]
ROOT = Path(__file__).parent.parent
POLICY = "portfolios"
REQUEST = "sync.moonx.farm/sync-users=active", "sync.moonx.farm/requested-at="
IDLE_SECONDS = 40
ROUND_SECONDS = 1800


@dataclass(frozen=True)
class Case:
    """One way to run the rounds."""

    batches_per_job: int
    concurrent: int
    rounds: int

    @property
    def title(self) -> str:
        return f"batchesPerJob {self.batches_per_job}, maxConcurrentBatches {self.concurrent}"


@dataclass(frozen=True)
class Operator:
    """The operator's process and what its meter wrote."""

    pid: int
    meter: Path

    def turns(self, since: float = 0) -> list[Object]:
        """Those that ended since then, in order."""
        lines = self.meter.read_text().splitlines() if self.meter.exists() else []
        return [turn for turn in map(json.loads, lines) if turn["at"] >= since]

    def memory(self) -> dict[str, int]:
        """Resident now and at most, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return {name: int(fields[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM")}


def main() -> None:
    given = _arguments()
    print(f"{given.users} users in {given.shards} shards, {given.active} active; {os.cpu_count()} cores", flush=True)
    for batches_per_job in given.batches_per_job:
        case = Case(batches_per_job, given.concurrent, given.rounds)
        cluster = Cluster(given.kubeconfig, f"bench-{batches_per_job}-{os.getpid()}", given.etcd_socket)
        print(f"\n## {case.title}\n", flush=True)
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
    with _operator(given) as operator:
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
        print(f"- operator: {operator.memory()} MiB", flush=True)


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
            "worker": {"http": {"url": "http://sync-service/users/{userId}/sync", "timeout": "10s"}},
        },
    }


@contextmanager
def _operator(given: argparse.Namespace) -> Iterator[Operator]:
    """The operator from source, until the block ends. Its log is kept where the benchmark fails."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    command = [sys.executable, "-m", "benchmarks.measured_operator", "operator", "--port", "0"]
    command += ["--kubeconfig", str(given.kubeconfig), "--worker-image", given.image]
    environment = {**os.environ, "METER": str(folder / "turns.jsonl")}
    with (folder / "operator.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)
    print(f"- operator's log and turns: {folder}", file=sys.stderr, flush=True)
    try:
        yield Operator(process.pid, folder / "turns.jsonl")
    finally:
        process.terminate()
        process.wait(60)


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
