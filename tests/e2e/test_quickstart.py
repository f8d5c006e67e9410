"""examples/quickstart keeps its active users fresh and leaves the others alone, as `make demo` shows."""

import json
from collections.abc import Iterator
from itertools import pairwise
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
    users = demo.read_users()

    def everyone_was_synced() -> None:
        seen = asked(quickstart)
        assert [user for user in users.active if seen.get(user, {"synced": 0})["synced"] < ROUNDS] == []

    eventually(everyone_was_synced, seconds=ROUNDS * INTERVAL + 60)
    seen = asked(quickstart)
    assert set(seen) == set(users.active)
    gaps = [later - earlier for user in seen.values() for earlier, later in pairwise(user["at"])]
    assert min(gaps) > 0.9 * INTERVAL - 5  # a call comes a little after its claim, sooner or later by a pod's start
    assert sum(user["overlaps"] for user in seen.values()) == 0


def test_a_patch_rolls_back_and_forth(quickstart: Kubectl) -> None:
    eventually(lambda: _assert_synced(quickstart, 1), seconds=60)
    quickstart("patch", "syncpolicy", demo.POLICY, "--type=merge", "-p", '{"spec": {"enabled": false}}')
    quickstart("wait", f"syncpolicy/{demo.POLICY}", "--for=jsonpath={.status.enabled}=false", "--timeout=30s")
    jobs = _job_names(quickstart)
    quickstart("wait", f"syncpolicy/{demo.POLICY}", "--for=jsonpath={.status.inFlightUsers}=0", "--timeout=60s")
    before = asked(quickstart)
    # nothing to wait for here: what must not happen needs time in which it could
    with pytest.raises(AssertionError):
        eventually(lambda: _assert_synced(quickstart, 1 + _fewest(before)), seconds=INTERVAL + 5)
    assert _job_names(quickstart) <= jobs
    assert asked(quickstart) == before
    quickstart("patch", "syncpolicy", demo.POLICY, "--type=merge", "-p", '{"spec": {"enabled": true}}')
    eventually(lambda: _assert_synced(quickstart, 1 + _fewest(before)), seconds=60)


def _assert_synced(kubectl: Kubectl, times: int) -> None:
    seen = asked(kubectl)
    assert len(seen) == len(demo.read_users().active)
    assert _fewest(seen) >= times


def _fewest(seen: dict[str, Any]) -> int:
    return min(user["synced"] for user in seen.values())


def _job_names(kubectl: Kubectl) -> set[str]:
    return set(kubectl("get", "jobs", "-o", "name").split())
