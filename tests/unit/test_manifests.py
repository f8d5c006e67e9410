"""The manifests as `kubectl apply -k` would send them, and the locks of what goes into the image."""

import re
import tomllib
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import typer
import yaml

import kustomize_support
from cluster_support import ROOT
from kustomize_support import overlay
from periodic_sync.cli.server import server as server_command
from periodic_sync.controller.operator import LEASE_NAME

WRITES = {"create", "update", "patch", "delete", "deletecollection"}


rendered = cache(kustomize_support.rendered)


def the(kind: str, name: str, folder: str = "deploy/kustomize") -> dict[str, Any]:
    return next(item for item in rendered(folder) if (item["kind"], item["metadata"]["name"]) == (kind, name))


def test_the_operator_runs_workers_from_its_own_image() -> None:
    [operator] = the("Deployment", "periodic-sync")["spec"]["template"]["spec"]["containers"]
    assert {"name": "WORKER_IMAGE", "value": operator["image"]} in operator["env"]
    assert re.fullmatch(r"periodic-sync:\d+\.\d+\.\d+", operator["image"])


def test_the_image_version_is_the_packages() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for folder, name in (("deploy/kustomize", "periodic-sync"), ("examples/quickstart", "sync-service")):
        [container] = the("Deployment", name, folder)["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"periodic-sync:{version}"


def operator_rules() -> list[tuple[str, str]]:
    """Every (resource, verb) that the operator is granted in all namespaces."""
    rules = the("ClusterRole", "periodic-sync-operator")["rules"]
    return [(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]]


def test_the_operator_is_granted_nothing_by_wildcard() -> None:
    assert "*" not in {word for rule in operator_rules() for word in rule}


@pytest.mark.parametrize(
    ("resource", "verbs"),
    [
        ("secrets", set()),
        ("podtemplates", {"get"}),
        ("syncpolicies", {"get", "list", "watch"}),
        ("pods", {"list"}),
    ],
)
def test_the_operator_may_do_no_more_than_this_with(resource: str, verbs: set[str]) -> None:
    assert {verb for granted, verb in operator_rules() if granted == resource} == verbs


def test_of_leases_the_operator_may_use_its_own_and_only_where_it_runs() -> None:
    assert "leases" not in {resource for resource, _ in operator_rules()}
    role = the("Role", "periodic-sync-leader-election")
    assert role["metadata"]["namespace"] == "periodic-sync"
    by_name, to_create = role["rules"]
    assert (by_name["resourceNames"], set(by_name["verbs"])) == ([LEASE_NAME], {"get", "list", "watch", "update"})
    assert to_create["verbs"] == ["create"]
    assert all(rule["resources"] == ["leases"] for rule in role["rules"])


def test_a_budget_and_a_rollout_leave_one_operator_to_lead() -> None:
    deployment, budget = the("Deployment", "periodic-sync")["spec"], the("PodDisruptionBudget", "periodic-sync")["spec"]
    assert deployment["replicas"] - budget["maxUnavailable"] == 1
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert budget["selector"] == deployment["selector"]


def test_operators_are_spread_over_nodes_where_there_are_several_and_one_node_is_enough() -> None:
    spec = the("Deployment", "periodic-sync")["spec"]["template"]["spec"]
    spread = {each["topologyKey"]: each["whenUnsatisfiable"] for each in spec["topologySpreadConstraints"]}
    assert spread == dict.fromkeys(["kubernetes.io/hostname", "topology.kubernetes.io/zone"], "ScheduleAnyway")


def test_the_operator_learns_its_name_and_namespace_for_the_lease() -> None:
    [operator] = the("Deployment", "periodic-sync")["spec"]["template"]["spec"]["containers"]
    fields = {
        each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in operator["env"] if "valueFrom" in each
    }
    assert fields == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}


def test_viewers_write_nothing_and_only_those_who_may_create_jobs_write_policies() -> None:
    viewer, editor = the("ClusterRole", "periodic-sync-viewer"), the("ClusterRole", "periodic-sync-editor")
    assert not WRITES & {verb for rule in viewer["rules"] for verb in rule["verbs"]}
    aggregated = {key for key in editor["metadata"]["labels"] if "aggregate-to" in key}
    assert {key.rpartition("-")[2] for key in aggregated} == {"edit", "admin"}
    assert {resource for rule in editor["rules"] for resource in rule["resources"]} == {"syncpolicies"}


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt"])
def test_every_package_is_locked_to_one_version_with_hashes_and_no_index_is_named(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    packages = [line for line in text.splitlines() if re.match(r"[a-z]", line)]
    assert packages
    assert [line for line in packages if not re.match(r"[a-z0-9._-]+==\S+( ; .+)? \\$", line)] == []
    assert text.count("--hash=sha256:") >= len(packages)
    assert "://" not in text


def test_what_the_project_needs_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for lock, wanted in (
        ("runtime.txt", project["project"]["dependencies"]),
        ("dev.txt", project["project"]["dependencies"] + project["dependency-groups"]["dev"]),
    ):
        locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements" / lock).read_text(), re.MULTILINE))
        names = {re.split(r"[<>=\[ ]", requirement)[0].lower() for requirement in wanted}
        assert names - locked == set(), "run `make lock`"


API = "deploy/kustomize/api"


def component() -> list[dict[str, Any]]:
    """The HTTP API's manifests; a component alone can't be rendered."""
    files = sorted((ROOT / API).glob("*.yaml"))
    found = [item for file in files for item in yaml.safe_load_all(file.read_text())]
    return [item for item in found if item["kind"] != "Component"]


def of_api(kind: str, name: str = "periodic-sync-api") -> dict[str, Any]:
    return next(item for item in component() if (item["kind"], item["metadata"]["name"]) == (kind, name))


def test_the_http_api_may_do_what_it_needs_and_nothing_with_jobs_pods_or_secrets() -> None:
    rules = of_api("ClusterRole")["rules"]
    granted = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert granted == {
        ("tokenreviews", "create"),
        ("subjectaccessreviews", "create"),
        *(("syncpolicies", verb) for verb in ("get", "list")),
        *(("configmaps", verb) for verb in ("get", "list", "watch", "create", "update", "patch")),
    }


def parsed(command: Callable[..., None], arguments: list[str]) -> dict[str, Any]:
    """What the command line makes of them."""
    app = typer.Typer()
    app.command()(command)
    return typer.main.get_command(app).make_context("command", arguments).params


def test_the_http_api_runs_as_two_with_an_account_a_budget_and_a_certificate() -> None:
    spec = of_api("Deployment")["spec"]
    pod = spec["template"]["spec"]
    assert spec["replicas"] - of_api("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert pod["serviceAccountName"] == "periodic-sync-api"
    [server] = pod["containers"]
    command, *arguments = server["args"]
    given = parsed(server_command, arguments)
    assert (command, given["port"], given["insecure_http"]) == ("server", 3001, False)
    assert {mount["name"] for mount in server["volumeMounts"]} == {"tmp", "tls"}
    assert of_api("Service")["spec"]["selector"] == spec["selector"]["matchLabels"]


@pytest.mark.parametrize("role", ["activity-writer", "user-reader", "user-manager", "event-reader"])
def test_roles_of_callers_grant_subresources_only_and_nothing_that_kubernetes_itself_serves(role: str) -> None:
    rules = of_api("ClusterRole", f"periodic-sync-{role}")["rules"]
    resources = {resource for rule in rules for resource in rule["resources"]}
    assert resources <= {f"syncpolicies/{name}" for name in ("users", "activity", "sync", "tokens", "why", "events")}


def rights(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_narrowed_to_a_namespace_the_http_api_has_the_same_rights_and_only_the_reviews_everywhere() -> None:
    made = overlay(API, f"{API}-one-namespace", namespace="shop")
    found = {(item["kind"], item["metadata"]["name"]): item for item in made}
    role, everywhere = found["Role", "periodic-sync-api"], found["ClusterRole", "periodic-sync-api"]
    assert role["metadata"]["namespace"] == "shop"
    assert {resource for _, resource, _ in rights(everywhere["rules"])} == {"tokenreviews", "subjectaccessreviews"}
    assert rights(role["rules"]) | rights(everywhere["rules"]) == rights(of_api("ClusterRole")["rules"])
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        [account] = found[kind, "periodic-sync-api"]["subjects"]
        assert (account["name"], account["namespace"]) == ("periodic-sync-api", "shop")
    deployment = found["Deployment", "periodic-sync-api"]
    [server] = deployment["spec"]["template"]["spec"]["containers"]
    assert deployment["metadata"]["namespace"] == "shop"
    assert parsed(server_command, server["args"][1:])["namespace"] == "$(POD_NAMESPACE)"
    assert server["env"] == [{"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}]


NETWORK_POLICIES = overlay("deploy/kustomize/network-policy", namespace="periodic-sync")


@pytest.mark.parametrize("policy", NETWORK_POLICIES, ids=lambda policy: policy["metadata"]["name"])
def test_a_network_policy_is_for_the_pods_that_there_are_and_opens_each_of_their_ports(policy: dict[str, Any]) -> None:
    name, spec = policy["metadata"]["name"], policy["spec"]
    pod = (the("Deployment", name) if name == "periodic-sync" else of_api("Deployment"))["spec"]["template"]
    assert spec["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    [container] = pod["spec"]["containers"]
    opened = {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
    assert opened == {port["name"] for port in container["ports"]}


def test_network_policies_open_figures_to_the_monitoring_alone_and_the_way_out_to_what_is_needed() -> None:
    assert {policy["metadata"]["name"] for policy in NETWORK_POLICIES} == {"periodic-sync", "periodic-sync-api"}
    for policy in NETWORK_POLICIES:
        rules = policy["spec"]["ingress"]
        open_to_all = {port["port"] for rule in rules if "from" not in rule for port in rule["ports"]}
        assert open_to_all <= {"https"}
        out = {(port["port"], port["protocol"]) for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert out == {(53, "UDP"), *((port, "TCP") for port in (53, 443, 6443, 6379, 26379))}
