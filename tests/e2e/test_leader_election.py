"""The operators as they are deployed: the leader dies, or is asked to go, and another one schedules."""

import time
from collections.abc import Callable, Iterator

import pytest

from cluster_support import Kubectl, eventually
from live.api import Api, Object
from live.counting import claims, overlapping
from live.operator import NAMESPACE, Operator, start_killer
from live.scene import POLICY, Scene, every, spec, staged
from live.service import SyncService
from takeovers import Takeover
from tasks import image

PROMISE_SECONDS = 20.0
SOON_SECONDS = 5.0

Measure = Callable[[str, object], None]


@pytest.fixture(scope="module")
def busy(cluster: Kubectl, api: Api, service: SyncService) -> Iterator[Scene]:
    """A policy that always has something to do."""
    with staged(cluster, api, "takeover") as scene:
        scene.write_users(scene.user_ids(6))
        scene.apply(spec(service.worker, intervals=every("2s"), thresholds={"stale": "5m"}, batchSize=2))
        eventually(lambda: _assert_has_synced(scene), seconds=60)
        yield scene


def test_killed_the_leader_is_succeeded_within_twenty_seconds(
    busy: Scene, operator: Operator, operator_image: image.Image, record_property: Measure
) -> None:
    killer = start_killer(busy.kubectl, operator_image.reference)
    takeover, successor = _takeover(busy, operator, killer.kill)
    record_property("takeover after SIGKILL", str(takeover))
    assert takeover.claims < PROMISE_SECONDS
    assert {line["message"] for line in operator.log_of(successor)} >= {"standing by", "leading"}
    operator.await_ready()
    assert overlapping(busy.witness) == []


def test_asked_to_go_the_leader_gives_way_at_once(busy: Scene, operator: Operator, record_property: Measure) -> None:
    def delete(pod: Object) -> float:
        name, holder = pod["metadata"]["name"], pod["metadata"]["uid"]
        operator.kubectl("delete", "pod", name, "-n", NAMESPACE, "--wait=false")

        def has_given_way() -> None:
            assert operator.leader()["metadata"]["uid"] != holder

        eventually(has_given_way)
        return time.time()

    takeover, _ = _takeover(busy, operator, delete)
    record_property("takeover after SIGTERM", str(takeover))
    assert takeover.leads < SOON_SECONDS
    operator.await_ready()
    assert overlapping(busy.witness) == []


def _takeover(scene: Scene, operator: Operator, end: Callable[[Object], float]) -> tuple[Takeover, Object]:
    """End the leader; `end` returns a moment when it claimed no more. Returns: how long it took, and the successor."""
    operator.await_ready()
    old = operator.leader()
    began = time.time()
    over = end(old)

    def next_claim() -> float:
        later = [claim.at / 1000 for claim in claims(scene.witness, POLICY) if claim.at / 1000 > over]
        assert later, "nobody has claimed anything"
        return min(later)

    took = eventually(next_claim, seconds=60) - began
    successor = operator.leader()
    assert successor["metadata"]["uid"] != old["metadata"]["uid"]
    return Takeover(operator.led_since() - began, took), successor


def _assert_has_synced(scene: Scene) -> None:
    assert scene.status()["usersSynced"] > 0
