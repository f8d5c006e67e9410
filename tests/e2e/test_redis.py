"""The example whose users are in Redis, as `make demo STORE=redis` leaves it but with a shorter interval; its Redis is
killed in the middle of a run."""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import tasks.kubectl
from cluster_support import ROOT, Kubectl, eventually
from live.api import Api
from live.counting import claims, jobs_of, overlapping, recount, shortest_gap
from live.operator import Operator, start_killer
from live.redis import Redis
from live.scene import POLICY, Scene, Status, await_gone, every
from live.service import SyncService
from live.witness import Witness
from tasks import demo, engines, examples, image, redis_image
from tasks.paths import KUBECTL
from tasks.steps import Progress, Step, run_steps

EXAMPLE = examples.REDIS
INTERVAL = 8.0
SEEN = "portfolios:{3ad6}seen"


@dataclass(frozen=True)
class Played:
    """The example in its namespace."""

    scene: Scene
    service: SyncService
    redis: Redis
    users: examples.Users

    def synced(self) -> dict[str, int]:
        counts = self.service.synced()
        return {user: counts.get(user, 0) for user in self.users.active}

    def await_rounds(self, rounds: int) -> None:
        """Wait until every active user is synced so many times more."""
        before = self.synced()

        def were_synced() -> None:
            now = self.synced()
            assert [user for user, count in now.items() if count < before[user] + rounds] == []

        eventually(were_synced, seconds=rounds * INTERVAL + 60)


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, cluster: Kubectl, api: Api, engine: engines.Engine, operator_image: image.Image
) -> Iterator[Played]:
    await_gone(cluster, EXAMPLE.namespace)
    kubectl = cluster.within(EXAMPLE.namespace)
    scene = Scene(kubectl, api, Witness(api, EXAMPLE.namespace).start())

    def apply(progress: Progress) -> str:
        images = {"periodic-sync": operator_image.reference, **redis_image.images(engine)}
        return examples.apply(progress, tasks.kubectl.Kubectl(cluster.kubeconfig), EXAMPLE, images)

    loading = redis_image.steps(engine, request.config.option.cluster_name)
    run_steps([*loading, Step("example", "examples/redis", "10 s", apply, after=("load-redis",))])
    scene.patch({"intervals": every(f"{INTERVAL:.0f}s")})
    redis = Redis(kubectl, api, start_killer(kubectl, operator_image.reference))
    yield Played(scene, SyncService(api, EXAMPLE.namespace), redis, examples.read_users())
    scene.witness.stop()
    cluster("delete", "namespace", EXAMPLE.namespace, "--wait=false")


def test_users_in_redis_who_are_active_are_synced_once_an_interval_and_inactive_ones_never(played: Played) -> None:
    played.await_rounds(2)
    _assert_nobody_was_synced_wrongly(played)
    status = played.scene.status()
    assert (status["totalUsers"], status["activeUsers"], status["skippedEntries"]) == (30, 24, 0)
    assert played.scene.condition("Ready")["reason"] == "Scheduling"


def test_every_command_that_the_demo_prints_works(played: Played) -> None:
    environment = {
        **os.environ,
        "KUBECONFIG": str(played.scene.kubectl.kubeconfig),
        "PATH": f"{KUBECTL.parent}{os.pathsep}{os.environ['PATH']}",
    }
    for title, command in demo.to_try(EXAMPLE):
        if title == "watch":  # it ends when somebody has seen enough
            continue
        done = subprocess.run(
            ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert "user-01" in done.stdout or "wallet" in done.stdout or "patched" in done.stdout


def test_a_redis_killed_in_the_middle_of_a_run_is_told_and_back_again_nobody_is_forgotten_or_synced_twice_at_once(
    played: Played, operator: Operator
) -> None:
    redis, scene = played.redis, played.scene
    restarts = operator.restarts()
    eventually(lambda: _assert_one_runs(scene))

    def is_told() -> Status:
        # more than once, since kubelet starts it again at once at first, and waits only then
        if scene.condition("StoreReady")["status"] == "True":
            redis.kill()
        return _assert_store_is(scene, "False")

    told = eventually(is_told, seconds=60)
    assert f"Redis at redis.{scene.namespace}.svc:6379 " in told["message"]
    assert "only-for-an-example" not in told["message"]
    eventually(lambda: _assert_store_is(scene, "True"), seconds=90)
    assert redis.restarts() > 0
    assert redis.answer("ZCARD", SEEN) == "30"
    played.await_rounds(1)
    _assert_nobody_was_synced_wrongly(played)
    assert operator.restarts() == restarts


def test_switched_off_a_policy_on_redis_starts_nothing_and_its_totals_equal_a_recount(played: Played) -> None:
    scene = played.scene
    generation = scene.patch({"enabled": False})

    def is_at_rest() -> int:
        policy = scene.policy()
        status = Status(policy["status"])
        assert (status["observedGeneration"], status["enabled"], status["inFlightUsers"]) == (generation, False, 0)
        return int(policy["metadata"]["resourceVersion"])

    at_rest = eventually(is_at_rest, seconds=60)
    eventually(lambda: _assert_all_would_be_due(played), seconds=60)
    assert max(job.made_at for job in jobs_of(scene.witness, POLICY)) < at_rest
    status, counted = scene.status(), recount(scene.witness, POLICY)
    assert (status["usersSynced"], status.get("usersFailed", 0)) == (counted.synced, counted.failed)
    assert status["usersSynced"] == sum(played.service.synced().values())


def _assert_nobody_was_synced_wrongly(played: Played) -> None:
    found = claims(played.scene.witness, POLICY)
    assert {claim.user for claim in found} == set(played.users.active)
    assert set(played.service.users()) == set(played.users.active)
    assert shortest_gap(found) >= 0.9 * INTERVAL
    assert overlapping(played.scene.witness) == []
    assert sum(seen["overlaps"] for seen in played.service.users().values()) == 0


def _assert_one_runs(scene: Scene) -> None:
    assert any(not job["status"].get("completionTime") for job in scene.jobs())


def _assert_store_is(scene: Scene, ready: str) -> Status:
    found = scene.condition("StoreReady")
    assert found["status"] == ready
    return found


def _assert_all_would_be_due(played: Played) -> None:
    """Time in which it could go wrong."""
    latest = max(seen["at"][-1] for seen in played.service.users().values())
    assert time.time() - latest > INTERVAL + 2
