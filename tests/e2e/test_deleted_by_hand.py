"""People delete what the operator relies on, while batches run. One policy for each thing, all at once."""

from collections.abc import Iterator

import pytest

from cluster_support import Kubectl, eventually
from live.api import Api
from live.counting import Claim, claims, overlapping
from live.scene import Scene, spec, staged
from tasks import image

USERS, BATCH = 12, 3
WORK = ["sh", "-c", "trap 'kill $!; exit 143' TERM; sleep 5 & wait $!"]
"""Long enough to be deleted on the way; ends at SIGTERM, as a good worker does."""
LEDGER, JOB, FILE = "ledger", "job", "file"


@pytest.fixture(scope="module")
def broken(cluster: Kubectl, api: Api, operator_image: image.Image) -> Iterator[Scene]:
    """Two batches of each policy run; then the ledger, a Job, the batch file of a Job are deleted."""
    with staged(cluster, api, "by-hand") as scene:
        worker = {"image": operator_image.reference, "command": WORK}
        for name in (LEDGER, JOB, FILE):
            scene.write_users([f"{name}-{number}" for number in range(USERS)], store=name)
            jobs = {"maxConcurrentBatches": 2}
            scene.apply(spec(worker, store={"configMap": {"name": name}}, batchSize=BATCH, jobs=jobs), name)
        eventually(lambda: _assert_runs(scene, LEDGER), seconds=60)
        [ledger] = scene.config_maps("ledger", LEDGER)
        scene.kubectl("delete", "configmap", ledger["metadata"]["name"])
        eventually(lambda: _assert_runs(scene, JOB), seconds=60)
        scene.kubectl("delete", "job", running_jobs(scene, JOB)[0], "--wait=false")
        eventually(lambda: _assert_runs(scene, FILE), seconds=60)
        scene.kubectl("delete", "configmap", running_jobs(scene, FILE)[0])
        yield scene


def running_jobs(scene: Scene, policy: str) -> list[str]:
    """Names of Jobs that have a running pod."""
    pods = [pod for pod in scene.pods(policy) if pod["status"]["phase"] == "Running"]
    return [pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] for pod in pods]


def times(found: list[Claim]) -> dict[str, int]:
    count: dict[str, int] = {}
    for claim in found:
        count[claim.user] = count.get(claim.user, 0) + 1
    return count


def test_a_ledger_that_is_deleted_is_rebuilt_and_nobody_claimed_twice(broken: Scene) -> None:
    eventually(lambda: _assert_all_done(broken, LEDGER), seconds=120)
    counted = times(claims(broken.witness, LEDGER))
    assert (len(counted), set(counted.values())) == (USERS, {1})
    assert broken.ledger(LEDGER)["jobs"] == []
    assert overlapping(broken.witness) == []


def test_users_of_a_job_that_is_deleted_are_synced_by_another_batch(broken: Scene) -> None:
    eventually(lambda: _assert_all_done(broken, JOB), seconds=120)
    eventually(lambda: _assert_totals(broken, JOB))
    counted = times(claims(broken.witness, JOB))
    assert sorted(counted.values()) == [1] * (USERS - BATCH) + [2] * BATCH
    assert overlapping(broken.witness) == []


def test_users_of_a_batch_file_that_is_deleted_are_synced_by_another_batch_or_its_own(broken: Scene) -> None:
    eventually(lambda: _assert_all_done(broken, FILE), seconds=120)
    eventually(lambda: _assert_totals(broken, FILE))
    counted = times(claims(broken.witness, FILE))
    assert len(counted) == USERS
    assert sum(counted.values()) <= USERS + BATCH
    assert broken.config_maps("batch", FILE) == []
    assert overlapping(broken.witness) == []


def _assert_runs(scene: Scene, policy: str) -> None:
    assert running_jobs(scene, policy)


def _assert_all_done(scene: Scene, policy: str) -> None:
    """Nobody is due or in flight any more, for an hour."""
    status = scene.status(policy)
    assert (status["dueUsers"], status["inFlightUsers"], status["staleUsers"], status["activeJobs"]) == (0, 0, 0, 0)
    assert scene.condition("Ready", policy)["reason"] == "Scheduling"


def _assert_totals(scene: Scene, policy: str) -> None:
    status = scene.status(policy)
    assert (status["usersSynced"], status["usersFailed"]) == (USERS, 0)
