"""Where the HTTP API is measured: an API server with the API's account, a policy on Redis, users and tokens."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.cluster import Cluster, wait_for
from benchmarks.operator_process import ROOT
from periodic_sync.client import Client
from tasks.paths import LOCAL_KIND

Object = dict[str, Any]
CLUSTER, NAMESPACE, POLICY = "bench-api", "bench-api", "portfolios"
PATH = f"/v1/namespaces/{NAMESPACE}/policies/{POLICY}"
CRD = ROOT / "crds" / "syncpolicies.sync.moonx.farm.yaml"
COMPONENT = ROOT / "deploy" / "kustomize" / "api"
ACCOUNTS = "periodic-sync"
"""The namespace of the API's own account, as the manifests have it."""
PREFIX = "bench:"


@dataclass(frozen=True)
class Place:
    """account: a kubeconfig of the API's own account. tokens: a file with a caller's token a line."""

    kubeconfig: Path
    account: Path
    tokens: Path
    users: int
    namespace: str = NAMESPACE


@contextmanager
def own_cluster(folder: Path, given: Path | None) -> Iterator[Path]:
    """Yields: the kubeconfig of the one that is given, or of one that is gone afterwards."""
    if given is not None:
        yield given
        return
    kubeconfig = folder / "kubeconfig"
    about = ["--name", CLUSTER, "--kubeconfig", str(kubeconfig)]
    try:
        _kind("create", "cluster", "--control-plane-only", *about)
        yield kubeconfig
    finally:
        _kind("delete", "cluster", *about)


def _kind(*arguments: str) -> None:
    subprocess.run([LOCAL_KIND, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def prepared(kubeconfig: Path, redis: str, folder: Path, *, users: int, tokens: int) -> Place:
    """All that is there before the first post."""
    cluster = Cluster(kubeconfig, NAMESPACE)
    cluster.kubectl("apply", "--server-side", "-f", str(CRD))
    wait_for("the CRD", lambda: "syncpolicies" in cluster.kubectl("api-resources", "--cached=false"), 30)
    for namespace in (ACCOUNTS, NAMESPACE):
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for name in ("service-account", "cluster-role", "application-roles"):
        Cluster(kubeconfig, ACCOUNTS).kubectl("apply", "--server-side", "-f", str(COMPONENT / f"{name}.yaml"))
    wait_for("the default account", lambda: "default" in cluster.kubectl("get", "serviceaccounts"), 30)
    cluster.apply(*_objects(redis))
    async with Client.for_redis(redis, PREFIX) as client:
        await client.import_users(_lines(users))
    file = folder / "tokens"
    file.write_text("".join(_token(cluster, "app", "--audience=periodic-sync") for _ in range(tokens)))
    return Place(kubeconfig, _account(cluster, folder), file, users)


def _lines(users: int) -> Iterator[str]:
    seen = datetime.now(UTC).isoformat(timespec="seconds")
    for number in range(users):
        record = {"userId": f"user-{number:08d}", "wallet": f"0x{number:040x}", "lastActive": seen}
        yield json.dumps(record)


def _objects(redis: str) -> Iterator[Object]:
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis"}, "stringData": {"url": redis}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app"}}
    group = "rbac.authorization.k8s.io"
    reads = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["redis"], "verbs": ["get"]}
    yield {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "reads-redis"}, "rules": [reads]}
    for name, kind, role, account, namespace in (
        ("app", "ClusterRole", "periodic-sync-activity-writer", "app", NAMESPACE),
        ("api-reads-redis", "Role", "reads-redis", "periodic-sync-api", ACCOUNTS),
    ):
        yield {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        }
    spec = {
        "intervals": {"marketHours": "5m", "offHours": "5m"},
        "batchSize": 100,
        "store": {"redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": PREFIX}},
        "jobs": {"usersPerMinute": 2_000},
        "worker": {"image": "none"},
    }
    about = {"name": POLICY, "namespace": NAMESPACE}
    yield {"apiVersion": "sync.moonx.farm/v1alpha1", "kind": "SyncPolicy", "metadata": about, "spec": spec}


def _token(cluster: Cluster, account: str, *options: str) -> str:
    return cluster.kubectl("create", "token", account, "--duration=1h", *options).strip() + "\n"


def _account(cluster: Cluster, folder: Path) -> Path:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    [context] = [each for each in config["contexts"] if each["name"] == config["current-context"]]
    token = _token(Cluster(cluster.kubeconfig, ACCOUNTS), "periodic-sync-api").strip()
    config["users"] = [{"name": context["context"]["user"], "user": {"token": token}}]
    target = folder / "api-kubeconfig"
    target.write_text(yaml.safe_dump(config))
    return target
