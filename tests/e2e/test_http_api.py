"""The commands of docs/how-to/http-api.md, as a reader types them: the API is installed in the cluster with its own
account, and curl registers a user, tells of activity, asks for a sync and follows it until it is done."""

import json
from collections.abc import Iterator

import pytest

from cluster_support import Kubectl
from live.pages import Page
from live.service import SyncService
from operator_process import free_port

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
    page = Page("docs/how-to/http-api.md")
    assert len(page.run_blocks()) == 6
    port = free_port()
    instead = {
        "periodic-sync-demo": service.namespace,
        " 3001:3001 ": f" {port}:3001 ",
        "localhost:3001": f"localhost:{port}",
    }
    try:
        said = page.run(cluster.kubeconfig, instead=instead)
    except AssertionError as failure:
        failure.add_note(_log(cluster))
        raise
    answers = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    why = next(answer for answer in answers if "reason" in answer)
    assert (why["reason"], why["userId"]) == ("NotDue", "ada")
    assert next(answer for answer in answers if "recorded" in answer) == {"recorded": 1, "unknown": ["bob"]}
    assert service.users()["ada"]["synced"] >= 1
    assert answers[-1]["schedulerStats"]["totalUsers"] == 1
    assert "0xa1" not in _log(cluster)


def _log(cluster: Kubectl) -> str:
    return cluster.within("periodic-sync")("logs", "--selector=app.kubernetes.io/name=periodic-sync-api", "--tail=200")
