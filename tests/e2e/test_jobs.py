"""The Jobs that a spec makes, and that an edit of the spec takes effect at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest

from cluster_support import Kubectl, eventually
from live.api import Api, Object
from live.counting import claims, jobs_of, users_of
from live.scene import LABEL, Scene, every, merged, spec, staged
from live.service import SyncService

USERS = 12
PER_MINUTE = 5
SHAPES: dict[str, Object] = {
    "limited": {"jobs": {"usersPerMinute": PER_MINUTE}},
    "grouped": {"batchSize": 3, "jobs": {"batchesPerJob": 10}},
    "labelled": {"jobs": {"labels": {"team": "portfolios"}, "annotations": {"cost-centre": "17"}}},
    "edited": {},
    "pruned": {"intervals": every("3s"), "batchSize": 4, "jobs": {"history": {"succeeded": 2, "failed": 0}}},
}


@dataclass(frozen=True)
class Shop:
    """A policy for each shape, all made at once, each with users of its own."""

    scene: Scene
    service: SyncService

    def users(self, policy: str) -> list[str]:
        count = PER_MINUTE + 3 if policy == "limited" else USERS
        return self.scene.user_ids(count, f"{policy}-")

    def await_rounds(self, policy: str, rounds: int = 1, *, seconds: float = 90) -> None:
        def were_synced() -> None:
            synced = self.service.synced(self.scene.namespace)
            assert min(synced.get(user, 0) for user in self.users(policy)) >= rounds

        eventually(were_synced, seconds=seconds)


@pytest.fixture(scope="module")
def shop(cluster: Kubectl, api: Api, service: SyncService) -> Iterator[Shop]:
    with staged(cluster, api, "jobs") as scene:
        shop = Shop(scene, service)
        for name, change in SHAPES.items():
            scene.write_users(shop.users(name), store=name)
            scene.apply(merged(spec(service.worker, store={"configMap": {"name": name}}), change), name)
        yield shop


def test_several_batches_are_one_indexed_job(shop: Shop) -> None:
    shop.await_rounds("grouped")
    [job] = jobs_of(shop.scene.witness, "grouped")
    wanted = {"completionMode": "Indexed", "completions": 4, "parallelism": 4, "backoffLimitPerIndex": 0}
    assert {key: job.body["spec"][key] for key in wanted} == wanted
    users = [users_of(shop.scene.witness)[f"{job.name}-{index}"] for index in range(4)]
    assert [len(batch) for batch in users] == [3, 3, 3, 3]
    assert sorted(user for batch in users for user in batch) == sorted(shop.users("grouped"))


def test_jobs_and_pods_carry_the_policys_labels_and_belong_to_it(shop: Shop) -> None:
    shop.await_rounds("labelled")
    scene = shop.scene
    labels = {"team": "portfolios", LABEL: "labelled", "app.kubernetes.io/managed-by": "periodic-sync"}
    [*jobs], [*pods] = scene.jobs("labelled"), scene.pods("labelled")
    assert jobs
    assert pods
    for item in (*jobs, *pods):
        assert labels.items() <= item["metadata"]["labels"].items()
        assert item["metadata"]["annotations"]["cost-centre"] == "17"
        assert item["metadata"]["labels"]["sync.moonx.farm/priority"] == "high"  # nobody was synced before
    for item in (*jobs, *scene.config_maps("ledger", "labelled"), *scene.config_maps("state", "labelled")):
        [owner] = item["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("SyncPolicy", "labelled", True)
        assert owner["uid"] == scene.policy("labelled")["metadata"]["uid"]


def test_an_edit_of_batch_size_and_interval_takes_effect_at_once(shop: Shop) -> None:
    shop.await_rounds("edited")
    scene = shop.scene
    before = {job.name for job in jobs_of(scene.witness, "edited")}
    scene.patch({"batchSize": 2, "intervals": every("5s")}, "edited")  # an hour until now
    shop.await_rounds("edited", 3)
    fresh = [job for job in jobs_of(scene.witness, "edited") if job.name not in before]
    sizes = {len(users) for batch, users in users_of(scene.witness).items() if batch.rsplit("-", 1)[0] not in before}
    assert max(sizes & {len(users_of(scene.witness)[f"{job.name}-0"]) for job in fresh}) <= 2
    assert {job.body["metadata"]["labels"]["sync.moonx.farm/priority"] for job in fresh} == {"medium"}
    scene.patch({"enabled": False}, "edited")  # it would keep the machine busy


def test_finished_jobs_beyond_the_history_limits_are_deleted(shop: Shop) -> None:
    shop.await_rounds("pruned", 3)
    scene = shop.scene
    assert len(jobs_of(scene.witness, "pruned")) >= 9
    scene.patch({"enabled": False}, "pruned")
    eventually(lambda: _assert_finished_jobs(scene, 2), seconds=60)


def test_no_more_users_are_claimed_in_a_minute_than_the_spec_allows(shop: Shop) -> None:
    shop.await_rounds("limited", seconds=150)
    times = sorted(claim.at for claim in claims(shop.scene.witness, "limited"))
    assert len(times) == PER_MINUTE + 3
    assert all(later - earlier >= 60_000 for earlier, later in zip(times, times[PER_MINUTE:], strict=False))
    assert max(later - earlier for earlier, later in pairwise(times)) < 120_000


def _assert_finished_jobs(scene: Scene, count: int) -> None:
    assert scene.status("pruned")["activeJobs"] == 0
    assert len(scene.jobs("pruned")) == count
