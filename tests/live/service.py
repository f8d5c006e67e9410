"""The quickstart's sync service, in a namespace of a test's own."""

from dataclasses import dataclass
from typing import Any

import yaml

from cluster_support import ROOT, Kubectl
from live.api import Api, Object

QUICKSTART = ROOT / "examples" / "quickstart"


@dataclass(frozen=True)
class SyncService:
    """A service that runs and counts what it is asked."""

    api: Api
    namespace: str

    @property
    def worker(self) -> Object:
        """`spec.worker` that calls it. One attempt a user, and no second one in the same batch."""
        url = f"http://sync-service.{self.namespace}.svc/users/{{userId}}/sync"
        return {"http": {"url": url, "timeout": "10s", "attempts": 1}}

    def control(self, **switches: object) -> None:
        """See examples/quickstart/sync_service.py."""
        self.api.post(f"{self._path}/control", switches)

    def users(self) -> dict[str, Any]:
        """What is known of each user it was asked for."""
        found: dict[str, Any] = self.api.get(f"{self._path}/stats")["users"]
        return found

    def synced(self, suffix: str = "") -> dict[str, int]:
        """How often each user was synced; `suffix`: only users whose id ends so."""
        return {user: seen["synced"] for user, seen in self.users().items() if user.endswith(suffix)}

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/services/sync-service:http/proxy"


def start_service(kubectl: Kubectl, api: Api, image: str) -> SyncService:
    """Apply the quickstart's manifests in kubectl's namespace, without waiting; `await_service` does."""
    program = (QUICKSTART / "sync_service.py").read_text()
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sync-service"}}
    manifests: list[Object] = [{**data, "data": {"sync_service.py": program}}]
    manifests += yaml.safe_load_all((QUICKSTART / "sync-service.yaml").read_text())
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            manifest["spec"]["template"]["spec"]["containers"][0]["image"] = image
    kubectl.apply({"apiVersion": "v1", "kind": "List", "items": manifests})
    return SyncService(api, kubectl.namespace)


def await_service(kubectl: Kubectl) -> None:
    kubectl("rollout", "status", "deployment/sync-service", "--timeout=50s")
