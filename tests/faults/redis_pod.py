"""A Redis whose server can be killed, kept away, and started with older data, all by files in its pod."""

from dataclasses import dataclass

from cluster_support import Kubectl

POD, CLIENT = "redis", "client"
_SERVE = """
cd /data
while :; do
    if [ -e hold ]; then sleep 0.1; continue; fi
    redis-server --appendonly yes --save '' --maxmemory-policy noeviction --protected-mode no --dir /data &
    echo $! >pid
    wait $!
done
"""
_REGISTER = """
import asyncio, sys
from periodic_sync.client import Client

async def main():
    async with Client.for_redis(sys.argv[1], sys.argv[2]) as client:
        report = await client.import_users(sys.stdin)
        print(report)

asyncio.run(main())
"""


@dataclass(frozen=True)
class RedisPod:
    """`kubectl` works in the namespace that it is in."""

    kubectl: Kubectl

    @property
    def url(self) -> str:
        return f"redis://redis.{self.kubectl.namespace}.svc:6379"

    def kill(self) -> None:
        """SIGKILL, and no other server until `start`."""
        self._run("touch /data/hold && kill -KILL $(cat /data/pid)")

    def start(self) -> None:
        self._run("rm /data/hold")

    def copy(self) -> None:
        """Keep what it has written so far."""
        self._run("cp -r /data/appendonlydir /data/copy")

    def put_copy_back(self) -> None:
        """While it is away."""
        self._run("rm -r /data/appendonlydir && mv /data/copy /data/appendonlydir")

    def register(self, records: str, prefix: str) -> str:
        """By the client library, in a pod whose image has it. records: NDJSON."""
        command = ("exec", "-i", CLIENT, "--", "python3", "-c", _REGISTER, self.url, prefix)
        return self.kubectl(*command, stdin=records).strip()

    def _run(self, command: str) -> None:
        self.kubectl("exec", POD, "--", "sh", "-ec", command)


def start_redis(kubectl: Kubectl, *, redis_image: str, client_image: str) -> RedisPod:
    """With the Secret of its URL, which the operator may read; it runs when this returns."""
    mounts = [{"name": "data", "mountPath": "/data"}]
    serving = {"name": POD, "image": redis_image, "command": ["sh", "-c", _SERVE], "volumeMounts": mounts}
    waiting = {"name": CLIENT, "image": client_image, "command": ["python3", "-c", "import signal; signal.pause()"]}
    for container in (serving, waiting):
        about = {"name": container["name"], "labels": {"app": container["name"]}}
        data = {"name": "data", "emptyDir": {}}
        spec = {"containers": [container], "volumes": [data], "terminationGracePeriodSeconds": 0}
        kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec})
    kubectl("create", "service", "clusterip", POD, "--tcp=6379")
    redis = RedisPod(kubectl)
    kubectl("create", "secret", "generic", "redis", f"--from-literal=url={redis.url}")
    role = "periodic-sync-reads-redis"
    kubectl("create", "role", role, "--verb=get", "--resource=secrets", "--resource-name=redis")
    kubectl("create", "rolebinding", role, f"--role={role}", "--serviceaccount=periodic-sync:periodic-sync")
    kubectl("wait", f"pod/{POD}", f"pod/{CLIENT}", "--for=condition=Ready", "--timeout=50s")
    return redis
