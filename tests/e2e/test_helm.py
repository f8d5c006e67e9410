"""The Helm chart on the cluster: a release that serves one namespace, with rights there alone."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_support import ROOT, Kubectl, eventually
from live.api import Api
from live.operator import Operator
from live.scene import Scene, every, spec, staged
from live.service import SyncService
from tasks import deploying, image

HELM = Path(sys.executable).with_name("helm")
CHART = ROOT / "deploy/helm/periodic-sync"


@pytest.fixture
def home(cluster: Kubectl, api: Api) -> Iterator[Scene]:
    with staged(cluster, api, "helm") as scene:
        yield scene


def helm(scene: Scene, *arguments: str) -> str:
    command = [str(HELM), *arguments, "--namespace", scene.namespace, "--kubeconfig", str(scene.kubectl.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_release_for_one_namespace_schedules_its_policies_and_leaves_them_when_it_is_uninstalled(
    home: Scene, operator: Operator, service: SyncService, operator_image: image.Image
) -> None:
    fields = deploying.image_fields(operator_image.reference)
    kind, _, version = fields["version"].partition(": ")
    values = {
        "operator.namespace": home.namespace,
        "operator.replicas": "1",
        "crds.install": "false",
        "userRoles": "false",
        "image.repository": fields["name"],
        "image.digest" if kind == "digest" else "image.tag": version.strip('"'),
    }
    with operator.scaled_to(0):
        settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        helm(home, "install", "sync", str(CHART), "--wait", "--timeout", "90s", *settings)
        home.write_users(home.user_ids(3))
        home.apply(spec(service.worker, intervals=every("5m"), thresholds={"stale": "1h"}))

        def synced() -> None:
            assert home.status()["usersSynced"] == 3

        eventually(synced, seconds=60)
        [pod] = home.api.items(
            f"/api/v1/namespaces/{home.namespace}/pods?labelSelector=app.kubernetes.io/name=periodic-sync"
        )
        log = home.api.text(f"/api/v1/namespaces/{home.namespace}/pods/{pod['metadata']['name']}/log")
        assert "forbidden" not in log.lower()
        helm(home, "uninstall", "sync", "--wait", "--timeout", "60s")
    assert home.status()["usersSynced"] == 3
