"""The operator's own pods: looking at them, killing them, taking all of them away."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster_support import Kubectl, eventually
from live.api import Api, Object

NAMESPACE = "periodic-sync"
SELECTOR = "app.kubernetes.io/name=periodic-sync"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"

_KILL = """
import os, re, signal, sys
uid = re.compile(sys.argv[1].replace("-", "[-_]"))
for process in filter(str.isdigit, os.listdir("/proc")):
    try:
        cgroup = open(f"/proc/{process}/cgroup").read()
        command = open(f"/proc/{process}/cmdline").read()
        if uid.search(cgroup) and "periodic_sync" in command:
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

    def await_ready(self, replicas: int = 1) -> list[Object]:
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
        lines: list[Object] = []
        for pod in self.pods():
            text = self.api.text(f"{PODS}/{pod['metadata']['name']}/log")
            lines += [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return lines

    def health(self) -> str:
        """What its liveness probe is answered."""
        [pod] = self.ready_pods()
        return self.api.text(f"{PODS}/{pod['metadata']['name']}:8080/proxy/healthz")

    def scale(self, replicas: int) -> None:
        self.kubectl("scale", "deployment/periodic-sync", f"--replicas={replicas}")

    @contextmanager
    def scaled_to(self, replicas: int) -> Iterator[None]:
        """That many operators while the block runs, and one afterwards."""
        self.scale(replicas)
        self.await_ready(replicas)
        try:
            yield
        finally:
            self.scale(1)
            self.await_ready()


@dataclass(frozen=True)
class Killer:
    """A pod that may kill processes of the node it runs on."""

    kubectl: Kubectl

    def kill(self, pod: Object) -> None:
        """SIGKILL to the process of this pod; then the pod goes too, so that its successor waits for no back-off."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        killed = self.kubectl("exec", "killer", "--", "python3", "-c", _KILL, uid)
        assert killed.strip(), f"no process of pod {name} was found"
        self.kubectl("delete", "pod", name, "-n", NAMESPACE, "--force", "--grace-period=0", "--wait=false")


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
