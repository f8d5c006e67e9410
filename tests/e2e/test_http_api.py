"""The commands of docs/reference/http-api.md, as a reader types them: the API is installed in the cluster with its own
account, and curl registers a user, tells of activity, asks for a sync and follows it until it is done."""

import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from cluster_support import ROOT, Kubectl
from live.service import SyncService
from operator_process import free_port
from tasks.paths import BUILD, KUBECTL

_RUN = re.compile(r"^```sh run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MADE = ("deployment", "service", "poddisruptionbudget", "serviceaccount")


@pytest.fixture
def cleared(cluster: Kubectl) -> Iterator[None]:
    yield
    cluster("delete", "namespace", "shop", "--ignore-not-found", "--wait=false")
    inside = cluster.within("periodic-sync")
    for kind in MADE:
        inside("delete", kind, "periodic-sync-api", "--ignore-not-found", "--wait=false")
    inside("delete", "secret", "periodic-sync-api-tls", "--ignore-not-found")


def test_every_command_of_the_http_api_s_handbook_works(cluster: Kubectl, service: SyncService, cleared: None) -> None:
    blocks = _RUN.findall((ROOT / "docs" / "reference" / "http-api.md").read_text())
    assert len(blocks) == 5
    port = free_port()
    script = "\n".join(["trap 'kill $(jobs -p)' EXIT", *blocks])
    script = script.replace("periodic-sync-demo", service.namespace)
    script = script.replace(" 3001:3001 ", f" {port}:3001 ").replace("localhost:3001", f"localhost:{port}")
    BUILD.mkdir(exist_ok=True)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={
            **os.environ,
            "KUBECONFIG": str(cluster.kubeconfig),
            "PATH": f"{KUBECTL.parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}{_log(cluster)}"
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    why = next(answer for answer in answers if "reason" in answer)
    assert (why["reason"], why["userId"]) == ("NotDue", "ada")
    assert next(answer for answer in answers if "recorded" in answer) == {"recorded": 1, "unknown": ["bob"]}
    assert service.users()["ada"]["synced"] >= 1
    assert answers[-1]["schedulerStats"]["totalUsers"] == 1
    assert "0xa1" not in _log(cluster)


def _log(cluster: Kubectl) -> str:
    return cluster.within("periodic-sync")("logs", "--selector=app.kubernetes.io/name=periodic-sync-api", "--tail=200")
