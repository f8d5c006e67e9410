"""The component with which a team lets the operator read its Redis URL, as a kustomization of that team renders it."""

from typing import Any

import pytest
import yaml

from cluster_support import ROOT
from kustomize_support import overlay

COMPONENT = ROOT / "deploy" / "kustomize" / "redis-secret"


@pytest.fixture
def rendered() -> dict[str, dict[str, Any]]:
    """By kind, for a team whose namespace is team-a."""
    return {item["kind"]: item for item in overlay("deploy/kustomize/redis-secret", namespace="team-a")}


def test_it_is_the_right_to_get_one_secret_and_nothing_else(rendered: dict[str, dict[str, Any]]) -> None:
    assert rendered.keys() == {"Role", "RoleBinding"}
    assert rendered["Role"]["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["redis"], "verbs": ["get"]}
    ]


def test_it_is_granted_in_the_team_s_namespace_to_the_operator_in_its_own(rendered: dict[str, dict[str, Any]]) -> None:
    assert {item["metadata"]["namespace"] for item in rendered.values()} == {"team-a"}
    assert rendered["RoleBinding"]["roleRef"]["name"] == rendered["Role"]["metadata"]["name"]
    account = yaml.safe_load((COMPONENT.parent / "service-account.yaml").read_text().split("---")[0])
    namespace = yaml.safe_load((COMPONENT.parent / "kustomization.yaml").read_text())["namespace"]
    assert rendered["RoleBinding"]["subjects"] == [
        {"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": namespace}
    ]
