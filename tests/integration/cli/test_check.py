"""`check` on a real API server: everything as it should be, then one thing after the other amiss."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli_support import periodic_sync
from cluster_support import ROOT, Kubectl
from kustomize_support import rendered
from periodic_sync import __version__
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.leases import micro_time
from periodic_sync.kube.resources import LEASES
from periodic_sync.stores.redis.keys import Keys
from redis_support import redis_server

from .conftest import NAME, PASSWORD, PREFIX, Place

ROLES = {"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
OPERATOR_NAMESPACE = "periodic-sync"


@pytest.fixture(scope="session")
def manifests() -> list[dict[str, Any]]:
    """deploy/kustomize, but for the CRD, as it would be applied."""
    return [it for it in rendered("deploy/kustomize") if it["kind"] != "CustomResourceDefinition"]


@pytest.fixture
async def installed(api_server: Path, client: KubeClient, manifests: list[dict[str, Any]]) -> AsyncIterator[Kubectl]:
    """The operator's objects, with no node to run its pods; its Lease is written by the test."""
    kubectl = Kubectl(api_server, OPERATOR_NAMESPACE)
    parts = [it for it in manifests if it["kind"] in ROLES or it["kind"] == "Deployment"]
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(parts))
    await lease(client)
    yield kubectl
    kubectl("delete", "deployment", "periodic-sync", "--wait=true")
    kubectl("delete", "lease", "periodic-sync", "--ignore-not-found")


async def lease(client: KubeClient, *, age: float = 0.0, holder: str = "periodic-sync-0_1") -> None:
    renewed = (datetime.now(UTC) - timedelta(seconds=age)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 12, "renewTime": renewed, "acquireTime": renewed}
    body = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "periodic-sync"},
        "spec": spec,
    }
    await client.delete(LEASES, OPERATOR_NAMESPACE, "periodic-sync")
    await client.create(LEASES, OPERATOR_NAMESPACE, body)


@pytest.fixture
async def leading(client: KubeClient, installed: Kubectl) -> AsyncIterator[None]:
    """Somebody renews the Lease, however long the test takes."""

    async def renew() -> None:
        while True:
            spec = {"renewTime": micro_time(int(time.time() * 1000))}
            await client.merge(LEASES, OPERATOR_NAMESPACE, "periodic-sync", {"spec": spec})
            await asyncio.sleep(1)

    task = asyncio.create_task(renew())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


Lines = dict[str, list[tuple[str, str]]]
"""Result and message, by topic."""


async def checked(place: Place, *arguments: str) -> tuple[int, Lines]:
    done = await place.run("check", *arguments, "-o", "json")
    assert done.err == ""
    lines: Lines = {}
    for line in json.loads(done.out):
        lines.setdefault(line["topic"], []).append((line["result"], line["message"]))
    return done.code, lines


def results(lines: Lines) -> dict[str, str]:
    """The worst of each topic."""
    order = ("failed", "warning", "not looked at", "ok")
    return {topic: next(it for it in order if it in {result for result, _ in of}) for topic, of in lines.items()}


async def test_where_all_is_well_nothing_is_amiss_but_that_no_node_runs_it(
    place: Place, installed: Kubectl, leading: None
) -> None:
    await place.apply({"worker": {"http": {"url": "http://sync/{userId}"}}})
    await place.register("u1")
    await place.bench.operator().turn()
    kubectl = installed.within(place.bench.namespace)
    kubectl("create", "role", "redis", "--verb=get", "--resource=secrets", "--resource-name=redis")
    kubectl("create", "rolebinding", "redis", "--role=redis", "--serviceaccount=periodic-sync:periodic-sync")
    _, lines = await checked(place, NAME)
    found = results(lines)
    amiss = {topic for topic, result in found.items() if result not in ("ok", "not looked at")}
    assert amiss <= {"Redis's disk", "operator"}, lines
    assert "0 of 2 pods are available" in lines["operator"][0][1]
    for topic in ("API server", "Kubernetes", "clock", "CRD", "leader", "operator's rights", "Jobs", "pods"):
        assert found[topic] == "ok", lines[topic]
    assert lines["operator's version"] == [("ok", f"{__version__}, as this program's")]
    assert lines["CRD"] == [("ok", "syncpolicies.sync.moonx.farm is that of this program's version")]
    assert "see policies" in lines["your rights"][0][1]
    if place.redis:
        assert found["Redis"] == found["Redis's ACL"] == found["Redis's clock"] == "ok"
    else:
        assert lines["store"] == [("ok", "1 entries in 1 ConfigMaps")]
    assert PASSWORD not in json.dumps(lines)


async def test_as_a_person_reads_it(on_config_maps: Place) -> None:
    await on_config_maps.apply()
    done = await on_config_maps.run("check", NAME)
    assert done.code == 1
    assert re.search(rf"^failed +policy {NAME} +the operator has not taken it up", done.out, re.MULTILINE)
    assert "→" in done.out


async def test_without_an_operator(on_config_maps: Place) -> None:
    code, lines = await checked(on_config_maps, "--operator-namespace", on_config_maps.bench.namespace)
    assert code == 1
    assert results(lines)["operator"] == results(lines)["leader"] == "failed"
    assert lines["policies"] == [("ok", f"there are none in namespace {on_config_maps.bench.namespace}")]


async def test_an_operator_that_stands_still(on_config_maps: Place, installed: Kubectl, client: KubeClient) -> None:
    await lease(client, age=100)
    installed("patch", "deployment", "periodic-sync", "--type=merge", "-p", '{"spec": {"replicas": 0}}')
    code, lines = await checked(on_config_maps)
    assert code == 1
    assert "is scaled to 0" in lines["operator"][0][1]
    assert "has not renewed its Lease for 10" in lines["leader"][0][1]


async def test_rights_that_are_missing(on_config_maps: Place, installed: Kubectl) -> None:
    installed("delete", "clusterrolebinding", "periodic-sync-operator")
    code, lines = await checked(on_config_maps)
    assert code == 1
    ((result, message),) = lines["operator's rights"]
    assert result == "failed"
    assert "create jobs.batch" in message
    assert "leases" not in message


async def test_whoever_may_not_look_is_told_so(on_config_maps: Place, installed: Kubectl, tmp_path: Path) -> None:
    bench = on_config_maps.bench
    await on_config_maps.apply()
    await on_config_maps.register("u1")
    await bench.operator().turn()
    kubectl = installed.within(bench.namespace)
    kubectl("create", "serviceaccount", "person")
    kubectl("create", "role", "looks", "--verb=get", "--resource=syncpolicies.sync.moonx.farm")
    kubectl("create", "rolebinding", "looks", "--role=looks", f"--serviceaccount={bench.namespace}:person")
    config = yaml.safe_load(on_config_maps.api_server.read_text())
    config["users"] = [{"name": "person", "user": {"token": kubectl("create", "token", "person").strip()}}]
    config["contexts"][0]["context"] |= {"user": "person"}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    done = await periodic_sync("check", NAME, "-n", bench.namespace, "-o", "json", kubeconfig=file)
    found: dict[str, set[str]] = {}
    for line in json.loads(done.out):
        found.setdefault(line["topic"], set()).add(line["result"])
    assert done.code == 0, done.out
    for topic in ("CRD's schema", "operator", "leader", "store", "Jobs", "pods", "events", "worker's pods"):
        assert found[topic] == {"not looked at"}, done.out
    assert found["CRD"] == {"ok"}
    assert found["policy portfolios"] == {"ok"}


@pytest.mark.parametrize(
    ("change", "topic", "words"),
    [
        ({"worker": {"http": {"bearerTokenSecretRef": {"name": "no", "key": "k"}}}}, "worker", "Secret no, which"),
        (
            {"worker": {"envFrom": [{"configMapRef": {"name": "no"}}]}},
            "worker",
            "ConfigMap no, which worker.envFrom[0]",
        ),
        ({"worker": {"podTemplate": {"name": "no"}}}, "worker", "PodTemplate no, which"),
        ({"worker": {"resources": {"requests": {"memory": "8Gi"}}}}, "pods", "a pod would be refused"),
        ({"marketHours": {"timeZone": "Europe/Atlantis"}}, f"policy {NAME}", "is not a time zone"),
        ({"store": {"configMap": {"name": "no"}}}, "store", "ConfigMap no does not exist"),
    ],
)
async def test_what_a_policy_lacks(
    on_config_maps: Place, api_server: Path, change: dict[str, Any], topic: str, words: str
) -> None:
    bench = on_config_maps.bench
    quota = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "small"},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}, "default": {"memory": "64Mi"}}]},
    }
    Kubectl(api_server, bench.namespace).apply(quota)
    await on_config_maps.apply(change)
    await on_config_maps.register("u1")
    code, lines = await checked(on_config_maps, NAME)
    assert code == 1
    assert any(result == "failed" and words in message for result, message in lines[topic]), lines


async def test_warnings_of_the_last_hour_are_told(on_config_maps: Place, api_server: Path) -> None:
    await on_config_maps.apply()
    bench = on_config_maps.bench
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "one", "namespace": bench.namespace},
        "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "type": "Warning",
        "reason": "WorkerFailing",
        "action": "Schedule",
        "note": "three in a row",
        "reportingController": "test",
        "reportingInstance": "test",
        "regarding": {"kind": "SyncPolicy", "name": NAME, "namespace": bench.namespace, "uid": bench.policy.uid},
    }
    Kubectl(api_server, bench.namespace).apply(event)
    _, lines = await checked(on_config_maps, NAME)
    assert lines["events"] == [("warning", "WorkerFailing (1 in the last hour): three in a row")]


async def test_an_older_crd_is_told(on_config_maps: Place, api_server: Path) -> None:
    kubectl = Kubectl(api_server)
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/batchSize/maximum"
    patch = json.dumps([{"op": "replace", "path": path, "value": 500}])
    kubectl("patch", "crd", "syncpolicies.sync.moonx.farm", "--type=json", "-p", patch)
    try:
        _, lines = await checked(on_config_maps)
    finally:
        kubectl("apply", "-f", str(ROOT / "crds" / "syncpolicies.sync.moonx.farm.yaml"))
    ((result, message),) = lines["CRD"]
    assert result == "warning"
    assert "spec.batchSize differ" in message


async def test_a_redis_that_may_not_hold_users(on_redis: Place) -> None:
    await on_redis.apply()
    await on_redis.register("u1")
    async with redis_server(maxmemory_policy="allkeys-lru", maxmemory="100mb") as other:
        code, lines = await checked(on_redis, NAME, "--redis-url", other.url)
    assert code == 1
    assert results(lines)["Redis"] == "failed"
    assert "noeviction" in lines["Redis"][0][1]


async def test_a_redis_that_is_another_policy_s(on_redis: Place) -> None:
    await on_redis.apply()
    async with redis_server() as other:
        await other.command("HSET", Keys(PREFIX).meta, "owner", "another-cluster/elsewhere/other")
        _, lines = await checked(on_redis, NAME, "--redis-url", other.url)
    assert any("belongs to SyncPolicy elsewhere/other" in message for _, message in lines["Redis"]), lines["Redis"]


async def test_without_a_cluster(tmp_path: Path) -> None:
    done = await periodic_sync("check", "--kubeconfig", str(tmp_path / "none"))
    assert done.code == 1
    assert "failed" in done.out
    assert "There is no kubeconfig" in done.out
