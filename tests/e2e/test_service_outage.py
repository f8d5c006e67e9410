"""The sync service goes down while users wait for it, and comes back."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest

from cluster_support import Kubectl, eventually
from live.api import Api
from live.counting import claims, recount
from live.scene import POLICY, Scene, every, spec, staged
from live.service import SyncService, await_service, start_service
from tasks import image

USERS = 40
INTERVAL = 30.0
PROBE_EVERY = 30.0
PROBES = 3


@dataclass(frozen=True)
class Outage:
    """A policy whose service answers nobody from the moment on at which everyone was synced once."""

    scene: Scene
    service: SyncService

    def probes(self) -> list[float]:
        """When the probes were claimed, in seconds since the epoch."""
        return sorted({claim.at / 1000 for claim in claims(self.scene.witness, POLICY) if claim.is_probe})


@pytest.fixture(scope="module")
def outage(cluster: Kubectl, api: Api, operator_image: image.Image) -> Iterator[Outage]:
    with staged(cluster, api, "outage") as scene:
        service = start_service(scene.kubectl, api, operator_image.reference)
        await_service(scene.kubectl)
        scene.write_users(scene.user_ids(USERS))
        changes = {"intervals": every(f"{INTERVAL:.0f}s"), "thresholds": {"stale": "10m"}}
        scene.apply(spec(service.worker, **changes))
        eventually(lambda: _assert_synced(scene, USERS), seconds=120)
        service.control(down=True)
        yield Outage(scene, service)


def test_a_service_that_is_down_is_said_and_probed_with_one_batch_every_half_minute(outage: Outage) -> None:
    scene = outage.scene

    def is_said() -> str:
        ready = scene.condition("Ready")
        assert (ready["status"], ready["reason"]) == ("False", "WorkerFailing")
        return str(ready["message"])

    message = eventually(is_said, seconds=INTERVAL + 120)
    assert "without a single user synced" in message
    eventually(lambda: _assert_told(scene, "WorkerFailing"))

    def were_sent() -> None:
        assert len(outage.probes()) >= PROBES

    eventually(were_sent, seconds=PROBES * PROBE_EVERY + 90)
    probes = outage.probes()
    assert min(later - earlier for earlier, later in pairwise(probes)) >= PROBE_EVERY
    later_claims = [claim for claim in claims(scene.witness, POLICY) if claim.at / 1000 > probes[0]]
    assert all(claim.is_probe for claim in later_claims)


def test_once_it_is_back_everyone_is_synced_within_two_intervals(outage: Outage) -> None:
    before = outage.service.synced()
    outage.service.control(down=False)

    def everyone_is_synced() -> None:
        synced = outage.service.synced()
        assert [user for user, times in before.items() if synced[user] == times] == []

    eventually(everyone_is_synced, seconds=2 * INTERVAL)
    eventually(lambda: _assert_scheduling(outage.scene))


def test_after_an_outage_the_totals_equal_a_recount(outage: Outage) -> None:
    scene = outage.scene
    scene.patch({"enabled": False})

    def are_equal() -> None:
        status, counted = scene.status(), recount(scene.witness, POLICY)
        assert (status["enabled"], status["inFlightUsers"]) == (False, 0)
        assert (status["usersSynced"], status["usersFailed"]) == (counted.synced, counted.failed)
        assert status["usersSynced"] == sum(outage.service.synced().values())

    eventually(are_equal, seconds=60)


def _assert_synced(scene: Scene, users: int) -> None:
    assert scene.status()["usersSynced"] == users


def _assert_scheduling(scene: Scene) -> None:
    assert scene.condition("Ready")["reason"] == "Scheduling"


def _assert_told(scene: Scene, reason: str) -> None:
    assert reason in {told for told, _ in scene.told()}
