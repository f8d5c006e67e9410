"""The shipped roles, as a real API server reads them: who may do what."""

from pathlib import Path

import pytest
import yaml

from cluster_support import ROOT, Kubectl, KubectlError, eventually
from kustomize_support import rendered

OPERATOR = "system:serviceaccount:periodic-sync:periodic-sync"
KINDS = {"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


@pytest.fixture(scope="session")
def roles(api_server: Path, crd: None) -> None:
    manifests = [item for item in rendered("deploy/kustomize") if item["kind"] in KINDS]
    Kubectl(api_server, "periodic-sync")(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(manifests)
    )


def may(kubectl: Kubectl, who: str, what: str) -> bool:
    try:
        return kubectl("auth", "can-i", *what.split(), f"--as={who}").strip() == "yes"
    except KubectlError as error:  # kubectl ends with 1 for a no, which it prints
        if "no" in str(error).split():
            return False
        raise


@pytest.mark.parametrize(
    "what",
    [
        "list syncpolicies.sync.moonx.farm -A",
        "patch syncpolicies.sync.moonx.farm --subresource=status",
        "create jobs.batch",
        "delete jobs.batch",
        "list pods",
        "update configmaps",
        "get podtemplates",
        "create events.events.k8s.io",
        "list customresourcedefinitions.apiextensions.k8s.io -A",
    ],
)
def test_the_operator_may(roles: None, kubectl: Kubectl, what: str) -> None:
    assert may(kubectl, OPERATOR, what)


@pytest.mark.parametrize(
    ("what", "allowed"),
    [
        ("create leases.coordination.k8s.io", True),
        ("get leases.coordination.k8s.io/periodic-sync", True),
        ("update leases.coordination.k8s.io/periodic-sync", True),
        ("watch leases.coordination.k8s.io/periodic-sync", True),
        ("update leases.coordination.k8s.io/another", False),
        ("list leases.coordination.k8s.io", False),
        ("delete leases.coordination.k8s.io/periodic-sync", False),
    ],
)
def test_in_its_own_namespace_the_operator_may_use_its_lease(
    roles: None, kubectl: Kubectl, what: str, allowed: bool
) -> None:
    assert may(kubectl.within("periodic-sync"), OPERATOR, what) is allowed


@pytest.mark.parametrize(
    "what",
    [
        "get secrets",
        "list secrets",
        "update syncpolicies.sync.moonx.farm",
        "create pods",
        "create pods --subresource=exec",
        "delete pods",
        "update jobs.batch",
        "delete namespaces -A",
        "create leases.coordination.k8s.io",
        "update leases.coordination.k8s.io/periodic-sync",
        "update customresourcedefinitions.apiextensions.k8s.io -A",
        "create clusterroles.rbac.authorization.k8s.io -A",
    ],
)
def test_the_operator_may_not(roles: None, kubectl: Kubectl, what: str) -> None:
    assert not may(kubectl, OPERATOR, what)


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [("view", True, False), ("edit", True, True), ("admin", True, True)],
)
def test_policies_follow_the_roles_that_people_have(
    roles: None, kubectl: Kubectl, role: str, reads: bool, writes: bool
) -> None:
    kubectl("create", "rolebinding", "person", f"--clusterrole={role}", "--user=person")

    def aggregated() -> None:
        assert may(kubectl, "person", "get syncpolicies.sync.moonx.farm") == reads

    eventually(aggregated)
    assert may(kubectl, "person", "create syncpolicies.sync.moonx.farm") == writes
    assert not may(kubectl, "person", "patch syncpolicies.sync.moonx.farm --subresource=status")


@pytest.mark.parametrize("name", ["operator", "api"])
def test_network_policies_are_what_the_api_server_takes(roles: None, kubectl: Kubectl, name: str) -> None:
    file = ROOT / "deploy" / "kustomize" / "network-policy" / f"{name}.yaml"
    kubectl.within("periodic-sync")("apply", "--server-side", "--dry-run=server", "-f", str(file))
