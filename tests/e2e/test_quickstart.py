"""examples/quickstart keeps its active users fresh and leaves the others alone, as `make demo` shows."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

import tasks.kubectl
from cluster_support import Kubectl, eventually
from tasks import demo, image
from tasks.steps import Step, run_steps

INTERVAL = 20.0
ROUNDS = 3


@pytest.fixture
def quickstart(cluster: Kubectl, operator_image: image.Image) -> Iterator[Kubectl]:
    operator = tasks.kubectl.Kubectl(cluster.kubeconfig)
    users = demo.read_users()
    run_steps(
        [Step("example", "examples/quickstart", "10 s", lambda p: demo.apply(p, operator, operator_image, users))]
    )
    restarts = operator.operator_restarts()
    yield cluster.within(demo.NAMESPACE)
    cluster("delete", "namespace", demo.NAMESPACE)
    assert operator.operator_restarts() == restarts, "the operator ended and was started again during the test"


def asked(kubectl: Kubectl) -> dict[str, Any]:
    """What the sync service was asked, by user."""
    users: dict[str, Any] = json.loads(kubectl("get", "--raw", demo.STATS))["users"]
    return users


def test_active_users_are_synced_once_per_interval_and_inactive_ones_never(quickstart: Kubectl) -> None:
    began = time.monotonic()
    users = demo.read_users()

    def everyone_was_synced() -> dict[str, Any]:
        seen = asked(quickstart)
        assert [user for user in users.active if seen.get(user, {"synced": 0})["synced"] < ROUNDS] == []
        return seen

    seen = eventually(everyone_was_synced, seconds=ROUNDS * INTERVAL + 90)
    assert set(seen) == set(users.active)
    assert sum(user["overlaps"] for user in seen.values()) == 0
    # counted, and not measured from call to call: a pod that starts late moves its own calls and no one else's
    at_most = 2 + (time.monotonic() - began) / (0.9 * INTERVAL)
    assert max(user["calls"] for user in seen.values()) <= at_most
