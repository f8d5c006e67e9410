"""The Jobs that a spec makes, that an edit of it takes effect at once, and workers of a team's own.

All policies are made at once, since some take their time, and looked at one after the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
import yaml

from cluster_support import ROOT, Kubectl, eventually
from live.api import Api, Object
from live.counting import claims, jobs_of, recount, users_of
from live.operator import Operator
from live.scene import LABEL, Scene, every, merged, spec, staged
from live.service import SyncService
from tasks import image

USERS = 12
PER_MINUTE = 5
SHAPES: dict[str, Object] = {
    "limited": {"jobs": {"usersPerMinute": PER_MINUTE}},
    "grouped": {"batchSize": 3, "jobs": {"batchesPerJob": 10}},
    "labelled": {"jobs": {"labels": {"team": "portfolios"}, "annotations": {"cost-centre": "17"}}},
    "edited": {},
    "pruned": {"intervals": every("3s"), "batchSize": 4, "jobs": {"history": {"succeeded": 2, "failed": 0}}},
}

EXAMPLE = ROOT / "examples" / "shell-worker"
BROKEN = "broken"
FIRST_BACK_OFF = 30.0
SHELL, POISONED = "shell", "poisoned"
OTHERS = {SHELL: ["a", "b", "c", "d"], POISONED: ["a", "b", "c", "d", "e", "f", "g"]}

# Fails for one user and says so, as sync-one.sh of the example does when its service refuses.
SYNC_ONE = f"""
case $1 in
{BROKEN}) echo "upstream refused"; exit 1 ;;
esac
"""
BREAKS = ["sh", "-c", f'if grep -q \'"id":"{BROKEN}"\' "$SYNC_BATCH_FILE"; then exit 1; fi']
"""Syncs everyone in a batch without that user, and fails any other batch without saying why."""


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
def shop(cluster: Kubectl, api: Api, service: SyncService, operator_image: image.Image) -> Iterator[Shop]:
    with staged(cluster, api, "jobs") as scene:
        shop = Shop(scene, service)
        open_own_workers(scene, operator_image.reference)
        for name, change in SHAPES.items():
            scene.write_users(shop.users(name), store=name)
            scene.apply(merged(spec(service.worker, store={"configMap": {"name": name}}), change), name)
        yield shop


def open_own_workers(scene: Scene, image_name: str) -> None:
    """Two policies, of whose users one can't be synced: the shell worker says so, the other one breaks."""
    scripts = {"worker.sh": (EXAMPLE / "worker.sh").read_text(), "sync-one.sh": SYNC_ONE}
    about = {"name": "shell-worker"}  # as the PodTemplate says
    scene.kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": scripts})
    scene.kubectl.apply(yaml.safe_load((EXAMPLE / "podtemplate.yaml").read_text()))
    worker = yaml.safe_load((EXAMPLE / "syncpolicy.yaml").read_text())["spec"]["worker"]
    changes = {"intervals": every("5s"), "thresholds": {"stale": "10m"}, "store": {"configMap": {"name": SHELL}}}
    scene.write_users([*OTHERS[SHELL], BROKEN], store=SHELL)
    scene.apply(spec({**worker, "image": image_name}, **changes), SHELL)
    scene.write_users([*OTHERS[POISONED], BROKEN], store=POISONED)
    breaking = spec({"image": image_name, "command": BREAKS}, batchSize=8, store={"configMap": {"name": POISONED}})
    scene.apply(breaking, POISONED)


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
    shop.await_rounds("edited", 2)
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


def test_the_leaders_metrics_tell_what_the_status_does_and_name_nobody(shop: Shop, operator: Operator) -> None:
    shop.await_rounds("pruned", 3)
    scene = shop.scene
    scene.patch({"enabled": False}, "pruned")
    owner = {"namespace": scene.namespace, "policy": "pruned"}

    def they_agree() -> None:
        status, told = scene.status("pruned"), operator.scrape_leader()
        assert told.value("periodic_sync_user_syncs_total", **owner, result="synced") == status["usersSynced"] > 0
        assert told.value("periodic_sync_active_users", **owner) == status["activeUsers"] == USERS
        assert told.value("periodic_sync_in_flight_users", **owner) == status["inFlightUsers"] == 0
        assert told.nonzero("periodic_sync_policy_state", "state", **owner) == {"Paused": 1}
        assert told.value("periodic_sync_due_lag_seconds_count", **owner, priority="medium")
        assert "0x" not in told.text
        assert not [user for user in shop.users("pruned") if user in told.text]

    eventually(they_agree, seconds=60)


def test_one_user_who_breaks_the_worker_is_found_by_halving_and_the_others_are_synced(shop: Shop) -> None:
    scene = shop.scene

    def it_is_found() -> None:
        status, counted = scene.status(POISONED), recount(scene.witness, POISONED)
        assert (status["usersSynced"], status["inFlightUsers"]) == (counted.synced, 0) == (7, 0)
        assert status["usersFailed"] == counted.failed

    eventually(it_is_found, seconds=120)
    made = {claim.batch for claim in claims(scene.witness, POISONED)}
    broken = [len(batch) for name, batch in users_of(scene.witness).items() if name in made and BROKEN in batch]
    broken.sort(reverse=True)
    assert broken[:4] == [8, 4, 2, 1]
    assert set(broken[4:]) <= {1}  # tried alone from there on
    assert scene.condition("Ready", POISONED)["reason"] == "Scheduling"


def test_whom_the_shell_worker_names_as_failed_waits_and_nobody_else_does(shop: Shop) -> None:
    scene = shop.scene

    def others_go_on_and_it_was_tried_again() -> None:
        found = claims(scene.witness, SHELL)
        assert len([claim for claim in found if claim.user == BROKEN]) >= 2
        assert all(len([claim for claim in found if claim.user == user]) >= 4 for user in OTHERS[SHELL])

    eventually(others_go_on_and_it_was_tried_again, seconds=120)
    first, second = [claim.at for claim in claims(scene.witness, SHELL) if claim.user == BROKEN][:2]
    assert second - first >= FIRST_BACK_OFF * 1000
    scene.patch({"enabled": False}, SHELL)
    eventually(lambda: _assert_totals_equal_a_recount(scene), seconds=60)


def test_no_more_users_are_claimed_in_a_minute_than_the_spec_allows(shop: Shop) -> None:
    shop.await_rounds("limited", seconds=150)
    times = sorted(claim.at for claim in claims(shop.scene.witness, "limited"))
    assert len(times) == PER_MINUTE + 3
    assert all(later - earlier >= 60_000 for earlier, later in zip(times, times[PER_MINUTE:], strict=False))
    assert max(later - earlier for earlier, later in pairwise(times)) < 120_000


def _assert_finished_jobs(scene: Scene, count: int) -> None:
    assert scene.status("pruned")["activeJobs"] == 0
    assert len(scene.jobs("pruned")) == count


def _assert_totals_equal_a_recount(scene: Scene) -> None:
    status, counted = scene.status(SHELL), recount(scene.witness, SHELL)
    assert (status["enabled"], status["inFlightUsers"]) == (False, 0)
    assert (status["usersSynced"], status["usersFailed"]) == (counted.synced, counted.failed)
