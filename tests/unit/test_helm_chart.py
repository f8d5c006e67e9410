"""The Helm chart says what the manifests for kustomize say, and refuses values that it would pass over."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster_support import ROOT
from kustomize_support import overlay

HELM = Path(sys.executable).with_name("helm")
CHART = ROOT / "deploy/helm/periodic-sync"
NAMESPACE = "periodic-sync"
ALL_OF_IT = (
    "api.enabled=true",
    "networkPolicies.enabled=true",
    *(f"monitoring.{part}=true" for part in ("podMonitor", "rules", "dashboard")),
)
COMPONENTS = ("deploy/kustomize/api", "deploy/kustomize/network-policy", "deploy/monitoring")

Key = tuple[str, str, str]
Objects = dict[Key, dict[str, Any]]


def helm(*values: str) -> "subprocess.CompletedProcess[str]":
    settings = [word for value in values for word in ("--set", value)]
    command = [str(HELM), "template", "periodic-sync", str(CHART), "--namespace", NAMESPACE, *settings]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def chart(*values: str) -> Objects:
    done = helm(*values)
    assert done.returncode == 0, done.stderr
    return by_name(yaml.safe_load_all(done.stdout))


def by_name(items: Iterable[dict[str, Any]]) -> Objects:
    found = [item for item in items if item]
    names = [(it["kind"], it["metadata"].get("namespace", ""), it["metadata"]["name"]) for it in found]
    assert len(names) == len(set(names)), "two objects of one name"
    return dict(zip(names, found, strict=True))


def kustomized() -> Objects:
    """deploy/kustomize with its components."""
    found = by_name(overlay(*COMPONENTS, resources=["deploy/kustomize"]))
    del found["Namespace", "", NAMESPACE]  # which `helm install --create-namespace` makes
    return found


def without_what_differs(item: dict[str, Any]) -> dict[str, Any]:
    """Neither the labels and annotations of helm, nor what kustomize leaves to defaults."""
    item = {**item, "metadata": {**item["metadata"]}}
    item["metadata"].pop("annotations", None)
    labels = item["metadata"].pop("labels", {})
    item["labels"] = {key: value for key, value in labels.items() if "aggregate-to" in key or "grafana" in key}
    if item["kind"] == "Deployment":
        for container in item["spec"]["template"]["spec"]["containers"]:
            assert container.pop("imagePullPolicy", "IfNotPresent") == "IfNotPresent"
    if item["kind"] == "Service":
        assert item["spec"].pop("type", "ClusterIP") == "ClusterIP"
    return item


def test_it_installs_what_the_manifests_for_kustomize_install() -> None:
    expected = {key: without_what_differs(item) for key, item in kustomized().items()}
    found = {key: without_what_differs(item) for key, item in chart(*ALL_OF_IT).items()}
    assert found.keys() == expected.keys()
    for key, item in expected.items():
        assert found[key] == item, key


def test_by_itself_it_installs_the_operator_alone() -> None:
    found = chart()
    assert {name for kind, _, name in found if kind == "Deployment"} == {"periodic-sync"}
    assert {"PodMonitor", "PrometheusRule", "ConfigMap"}.isdisjoint(kind for kind, _, _ in found)


CRD = ("CustomResourceDefinition", "", "syncpolicies.sync.moonx.farm")


@pytest.mark.parametrize(
    ("values", "annotations"),
    [
        pytest.param([], {"helm.sh/resource-policy": "keep"}, id="its policies outlive the release"),
        pytest.param(["crds.keep=false"], None, id="unless they are not to"),
    ],
)
def test_the_resource_is_kept(values: list[str], annotations: dict[str, str] | None) -> None:
    assert chart(*values)[CRD]["metadata"].get("annotations") == annotations


def test_the_resource_can_be_left_to_others() -> None:
    assert CRD not in chart("crds.install=false")


def test_with_one_namespace_to_serve_rights_are_granted_there_alone() -> None:
    found = chart("operator.namespace=shop", "api.enabled=true")
    in_cluster = [
        rule
        for (kind, _, name), it in found.items()
        if kind == "ClusterRole"
        for rule in it["rules"]
        if name in ("periodic-sync-operator-shop", "periodic-sync-api-shop")
    ]
    assert {resource for rule in in_cluster for resource in rule["resources"]} == {
        "namespaces",
        "customresourcedefinitions",
        "tokenreviews",
        "subjectaccessreviews",
    }
    everywhere = {(kind, name): it for (kind, _, name), it in chart("api.enabled=true").items()}
    for name, account in (("periodic-sync-operator", "periodic-sync"), ("periodic-sync-api", "periodic-sync-api")):
        rules = found["ClusterRole", "", f"{name}-shop"]["rules"] + found["Role", "shop", name]["rules"]
        assert sorted(map(str, rules)) == sorted(map(str, everywhere["ClusterRole", name]["rules"]))
        [subject] = found["RoleBinding", "shop", name]["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
        deployment = found["Deployment", NAMESPACE, account]
        assert "--namespace=shop" in deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    [by_name, _] = found["Role", NAMESPACE, "periodic-sync-leader-election"]["rules"]
    assert by_name["resourceNames"] == ["periodic-sync-shop"]


def test_the_secrets_that_are_named_may_be_read_and_no_others() -> None:
    found = chart("redisSecrets[0].namespace=shop", "redisSecrets[0].name=redis", "api.enabled=true")
    reading = {key: it for key, it in found.items() if "secrets" in str(it.get("rules"))}
    assert reading.keys() == {("Role", "shop", "periodic-sync-reads-redis")}
    [role] = reading.values()
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["redis"], "verbs": ["get"]}
    ]
    binding = found["RoleBinding", "shop", "periodic-sync-reads-redis"]
    assert [subject["name"] for subject in binding["subjects"]] == ["periodic-sync", "periodic-sync-api"]


@pytest.mark.parametrize(
    ("values", "image"),
    [
        (["image.repository=r.example/sync"], "r.example/sync:0.1.0"),
        (["image.tag=edge"], "periodic-sync:edge"),
        ([f"image.digest=sha256:{'a' * 64}"], f"periodic-sync@sha256:{'a' * 64}"),
    ],
)
def test_the_image_is_the_operators_and_the_workers(values: list[str], image: str) -> None:
    [operator] = chart(*values)["Deployment", NAMESPACE, "periodic-sync"]["spec"]["template"]["spec"]["containers"]
    assert operator["image"] == image
    assert {"name": "WORKER_IMAGE", "value": image} in operator["env"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("operator.replica=3", "replica"),
        ("operator.logLevel=chatty", "logLevel"),
        ("image.digest=latest", "digest"),
        ("operator.namespace=Shop", "namespace"),
        ("redisSecrets[0].name=redis", "namespace is required"),
    ],
)
def test_a_value_that_means_nothing_is_refused(value: str, words: str) -> None:
    done = helm(value)
    assert done.returncode != 0
    assert words in done.stderr


def test_the_version_is_the_packages() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert f'version = "{about["version"]}"' in (ROOT / "pyproject.toml").read_text()
    assert about["appVersion"] == about["version"]
