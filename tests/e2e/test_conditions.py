"""What keeps a policy from working is said in a condition, with the cause; and it works once that is mended.

All troubles are made at once, since they take their time, and looked at one after the other: the longest last, which
is a sync service that is down.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import pytest

from cluster_support import Kubectl, eventually
from live.api import Api, Object
from live.counting import claims, recount
from live.scene import POLICY, Scene, every, merged, spec, staged
from live.service import SyncService, await_service, start_service
from tasks import image

NO_IMAGE = "registry.invalid/none:1"
TROUBLES: dict[str, Object] = {
    "zone": {"marketHours": {"timeZone": "Mars/Olympus"}},
    "template": {"worker": {"podTemplate": {"name": "workers"}}},
    "secret": {"worker": {"http": {"bearerTokenSecretRef": {"name": "token", "key": "key"}}}},
    "image": {"worker": {"http": None, "image": NO_IMAGE}},
}
"""Spec changes that can't work, by the name of their policy."""

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


@pytest.fixture(scope="module")
def troubled(cluster: Kubectl, api: Api, service: SyncService, outage: Outage) -> Iterator[Scene]:
    """`outage`: begun before, so that it goes on while these are looked at."""
    with staged(cluster, api, "troubled") as scene:
        for name, change in TROUBLES.items():
            scene.write_users([f"{name}.{scene.namespace}"], store=name)
            wanted = merged(spec(service.worker, store={"configMap": {"name": name}}), change)
            scene.apply(wanted, name)
        yield scene


@pytest.fixture(scope="module")
def refused(cluster: Kubectl, api: Api, service: SyncService) -> Iterator[Scene]:
    with staged(cluster, api, "refused") as scene:
        scene.kubectl("create", "quota", "no-jobs", "--hard=count/jobs.batch=0")
        eventually(lambda: _assert_quota_counts(scene))
        for name in ("edited", "allowed"):
            scene.write_users([f"{name}.{scene.namespace}"], store=name)
            scene.apply(spec(service.worker, store={"configMap": {"name": name}}), name)
        yield scene


def test_a_time_zone_that_does_not_exist_stalls_the_policy_until_it_is_corrected(
    troubled: Scene, refused: Scene, service: SyncService
) -> None:
    eventually(lambda: _assert_stalled(troubled, "zone", "UnknownTimeZone", "Mars/Olympus"))
    troubled.patch({"marketHours": {"timeZone": "Asia/Saigon"}}, "zone")
    eventually(lambda: _assert_works(troubled, service, "zone"), seconds=60)
    assert troubled.condition("Stalled", "zone") == {}


def test_a_pod_template_that_is_missing_stalls_the_policy_until_it_is_made(
    troubled: Scene, service: SyncService
) -> None:
    eventually(lambda: _assert_stalled(troubled, "template", "PodTemplateNotFound", "workers"))
    container = {"name": "worker", "image": "placeholder", "env": [{"name": "TEAM", "value": "portfolios"}]}
    template = {"metadata": {"labels": {"team": "portfolios"}}, "spec": {"containers": [container]}}
    about = {"name": "workers"}
    troubled.kubectl.apply({"apiVersion": "v1", "kind": "PodTemplate", "metadata": about, "template": template})
    eventually(lambda: _assert_works(troubled, service, "template"), seconds=60)
    [pod] = troubled.pods("template")
    assert pod["metadata"]["labels"]["team"] == "portfolios"
    assert {"name": "TEAM", "value": "portfolios"} in pod["spec"]["containers"][0]["env"]


def test_a_job_refused_for_a_quota_is_said_in_the_servers_words_and_tried_again_after_an_edit(
    refused: Scene, service: SyncService
) -> None:
    eventually(lambda: _assert_not_ready(refused, "allowed", "JobRefused", "exceeded quota: no-jobs"))
    eventually(lambda: _assert_not_ready(refused, "edited", "JobRefused", "exceeded quota: no-jobs"))
    eventually(lambda: _assert_told(refused, "edited", "JobRefused"))
    assert refused.jobs("edited") == []
    refused.kubectl("delete", "quota", "no-jobs")
    before = time.time()
    refused.patch({"batchSize": 9}, "edited")
    eventually(lambda: _assert_works(refused, service, "edited"), seconds=60)
    [job] = refused.jobs("edited")
    made_at = datetime.fromisoformat(job["metadata"]["creationTimestamp"]).timestamp()
    assert made_at - before < 20  # it did not wait for the end of the pause of 30 s


def test_a_job_refused_for_a_quota_is_tried_again_without_anybodys_doing(refused: Scene, service: SyncService) -> None:
    eventually(lambda: _assert_works(refused, service, "allowed"), seconds=90)


def test_a_secret_that_is_missing_is_told_from_the_pods_waiting_reason_until_it_is_made(
    troubled: Scene, service: SyncService
) -> None:
    waiting = 'CreateContainerConfigError: secret "token" not found'
    eventually(lambda: _assert_not_ready(troubled, "secret", "WorkerFailing", waiting), seconds=90)
    troubled.kubectl("create", "secret", "generic", "token", "--from-literal=key=abc")
    eventually(lambda: _assert_works(troubled, service, "secret"), seconds=150)


def test_an_image_that_cannot_be_pulled_is_told_until_another_one_is_named(
    troubled: Scene, service: SyncService
) -> None:
    eventually(lambda: _assert_not_ready(troubled, "image", "WorkerFailing", NO_IMAGE), seconds=90)
    assert troubled.status("image")["usersFailed"] == 0
    troubled.patch({"worker": {"image": "", **service.worker}}, "image")
    eventually(lambda: _assert_works(troubled, service, "image"), seconds=90)


def test_a_service_that_is_down_is_said_and_probed_with_one_batch_every_half_minute(outage: Outage) -> None:
    scene = outage.scene

    def is_said() -> str:
        ready = scene.condition("Ready")
        assert (ready["status"], ready["reason"]) == ("False", "WorkerFailing")
        return str(ready["message"])

    message = eventually(is_said, seconds=INTERVAL + 120)
    assert "without a single user synced" in message
    eventually(lambda: _assert_told(scene, POLICY, "WorkerFailing"))

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


def _assert_stalled(scene: Scene, policy: str, reason: str, named: str) -> None:
    stalled, ready = scene.condition("Stalled", policy), scene.condition("Ready", policy)
    assert (stalled["status"], stalled["reason"], ready["reason"]) == ("True", reason, "Stalled")
    assert named in stalled["message"]


def _assert_not_ready(scene: Scene, policy: str, reason: str, said: str) -> None:
    ready = scene.condition("Ready", policy)
    assert (ready["status"], ready["reason"]) == ("False", reason)
    assert said in ready["message"]


def _assert_works(scene: Scene, service: SyncService, policy: str) -> None:
    assert service.synced(f"{policy}.{scene.namespace}")
    assert scene.condition("Ready", policy)["reason"] == "Scheduling"
    assert scene.status(policy)["usersSynced"] == 1


def _assert_quota_counts(scene: Scene) -> None:
    found = scene.kubectl.get("quota", "no-jobs")
    assert found.get("status", {}).get("hard")


def _assert_told(scene: Scene, policy: str, reason: str) -> None:
    assert reason in {told for told, _ in scene.told(policy)}


def _assert_synced(scene: Scene, users: int) -> None:
    assert scene.status()["usersSynced"] == users


def _assert_scheduling(scene: Scene) -> None:
    assert scene.condition("Ready")["reason"] == "Scheduling"
