"""`periodic-sync server` as a process of a test's own, its account in Kubernetes, and callers with tokens."""

import asyncio
import json
import sys
from asyncio.subprocess import STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from cluster_support import Kubectl
from kustomize_support import overlay
from operator_process import PATIENCE, environment, free_port
from turns_support import until

NAMESPACE, ACCOUNT, AUDIENCE = "periodic-sync", "periodic-sync-api", "periodic-sync"
RBAC = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def install_account(
    api_server: Path,
    folder: Path,
    *,
    namespace: str = NAMESPACE,
    components: Sequence[str] = ("api",),
    suffix: str = "",
) -> Path:
    """The API's own account with the rights that ship. Returns: a kubeconfig with a token of it.

    suffix: of the names, where others of that name are there already.
    """
    kubectl = Kubectl(api_server, namespace)
    made = overlay(*(f"deploy/kustomize/{each}" for each in components), namespace=namespace, nameSuffix=suffix)
    manifests = [item for item in made if item["kind"] in RBAC]
    manifests.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    manifests.sort(key=lambda item: item["kind"] != "Namespace")
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    config = yaml.safe_load(api_server.read_text())
    token = kubectl("create", "token", ACCOUNT + suffix, "--duration=1h").strip()
    [context] = [each for each in config["contexts"] if each["name"] == config["current-context"]]
    config["users"] = [{"name": context["context"]["user"], "user": {"token": token}}]
    target = folder / "api-kubeconfig"
    target.write_text(yaml.safe_dump(config))
    return target


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @cached_property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """Of a problem, which it must be."""
        assert self.headers["content-type"] == "application/problem+json", self.text
        assert self.json["status"] == self.status
        assert self.json["detail"]
        return str(self.json["code"])


@dataclass(frozen=True)
class Caller:
    """Somebody with a token, or with none."""

    base: str
    token: str = field(repr=False)
    policy: str = ""
    """The path of the policy that paths without a leading slash are of."""

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """body: to be sent as JSON; bytes as they are."""
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            headers = {"Content-Type": "application/json", **headers}
        url = self.base + (path if path.startswith("/") else f"{self.policy}/{path}")
        async with aiohttp.ClientSession() as session, session.request(method, url, data=data, headers=headers) as got:
            return Reply(got.status, {key.lower(): value for key, value in got.headers.items()}, await got.text())


class ServerProcess:
    """`periodic-sync server` on loopback, its log in a file."""

    def __init__(self, kubeconfig: Path, log: Path, *options: str) -> None:
        self.kubeconfig, self.log, self.options = kubeconfig, log, options
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.process: Process | None = None

    async def start(self) -> None:
        """Return once it is ready."""
        command = [sys.executable, "-m", "periodic_sync.cli.main", "server", "--kubeconfig", str(self.kubeconfig)]
        scheme = [] if "--tls-cert-file" in self.options else ["--insecure-http"]
        with self.log.open("w") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, "--port", str(self.port), *scheme, *self.options, env=environment(), stdout=log, stderr=STDOUT
            )
        if scheme:
            await until(self._is_ready)

    async def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, f"the server ended:\n{self.log.read_text()}"
        with suppress(aiohttp.ClientConnectionError):
            return (await self.caller("")("GET", "/readyz")).status == 200
        return False

    def caller(self, token: str, policy: str = "") -> Caller:
        return Caller(self.base, token, policy)

    async def end(self) -> int:
        """SIGTERM. Returns: the exit code."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.terminate()
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def serving(kubeconfig: Path, log: Path, *options: str) -> AsyncIterator[ServerProcess]:
    server = ServerProcess(kubeconfig, log, *options)
    try:
        await server.start()
        yield server
    finally:
        if server.process is not None:
            await server.end()
        print(server.log.read_text())
