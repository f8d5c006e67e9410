"""One server for the session, as the account that ships, and for each test a namespace with a policy and callers."""

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster_support import Kubectl
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import CONFIG_MAPS, SECRETS, SYNC_POLICIES, Resource
from policy_support import policy_body, spec_with
from redis_support import Server, redis_server
from server_support import ACCOUNT, AUDIENCE, NAMESPACE, Caller, ServerProcess, install_account, serving
from turns_support import ACCOUNTS, NAMESPACES

POLICY, STORE = "portfolios", "user-activity"
REDIS_STORE = {"configMap": None, "redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": "p:"}}
ROLES = {
    "writer": "periodic-sync-activity-writer",
    "reader": "periodic-sync-user-reader",
    "manager": "periodic-sync-user-manager",
    "watcher": "periodic-sync-event-reader",
    "nobody": "",
}


@dataclass(frozen=True)
class Place:
    """A namespace with a policy, and accounts in it that have a role each."""

    namespace: str
    kubectl: Kubectl
    server: ServerProcess
    client: KubeClient
    tokens: Mapping[str, str] = field(repr=False)

    @property
    def path(self) -> str:
        return f"/v1/namespaces/{self.namespace}/policies/{POLICY}"

    def caller(self, role: str, *, on: ServerProcess | None = None) -> Caller:
        """role: "" for somebody without a token."""
        return (on or self.server).caller(self.tokens[role] if role else "", self.path)

    async def token(self, account: str, audience: str) -> str:
        return await _token(self.client, self.namespace, account, audience)


@pytest.fixture(scope="session")
def account(api_server: Path, crd: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_account(api_server, tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="session")
async def server(account: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    async with serving(account, tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture(scope="session")
async def redis() -> AsyncIterator[Server]:
    async with redis_server() as server:
        yield server


@pytest.fixture
async def place(client: KubeClient, api_server: Path, server: ServerProcess) -> AsyncIterator[Place]:
    """With a policy on ConfigMaps."""
    namespace = f"api-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, None, {"metadata": {"name": namespace}})
    for kind, body in _accounts(namespace):
        await client.create(kind, namespace, body)
    tokens = {role: await _token(client, namespace, role, AUDIENCE) for role in ROLES}
    await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": STORE}})
    await client.create(SYNC_POLICIES, namespace, policy_body(spec_with({}), name=POLICY, namespace=namespace))
    yield Place(namespace, Kubectl(api_server, namespace), server, client, tokens)
    await client.delete(NAMESPACES, None, namespace)


@pytest.fixture(params=["ConfigMap", "Redis"])
async def both(request: pytest.FixtureRequest, place: Place, redis: Server) -> Place:
    """The place with a policy on either store."""
    if request.param == "Redis":
        await redis.command("FLUSHALL")
        await on_redis(place, redis)
    return place


async def on_redis(place: Place, redis: Server) -> None:
    """The policy is on Redis instead, whose Secret the API may read."""
    secret = {"metadata": {"name": "redis"}, "stringData": {"url": redis.url}}
    await place.client.create(SECRETS, place.namespace, secret)
    place.kubectl("create", "role", "reads", "--verb=get", "--resource=secrets", "--resource-name=redis")
    place.kubectl("create", "rolebinding", "reads", "--role=reads", f"--serviceaccount={NAMESPACE}:{ACCOUNT}")
    await place.client.merge(SYNC_POLICIES, place.namespace, POLICY, {"spec": {"store": REDIS_STORE}})


async def _token(client: KubeClient, namespace: str, account: str, audience: str) -> str:
    """By a TokenRequest."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [audience]}}
    path = Resource("/api/v1", f"serviceaccounts/{account}/token")
    made = await client.create(path, namespace, request)
    return str(made["status"]["token"])


def _accounts(namespace: str) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for name, role in ROLES.items():
        yield ACCOUNTS, {"metadata": {"name": name}}
        if role:
            yield (
                Resource("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
                {
                    "metadata": {"name": name},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                    "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
                },
            )
