"""A kubelet played by tests, for API servers without a node: it starts pods, ends them, and keeps account of both.

Like a real one it starts a pod only if the batch file that it mounts is there. All else is the real Job controller's.
"""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from periodic_sync.api.errors import NotFoundError
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.resources import CONFIG_MAPS, PODS

WORKER = "worker"


@dataclass(frozen=True)
class End:
    """How a worker ends: its exit code and its termination message."""

    code: int = 0
    message: str = ""
    reason: str = ""
    """`status.reason` of the pod, such as `Evicted`."""
    failed: frozenset[str] | None = None
    """Users who were not synced; None: all or none, by the exit code."""

    def synced(self, users: frozenset[str]) -> frozenset[str]:
        if self.failed is None:
            return frozenset() if self.code else users
        return users - self.failed


SUCCESS = End()


def naming(*user_ids: str) -> End:
    """A worker that failed for these users."""
    message = json.dumps({"version": 1, "failed": dict.fromkeys(user_ids, "rpc timeout")})
    return End(1, message, failed=frozenset(user_ids))


Worker = Callable[[list[str]], End]


@dataclass(frozen=True)
class Pod:
    """A pod that was started: what of it matters here."""

    name: str
    job: str
    users: frozenset[str]


@dataclass
class Kubelet:
    client: KubeClient
    namespace: str
    worker: Worker = lambda users: SUCCESS
    running: dict[str, Pod] = field(default_factory=dict)
    """By the pod's UID."""
    started: Counter[str] = field(default_factory=Counter)
    """How often each user's sync began."""
    synced: Counter[str] = field(default_factory=Counter)
    _known: set[str] = field(default_factory=set)

    async def start(self) -> int:
        """Start every pod that can be started. Returns: how many run now."""
        pods = await self.client.list(PODS, self.namespace)
        self._notice_the_gone(pods)
        for pod in pods:
            about = pod["metadata"]
            if about.get("deletionTimestamp"):
                await self._kill(pod)
            if about["uid"] in self._known or about.get("deletionTimestamp") or "nodeName" in pod["spec"]:
                continue
            users = await self._mounted_users(pod)
            if users is None:
                continue
            for other in self.running.values():
                assert not other.users & users, f"{other.users & users} are synced by {other.name} and {about['name']}"
            self._known.add(about["uid"])
            self.running[about["uid"]] = Pod(about["name"], about["labels"]["job-name"], users)
            self.started.update(users)
            await self._bind(about["name"])
            await self._write(about["uid"], self.running[about["uid"]], "Running", {"running": {}})
        return len(self.running)

    async def hold_back(self, reason: str) -> int:
        """Every pod is given its node, and waits there for that reason. Returns: how many there are."""
        pods = await self.client.list(PODS, self.namespace)
        for pod in pods:
            about = pod["metadata"]
            if "nodeName" not in pod["spec"]:
                await self._bind(about["name"])
                held = Pod(about["name"], about["labels"]["job-name"], frozenset())
                await self._write(about["uid"], held, "Pending", {"waiting": {"reason": reason, "message": "no such"}})
        return len(pods)

    async def end(self, most: int = 1000) -> None:
        """Let the workers end that have run longest."""
        for uid, pod in list(self.running.items())[:most]:
            end = self.worker(sorted(pod.users))
            await self._end(uid, pod, end)
            del self.running[uid]
            self.synced.update(end.synced(pod.users))

    async def _end(self, uid: str, pod: Pod, end: End) -> None:
        terminated = {"exitCode": end.code, "reason": "Error" if end.code else "Completed", "message": end.message}
        state = {} if end.reason else {"terminated": terminated}
        await self._write(uid, pod, "Failed" if end.code else "Succeeded", state, reason=end.reason)

    async def _bind(self, name: str) -> None:
        """What runs has a node. It is the namespace's own, so that nothing is scheduled by others."""
        body = {"metadata": {"name": name}, "target": {"kind": "Node", "name": self.namespace}}
        await self.client._send("POST", PODS.path(self.namespace, name, "binding"), body=body)

    async def _kill(self, pod: Object) -> None:
        """A pod that is deleted ends, and is gone once its node says so."""
        about = pod["metadata"]
        if about["uid"] in self.running:
            await self._end(about["uid"], self.running.pop(about["uid"]), End(143))
        path = PODS.path(self.namespace, about["name"])
        with suppress(NotFoundError):
            await self.client._send("DELETE", path, body={"gracePeriodSeconds": 0})

    def _notice_the_gone(self, pods: list[Object]) -> None:
        uids = {pod["metadata"]["uid"] for pod in pods}
        self.running = {uid: pod for uid, pod in self.running.items() if uid in uids}

    async def _mounted_users(self, pod: Object) -> frozenset[str] | None:
        index = pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
        (name,) = [volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if "configMap" in volume]
        found = await self.client.list(CONFIG_MAPS, self.namespace, fields=f"metadata.name={name}")
        return frozenset(user["id"] for user in json.loads(found[0]["data"][index])["users"]) if found else None

    async def _write(self, uid: str, pod: Pod, phase: str, state: Object, *, reason: str = "") -> None:
        container = {"name": WORKER, "state": state, "ready": False, "restartCount": 0, "image": "w", "imageID": "w"}
        status: Object = {"phase": phase, "containerStatuses": [container]}
        if reason:
            status["reason"] = reason
        path = PODS.path(self.namespace, pod.name, "status")
        patch = {"metadata": {"uid": uid}, "status": status}
        await self.client._send("PATCH", path, body=patch, content_type="application/merge-patch+json")
