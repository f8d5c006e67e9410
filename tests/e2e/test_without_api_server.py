"""The API server goes away and comes back.

By its name the last file: for half a minute after it kubelet, kube-proxy and the controllers still back off, which
every other test would have to wait for.
"""

import subprocess
import time

import pytest

from cluster_support import eventually
from live.api import Object
from live.counting import claims, overlapping
from live.operator import Operator
from live.scene import POLICY, Scene, every, spec
from live.service import SyncService
from tasks import engines

SECONDS = 30
USERS = 10


def test_without_an_api_server_for_half_a_minute_the_operator_comes_back_by_itself_and_says_so(
    scene: Scene, service: SyncService, operator: Operator, engine: engines.Engine, request: pytest.FixtureRequest
) -> None:
    if engine.name != "local":
        pytest.skip("only the local engine can stop an API server: ENGINE=local")
    users = scene.user_ids(USERS)
    scene.write_users(users)
    scene.apply(spec(service.worker, intervals=every("25s"), thresholds={"stale": "5m"}))
    eventually(lambda: _assert_at_rest(scene), seconds=60)  # so that no batch has to end first
    before = _incarnations(operator.await_ready())
    cluster: str = request.config.option.cluster_name
    _kind(engine, cluster, "stop")
    try:
        time.sleep(SECONDS)  # the experiment is its length
    finally:
        _kind(engine, cluster, "start")
    back = time.time()
    eventually(lambda: _assert_claimed_since(scene, back), seconds=180)
    assert _incarnations(operator.ready_pods()) == before
    log = [line for line in operator.log() if scene.namespace in line.get("policy", "")]
    assert any("API server" in line.get("error", "") for line in log)
    assert "scheduling goes on" in {line["message"] for line in log}
    eventually(lambda: _assert_told(scene))
    assert overlapping(scene.witness) == []


def _incarnations(pods: list[Object]) -> dict[str, int]:
    """How often each pod was restarted, by its UID."""
    return {
        pod["metadata"]["uid"]: sum(state["restartCount"] for state in pod["status"]["containerStatuses"])
        for pod in pods
    }


def _assert_at_rest(scene: Scene) -> None:
    status = scene.status()
    assert (status["usersSynced"] >= USERS, status["inFlightUsers"]) == (True, 0)


def _assert_claimed_since(scene: Scene, moment: float) -> None:
    assert any(claim.at / 1000 > moment for claim in claims(scene.witness, POLICY))


def _assert_told(scene: Scene) -> None:
    assert "SchedulingInterrupted" in {reason for reason, _ in scene.told()}


def _kind(engine: engines.Engine, cluster: str, verb: str) -> None:
    subprocess.run([str(engine.kind), verb, "kube-apiserver", "--name", cluster], check=True, timeout=90)
