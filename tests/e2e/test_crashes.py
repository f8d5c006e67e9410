"""The operator is killed again and again, and runs three times over, under load; what really ran is counted afterwards.

Without a leader election, so that it is the protocol alone that keeps them apart, and a kill always hits one at work.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cluster_support import Kubectl, eventually
from live.api import Api
from live.counting import claims, overlapping, recount, shortest_gap
from live.operator import Operator, start_killer
from live.scene import Scene, every, spec, staged
from live.service import SyncService, await_service, start_service
from tasks import image

SEED = 20261124
KILLS = 10
OPERATORS = 3
USERS = 200
FAILING = 4
INTERVAL = 40.0
POLICIES = {"single": 1, "several": 5}
"""Policies by name, with their batchesPerJob."""


@dataclass(frozen=True)
class Crowd:
    """Two policies of 200 users each, whose sync takes a second; a few users always fail."""

    scene: Scene
    service: SyncService
    users: dict[str, list[str]]

    def switch(self, enabled: bool) -> None:
        for policy in POLICIES:
            self.scene.patch({"enabled": enabled}, policy)

    def await_rounds(self, rounds: int) -> None:
        def were_synced() -> None:
            synced = self.service.synced()
            for users in self.users.values():
                missing = [user for user in users[FAILING:] if synced.get(user, 0) < rounds]
                assert not missing, f"{len(missing)} users are not synced {rounds} times, such as {missing[:3]}"

        eventually(were_synced, seconds=300)

    def await_rest(self) -> None:
        """Switch off, and wait until nothing is left to do."""
        self.switch(False)

        def is_at_rest() -> None:
            for policy in POLICIES:
                status = self.scene.status(policy)
                assert (status["enabled"], status["inFlightUsers"], status["activeJobs"]) == (False, 0, 0)
                assert self.scene.ledger(policy)["jobs"] == []
                # what a crash leaves between propose and claim is swept after a minute
                assert self.scene.config_maps("batch", policy) == []

        eventually(is_at_rest, seconds=180)

    def rounds(self) -> int:
        synced = self.service.synced()
        return min(synced.get(user, 0) for users in self.users.values() for user in users[FAILING:])


@pytest.fixture(scope="module")
def crowd(cluster: Kubectl, api: Api, operator_image: image.Image) -> Iterator[Crowd]:
    with staged(cluster, api, "crowd") as scene:
        service = start_service(scene.kubectl, api, operator_image.reference)
        users = {policy: [f"{policy}-{number:03d}" for number in range(USERS)] for policy in POLICIES}
        await_service(scene.kubectl)
        failing = [user for ids in users.values() for user in ids[:FAILING]]
        service.control(delayMs=1000, failUsers=failing)
        for policy, batches_per_job in POLICIES.items():
            scene.write_users(users[policy], store=policy)
            changes = {
                "intervals": every(f"{INTERVAL:.0f}s"),
                "thresholds": {"stale": "10m"},
                "batchSize": 20,
                "store": {"configMap": {"name": policy}},
                "jobs": {"batchesPerJob": batches_per_job, "maxConcurrentBatches": 5},
            }
            scene.apply(spec(service.worker, **changes), policy)
        yield Crowd(scene, service, users)


@pytest.fixture(scope="module")
def operator_without_election(operator: Operator) -> Iterator[Operator]:
    with operator.started_with("--no-leader-election", replicas=1):
        yield operator


def test_killed_ten_times_the_operator_syncs_everyone_and_nobody_twice_at_once(
    crowd: Crowd, operator_without_election: Operator, operator_image: image.Image
) -> None:
    operator = operator_without_election
    killer = start_killer(crowd.scene.kubectl, operator_image.reference)
    chance = random.Random(SEED)
    for _ in range(KILLS):
        [pod] = operator.await_ready(1)
        time.sleep(chance.uniform(0, 3))  # the moment is the experiment
        killer.kill(pod)
    operator.await_ready(1)
    crowd.await_rounds(1)
    crowd.await_rest()
    _assert_all_is_right(crowd)


def test_three_operators_at_once_do_no_more_than_one(crowd: Crowd, operator_without_election: Operator) -> None:
    operator, before = operator_without_election, crowd.rounds()
    with operator.scaled_to(OPERATORS):
        crowd.switch(True)
        crowd.await_rounds(before + 1)
        eventually(lambda: _assert_several_schedule(operator), seconds=300)
        crowd.await_rest()
    _assert_all_is_right(crowd)


def _assert_several_schedule(operator: Operator) -> None:
    """Whose claim passes is chance, and may be the same operator's for a whole round."""
    told = [{line["message"] for line in operator.log_of(pod)} for pod in operator.pods()]
    assert len([messages for messages in told if "scheduling batch" in messages]) > 1


def _assert_all_is_right(crowd: Crowd) -> None:
    witness, synced = crowd.scene.witness, crowd.service.synced()
    assert overlapping(witness) == []
    for policy, users in crowd.users.items():
        status, counted = crowd.scene.status(policy), recount(witness, policy)
        assert (status["usersSynced"], status["usersFailed"]) == (counted.synced, counted.failed)
        assert status["usersSynced"] == sum(synced[user] for user in users)
        found = [claim for claim in claims(witness, policy) if claim.user not in users[:FAILING]]
        assert shortest_gap(found) >= 0.9 * INTERVAL
