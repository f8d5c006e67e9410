"""A policy is deleted while no operator is there, and made again under its name."""

import json

from cluster_support import eventually
from live.counting import claims
from live.operator import Operator
from live.scene import LABEL, POLICY, Scene, every, spec
from live.service import SyncService

OWNED = ("jobs", "configmaps", "pods")


def test_deleted_without_an_operator_a_policy_leaves_nothing_and_starts_anew_under_its_name(
    scene: Scene, service: SyncService, operator: Operator
) -> None:
    users = scene.user_ids(20)
    scene.write_users(users)
    wanted = spec(service.worker, intervals=every("6s"), batchSize=5)
    scene.apply(wanted)
    scene.request("all", "of-the-first")
    eventually(lambda: _assert_under_way(scene, len(users)), seconds=90)
    with operator.scaled_to(0):
        scene.kubectl("delete", "syncpolicy", POLICY, "--timeout=5s")
        eventually(lambda: _assert_nothing_is_left(scene), seconds=60)
    before = len(claims(scene.witness, POLICY))
    first = set(service.synced(scene.namespace).items())
    scene.apply(wanted)
    eventually(lambda: _assert_under_way(scene, len(users)), seconds=90)
    scene.patch({"enabled": False})
    eventually(lambda: _assert_at_rest(scene), seconds=60)
    again = len(claims(scene.witness, POLICY)) - before
    status = scene.status()
    assert status["usersSynced"] == again
    assert "lastHandledRequest" not in status
    assert sum(dict(service.synced(scene.namespace)).values()) == again + sum(dict(first).values())


def _assert_under_way(scene: Scene, users: int) -> None:
    """Everyone was synced, and there is one of everything that a policy makes."""
    assert scene.status()["usersSynced"] >= users
    assert scene.jobs()
    assert scene.config_maps("state")
    assert scene.config_maps("ledger")


def _assert_nothing_is_left(scene: Scene) -> None:
    for kind in OWNED:
        found = json.loads(scene.kubectl("get", kind, "-l", LABEL, "-o", "json"))["items"]
        assert [item["metadata"]["name"] for item in found] == []


def _assert_at_rest(scene: Scene) -> None:
    status = scene.status()
    assert (status["enabled"], status["inFlightUsers"], status["activeJobs"]) == (False, 0, 0)
