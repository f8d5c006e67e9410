"""What somebody sees who begins: examples/quickstart as `make demo` leaves it, and what README and tutorial say."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import tasks.kubectl
from cluster_support import Kubectl, eventually
from live.pages import Page
from live.scene import await_gone
from operator_process import free_port
from tasks import examples, image
from tasks.steps import Progress, Step, run_steps

INTERVAL = 20.0
ROUNDS = 3
NAMESPACES = (examples.QUICKSTART.namespace, "first")


@dataclass(frozen=True)
class Quickstart:
    """The example in the cluster, since a moment of `time.monotonic`."""

    cluster: Kubectl
    users: examples.Users
    since: float

    def asked(self) -> dict[str, Any]:
        """What the sync service was asked, by user."""
        users: dict[str, Any] = json.loads(self.cluster("get", "--raw", examples.QUICKSTART.stats))["users"]
        return users


@pytest.fixture(scope="module")
def quickstart(cluster: Kubectl, operator_image: image.Image) -> Iterator[Quickstart]:
    operator = tasks.kubectl.Kubectl(cluster.kubeconfig)
    users = examples.read_users()
    await_gone(cluster, *NAMESPACES)
    since = time.monotonic()
    images = {"periodic-sync": operator_image.reference}

    def apply(progress: Progress) -> str:
        return examples.apply(progress, operator, examples.QUICKSTART, images)

    run_steps([Step("example", "examples/quickstart", "10 s", apply)])
    restarts = operator.operator_restarts()
    yield Quickstart(cluster, users, since)
    cluster("delete", "namespace", *NAMESPACES, "--ignore-not-found", "--wait=false")
    assert operator.operator_restarts() == restarts, "the operator ended and was started again during the tests"


def test_its_active_users_are_synced_once_per_interval_and_inactive_ones_never(quickstart: Quickstart) -> None:
    def everyone_was_synced() -> dict[str, Any]:
        seen = quickstart.asked()
        assert [user for user in quickstart.users.active if seen.get(user, {"synced": 0})["synced"] < ROUNDS] == []
        return seen

    seen = eventually(everyone_was_synced, seconds=ROUNDS * INTERVAL + 90)
    assert set(seen) == set(quickstart.users.active)
    assert sum(user["overlaps"] for user in seen.values()) == 0
    # counted, and not measured from call to call: a pod that starts late moves its own calls and no one else's
    at_most = 2 + (time.monotonic() - quickstart.since) / (0.9 * INTERVAL)
    assert max(user["calls"] for user in seen.values()) <= at_most


# after the quickstart's own test, since these commands make its sync service known to users of theirs
def test_every_command_of_the_readme_works(quickstart: Quickstart) -> None:
    readme = Page("README.md")
    assert len(readme.run_blocks()) > 5
    readme.run(quickstart.cluster.kubeconfig)


def test_every_command_of_the_tutorial_works(quickstart: Quickstart) -> None:
    tutorial = Page("docs/tutorials/first-policy.md")
    assert tutorial.other_blocks() == ["make demo\n", "make clean\n"], "anything else is run"
    await_gone(quickstart.cluster, "first")
    # another test has installed the API, and after `make demo` its roles are not there
    quickstart.cluster("delete", "clusterrole", "periodic-sync-activity-writer", "--ignore-not-found")
    port = free_port()
    instead = {
        "$PWD/.cluster/kubeconfig": str(quickstart.cluster.kubeconfig),
        "--port 3001": f"--port {port}",
        "localhost:3001": f"localhost:{port}",
    }
    said = tutorial.run(quickstart.cluster.kubeconfig, instead=instead, seconds=500)
    assert "refused, as it should be" in said
    for reason in ("Inactive", "WorkerFailing"):
        assert reason in said
    assert "0xa1" not in said
