"""Who is synced and how often; and that a policy which is switched off starts nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cluster_support import Kubectl, eventually
from live.api import Api, Object
from live.counting import claims, jobs_of, overlapping, recount, shortest_gap
from live.scene import Scene, every, spec, staged
from live.service import SyncService

INTERVAL = 8.0
ROUNDS = 3
STEADY = "steady"
SWITCHED = "switched"


@dataclass(frozen=True)
class Played:
    """Two policies with users of their own: one stays on, the other is switched off and on again."""

    scene: Scene
    service: SyncService
    active: list[str]
    inactive: list[str]
    switched: list[str]

    def rounds(self, users: list[str]) -> int:
        """How often everyone of them was synced, at least."""
        synced = self.service.synced(self.scene.namespace)
        return min(synced.get(user, 0) for user in users)

    def await_rounds(self, users: list[str], rounds: int) -> None:
        def were_synced() -> None:
            assert self.rounds(users) >= rounds

        eventually(were_synced, seconds=rounds * INTERVAL + 40)

    def acknowledged(self, generation: int, enabled: bool) -> Object:
        """The policy as it is once the operator says that this generation is in force."""

        def is_acknowledged() -> Object:
            policy = self.scene.policy(SWITCHED)
            status = policy.get("status") or {}
            assert (status.get("observedGeneration"), status.get("enabled")) == (generation, enabled)
            return policy

        found: Object = eventually(is_acknowledged)
        return found


@pytest.fixture(scope="module")
def played(cluster: Kubectl, api: Api, service: SyncService) -> Iterator[Played]:
    with staged(cluster, api, "intervals") as scene:
        active, inactive, switched = scene.user_ids(24), scene.user_ids(6, "i"), scene.user_ids(12, "s")
        scene.write_users(active, inactive)
        scene.write_users(switched, store=SWITCHED)
        often = spec(service.worker, intervals=every(f"{INTERVAL:.0f}s"), thresholds={"stale": "1m"})
        scene.apply(often, STEADY)
        scene.apply({**often, "store": {"configMap": {"name": SWITCHED}}}, SWITCHED)
        yield Played(scene, service, active, inactive, switched)


def test_active_users_are_synced_once_an_interval_and_inactive_ones_never(played: Played) -> None:
    played.await_rounds(played.active, ROUNDS)
    scene = played.scene
    found = claims(scene.witness, STEADY)
    assert {claim.user for claim in found} == set(played.active)
    assert not set(played.inactive) & set(played.service.users())
    assert shortest_gap(found) >= 0.9 * INTERVAL
    assert overlapping(scene.witness) == []
    status = scene.status(STEADY)
    assert (status["totalUsers"], status["activeUsers"], status["skippedEntries"]) == (30, 24, 0)
    assert scene.condition("Ready", STEADY)["reason"] == "Scheduling"


def test_once_disabling_is_acknowledged_no_job_is_made_and_what_runs_ends(played: Played) -> None:
    scene = played.scene
    played.await_rounds(played.switched, 1)
    eventually(lambda: _assert_one_runs(scene))
    policy = played.acknowledged(scene.patch({"enabled": False}, SWITCHED), enabled=False)
    # nothing to wait for but time in which it could go wrong, which the other policy's rounds measure
    played.await_rounds(played.active, played.rounds(played.active) + 2)
    jobs = jobs_of(scene.witness, SWITCHED)
    assert max(job.made_at for job in jobs) < int(policy["metadata"]["resourceVersion"])
    assert all(job.body["status"].get("succeeded") for job in jobs)
    status = scene.status(SWITCHED)
    assert (status["inFlightUsers"], status["dueUsers"], status["activeJobs"], status["running"]) == (0, 0, 0, False)
    assert "nextScheduledSync" not in status
    assert scene.condition("Ready", SWITCHED)["reason"] == "Paused"


def test_totals_in_status_equal_a_recount(played: Played) -> None:
    status = played.scene.status(SWITCHED)
    synced = played.service.synced(played.scene.namespace)
    assert status["usersSynced"] == sum(synced[user] for user in played.switched)
    counted = recount(played.scene.witness, SWITCHED)
    assert (status["usersSynced"], status.get("usersFailed", 0)) == (counted.synced, counted.failed)


def test_enabled_again_a_policy_catches_up_once_without_a_burst(played: Played) -> None:
    scene = played.scene
    jobs = {job.name for job in jobs_of(scene.witness, SWITCHED)}
    before = played.rounds(played.switched)
    played.acknowledged(scene.patch({"enabled": True}, SWITCHED), enabled=True)
    played.await_rounds(played.switched, before + 2)
    found = claims(scene.witness, SWITCHED)
    assert shortest_gap(found) >= 0.9 * INTERVAL
    fresh = [claim for claim in found if claim.batch.rsplit("-", 1)[0] not in jobs]
    catching_up = [claim for claim in fresh if claim.at - fresh[0].at < 0.9 * INTERVAL * 1000]
    assert sorted(claim.user for claim in catching_up) == sorted(played.switched)
    assert overlapping(scene.witness) == []


def _assert_one_runs(scene: Scene) -> None:
    assert any(not job["status"].get("completionTime") for job in scene.jobs(SWITCHED))
