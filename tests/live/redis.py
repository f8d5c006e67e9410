"""The Redis of examples/redis in the cluster: asked, and killed."""

from dataclasses import dataclass

from cluster_support import Kubectl
from live.api import Api, Object
from live.operator import Killer

POD = "redis-0"


@dataclass(frozen=True)
class Redis:
    """`kubectl` works in the namespace that it is in."""

    kubectl: Kubectl
    api: Api
    killer: Killer

    def pod(self) -> Object:
        found: Object = self.api.get(f"/api/v1/namespaces/{self.kubectl.namespace}/pods/{POD}")
        return found

    def answer(self, *words: str) -> str:
        return self.kubectl("exec", POD, "--", "redis-cli", *words).strip()

    def kill(self) -> None:
        """SIGKILL to the server: its container is started again."""
        self.killer.kill_program(self.pod(), "redis-server")

    def restarts(self) -> int:
        [state] = self.pod()["status"]["containerStatuses"]
        return int(state["restartCount"])
