"""The recommended settings: kustomizations that the API server takes as they stand, and with a team's own address."""

from pathlib import Path

import pytest

from cluster_support import ROOT, Kubectl
from policy_support import DEFAULTS, PRESETS, merged

pytestmark = pytest.mark.usefixtures("crd")

NAMES = {"development": "Development", "production": "Production", "high-load": "High load"}
OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{example}]
patches:
  - target: {{kind: SyncPolicy}}
    patch: |
      - {{op: replace, path: /spec/worker/http/url, value: "https://sync.example.com/{{userId}}"}}
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_are_taken_and_are_the_recommended_ones(kubectl: Kubectl, name: str) -> None:
    kubectl("apply", "-k", str(ROOT / "examples" / name))
    spec = kubectl.get("syncpolicy", "portfolios")["spec"]
    assert merged(spec, PRESETS[NAMES[name]]) == spec
    if name == "production":
        assert merged(spec, {**DEFAULTS, "worker": {}}) == spec, "production is what the defaults are"


@pytest.mark.parametrize("name", NAMES)
def test_a_kustomization_on_top_changes_what_is_the_team_s(kubectl: Kubectl, name: str, tmp_path: Path) -> None:
    (tmp_path / "example").symlink_to(ROOT / "examples" / name)
    text = OVERLAY.format(example=Path("example"))
    (tmp_path / "kustomization.yaml").write_text(text)
    kubectl("apply", "-k", str(tmp_path))
    worker = kubectl.get("syncpolicy", "portfolios")["spec"]["worker"]
    assert worker["http"]["url"] == "https://sync.example.com/{userId}"


@pytest.mark.parametrize("name", NAMES)
def test_the_page_on_tuning_has_the_same_numbers(name: str) -> None:
    preset = PRESETS[NAMES[name]]
    numbers = (*preset["intervals"].values(), preset["thresholds"]["stale"], preset["batchSize"])
    row = f"| [{NAMES[name]}](../../examples/{name}/policy.yaml) | {' | '.join(map(str, numbers))} |"
    assert row in (ROOT / "docs" / "how-to" / "tune.md").read_text()
