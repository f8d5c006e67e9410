"""What keeps a policy from working is said in a condition, with the cause; and it works once that is mended.

All troubles are made at once and waited for one after the other.
"""

from collections.abc import Iterator

import pytest

from cluster_support import Kubectl, eventually
from live.api import Api, Object
from live.scene import Scene, merged, spec, staged
from live.service import SyncService

NO_IMAGE = "registry.invalid/none:1"
TROUBLES: dict[str, Object] = {
    "zone": {"marketHours": {"timeZone": "Mars/Olympus"}},
    "template": {"worker": {"podTemplate": {"name": "workers"}}},
    "secret": {"worker": {"http": {"bearerTokenSecretRef": {"name": "token", "key": "key"}}}},
    "image": {"worker": {"http": None, "image": NO_IMAGE}},
}
"""Spec changes that can't work, by the name of their policy."""


@pytest.fixture(scope="module")
def troubled(cluster: Kubectl, api: Api, service: SyncService) -> Iterator[Scene]:
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
    refused.patch({"batchSize": 9}, "edited")
    eventually(lambda: _assert_works(refused, service, "edited"), seconds=20)  # before the pause of 30 s is over


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
    [job] = troubled.jobs("image")
    troubled.patch({"worker": {"image": "", **service.worker}}, "image")
    troubled.kubectl("delete", "job", job["metadata"]["name"])
    eventually(lambda: _assert_works(troubled, service, "image"), seconds=90)


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
