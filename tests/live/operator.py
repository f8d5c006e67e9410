"""The operator's own pods: looking at them, killing them, taking all of them away."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from cluster_support import Kubectl, eventually
from live.api import Api, Object
from scraping import Scrape

NAMESPACE = "periodic-sync"
SELECTOR = "app.kubernetes.io/name=periodic-sync"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/periodic-sync"
REPLICAS = 2
"""As deploy/kustomize has it."""

_KILL = """
import os, re, signal, sys
uid = re.compile(sys.argv[1].replace("-", "[-_]"))
for process in filter(str.isdigit, os.listdir("/proc")):
    try:
        cgroup = open(f"/proc/{process}/cgroup").read()
        command = open(f"/proc/{process}/cmdline").read()
        if uid.search(cgroup) and sys.argv[2] in command:
            os.kill(int(process), signal.SIGKILL)
            print(process)
    except (FileNotFoundError, ProcessLookupError):
        pass
"""
"""Sees all processes of the node, finds those of one pod by the UID in their cgroup. A container's own first process
can't be killed from inside, and `kubectl delete --force` is a SIGTERM, two seconds before it is a SIGKILL."""


@dataclass(frozen=True)
class Operator:
    """The operator as it is deployed in the cluster."""

    kubectl: Kubectl
    api: Api

    def pods(self) -> list[Object]:
        return self.api.items(f"{PODS}?labelSelector={SELECTOR}")

    def ready_pods(self) -> list[Object]:
        return [pod for pod in self.pods() if _is_ready(pod) and not pod["metadata"].get("deletionTimestamp")]

    def leader(self) -> Object:
        """The pod that holds the Lease."""
        holder = self.api.get(LEASE)["spec"].get("holderIdentity") or "nobody"
        found = [pod for pod in self.pods() if pod["metadata"]["name"] == holder.rpartition("_")[0]]
        assert found, f"{holder} holds the Lease, which is no pod of the operator"
        return found[0]

    def led_since(self) -> float:
        """When the leader took the Lease, in seconds since the epoch."""
        taken: str = self.api.get(LEASE)["spec"]["acquireTime"]
        return datetime.fromisoformat(taken).timestamp()

    def await_ready(self, replicas: int = REPLICAS) -> list[Object]:
        def are_ready() -> list[Object]:
            ready, pods = self.ready_pods(), self.pods()
            assert len(ready) == len(pods) == replicas, f"{len(ready)} of {len(pods)} operator pods are ready"
            return ready

        found: list[Object] = eventually(are_ready, seconds=60)
        return found

    def restarts(self) -> int:
        return sum(state["restartCount"] for pod in self.pods() for state in pod["status"]["containerStatuses"])

    def log(self) -> list[Object]:
        """The lines of all its present pods."""
        return [line for pod in self.pods() for line in self.log_of(pod)]

    def log_of(self, pod: Object) -> list[Object]:
        text = self.api.text(f"{PODS}/{pod['metadata']['name']}/log")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def health(self) -> list[str]:
        """What the liveness probe of each pod is answered."""
        return [self.api.text(f"{PODS}/{pod['metadata']['name']}:8080/proxy/healthz") for pod in self.ready_pods()]

    def scrape_leader(self) -> Scrape:
        """What `/metrics` of the leader says."""
        return self._scrape(self.leader())

    def scrape_standbys(self) -> list[Scrape]:
        leader = self.leader()["metadata"]["name"]
        return [self._scrape(pod) for pod in self.ready_pods() if pod["metadata"]["name"] != leader]

    def _scrape(self, pod: Object) -> Scrape:
        return Scrape(self.api.text(f"{PODS}/{pod['metadata']['name']}:8080/proxy/metrics"))

    def scale(self, replicas: int) -> None:
        self.kubectl("scale", "deployment/periodic-sync", f"--replicas={replicas}")

    @contextmanager
    def scaled_to(self, replicas: int) -> Iterator[None]:
        """That many operators while the block runs, and afterwards as many as before."""
        before = self._deployment()["spec"]["replicas"]
        self.scale(replicas)
        self.await_ready(replicas)
        try:
            yield
        finally:
            self.scale(before)
            self.await_ready(before)

    @contextmanager
    def started_with(self, *options: str, replicas: int) -> Iterator[None]:
        """Operators with these options besides their own, while the block runs."""
        before = self._deployment()["spec"]
        arguments = before["template"]["spec"]["containers"][0]["args"]
        self._roll_out([*arguments, *options], replicas)
        try:
            yield
        finally:
            self._roll_out(arguments, before["replicas"])

    def _roll_out(self, arguments: list[str], replicas: int) -> None:
        patch = [
            {"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": arguments},
            {"op": "replace", "path": "/spec/replicas", "value": replicas},
        ]
        self.kubectl("patch", "deployment/periodic-sync", "--type=json", "-p", json.dumps(patch))
        self.kubectl("rollout", "status", "deployment/periodic-sync", "--timeout=55s")
        self.await_ready(replicas)

    def _deployment(self) -> Object:
        return self.kubectl.get("deployment", "periodic-sync")


@dataclass(frozen=True)
class Killer:
    """A pod that may kill processes of the node it runs on."""

    kubectl: Kubectl

    def kill(self, pod: Object) -> float:
        """SIGKILL to the process of this pod; then the pod goes too, so that its successor waits for no back-off.

        Returns: a moment when it was certainly dead, in seconds since the epoch.
        """
        name, dead = pod["metadata"]["name"], self.kill_program(pod, "periodic_sync")
        self.kubectl("delete", "pod", name, "-n", NAMESPACE, "--force", "--grace-period=0", "--wait=false")
        return dead

    def kill_program(self, pod: Object, program: str) -> float:
        """SIGKILL to the processes of this pod in whose command that is. Returns: as `kill`."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        killed = self.kubectl("exec", "killer", "--", "python3", "-c", _KILL, uid, program)
        dead = time.time()
        assert killed.strip(), f"no process of pod {name} was found"
        return dead


def start_killer(kubectl: Kubectl, image: str) -> Killer:
    """In kubectl's namespace, on the one node that test clusters have; ready to kill when this returns."""
    container = {
        "name": "killer",
        "image": image,
        "command": ["python3", "-c", "import signal; signal.pause()"],
        "securityContext": {"runAsUser": 0, "privileged": True},
    }
    spec = {"hostPID": True, "containers": [container], "terminationGracePeriodSeconds": 0}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "killer"}, "spec": spec})
    kubectl("wait", "pod/killer", "--for=condition=Ready", "--timeout=50s")
    return Killer(kubectl)


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
