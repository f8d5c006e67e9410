"""What an application does with a policy whose users are in Redis: it registers one, tells of activity, asks for a
sync, and is told over WebSocket that it is done."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cluster_support import Kubectl, eventually
from faults.redis_pod import start_redis
from live.api import Api, Object
from live.http_api import ACCOUNT, Answer, HttpApi, started
from live.scene import POLICY, Scene, every, spec, staged
from live.service import SyncService
from live.streams import listening
from tasks import engines, image, redis_image
from tasks.steps import run_steps


@dataclass(frozen=True)
class Shop:
    """A policy on Redis, and the API with its callers."""

    scene: Scene
    http: HttpApi
    service: SyncService

    @property
    def path(self) -> str:
        return f"/v1/namespaces/{self.scene.namespace}/policies/{POLICY}"

    def call(self, method: str, path: str, body: object = None) -> Answer:
        return self.http(method, f"{self.path}/{path}", body, token=self.http.token("app", *ROLES))


ROLES = ("periodic-sync-activity-writer", "periodic-sync-user-reader")


@pytest.fixture
def shop(
    request: pytest.FixtureRequest,
    cluster: Kubectl,
    api: Api,
    engine: engines.Engine,
    operator_image: image.Image,
    service: SyncService,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    run_steps(redis_image.steps(engine, request.config.option.cluster_name))
    reference = operator_image.reference
    redis_of = redis_image.reference() if engine.name == "local" else "redis:7"
    with staged(cluster, api, "live-events") as scene:
        start_redis(scene.kubectl, redis_image=redis_of, client_image=reference)
        subject = f"--serviceaccount={scene.namespace}:{ACCOUNT}"
        scene.kubectl("create", "rolebinding", "api-reads", "--role=periodic-sync-reads-redis", subject)
        store = {"redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": "shop:"}}
        scene.apply({**spec(service.worker, intervals=every("1h")), "store": store})
        with started(scene.kubectl, reference, tmp_path_factory.mktemp("live-events")) as http:
            yield Shop(scene, http, service)


def test_an_application_is_told_that_the_sync_it_asked_for_is_done(shop: Shop) -> None:
    ada = f"ada.{shop.scene.namespace}"
    with listening(shop.http, {POLICY: shop.path}, shop.http.token("app", *ROLES)) as streams:
        assert shop.call("PUT", f"users/{ada}", {"wallet": "0xa1"}).status == 204
        assert shop.call("POST", f"users/{ada}/activity").status == 204
        eventually(lambda: _assert_told(streams[POLICY].events("user.synced"), ada))
        assert shop.call("GET", f"users/{ada}/why").json["reason"] == "NotDue"
        asked = shop.call("POST", f"users/{ada}/sync")
        assert asked.status == 202
        told = eventually(lambda: _assert_told(streams[POLICY].events("user.synced"), ada, ada))
        # Of two sources: it may come after the other.
        eventually(lambda: _assert_scheduled(streams[POLICY].events("batch.scheduled"), "high", "high"))
    assert told[1]["at"] >= asked.json["requestedAt"]
    assert shop.call("GET", f"users/{ada}").json["state"]["requestServed"] == asked.json["requestedAt"]
    assert shop.service.synced()[ada] == 2


def _assert_told(events: list[Object], *users: str) -> list[Object]:
    assert [event["user"] for event in events] == [*users]
    return events


def _assert_scheduled(events: list[Object], *priorities: str) -> None:
    assert [event["priority"] for event in events] == [*priorities]
