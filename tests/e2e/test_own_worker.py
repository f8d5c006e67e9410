"""Workers of a team's own: the shell worker of the examples, and one that breaks without a word."""

import yaml

from cluster_support import ROOT, eventually
from live.counting import claims, recount, users_of
from live.scene import POLICY, Scene, every, spec
from tasks import image

EXAMPLE = ROOT / "examples" / "shell-worker"
BROKEN = "broken"
FIRST_BACK_OFF = 30.0

# Fails for one user and says so, as sync-one.sh of the example does when its service refuses.
SYNC_ONE = f"""
case $1 in
{BROKEN}) echo "upstream refused"; exit 1 ;;
esac
"""
POISONED = ["sh", "-c", f'if grep -q \'"id":"{BROKEN}"\' "$SYNC_BATCH_FILE"; then exit 1; fi']
"""Syncs everyone in a batch without that user, and fails any other batch without saying why."""


def test_whom_the_shell_worker_names_as_failed_waits_and_nobody_else_does(
    scene: Scene, operator_image: image.Image
) -> None:
    users = [*scene.user_ids(4), BROKEN]
    scene.write_users(users)
    scripts = {"worker.sh": (EXAMPLE / "worker.sh").read_text(), "sync-one.sh": SYNC_ONE}
    about = {"name": "shell-worker"}
    scene.kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": scripts})
    scene.kubectl.apply(yaml.safe_load((EXAMPLE / "podtemplate.yaml").read_text()))
    worker = yaml.safe_load((EXAMPLE / "syncpolicy.yaml").read_text())["spec"]["worker"]
    worker["image"] = operator_image.reference
    scene.apply(spec(worker, intervals=every("5s"), thresholds={"stale": "10m"}))

    def others_go_on_and_it_was_tried_again() -> None:
        found = claims(scene.witness, POLICY)
        assert len([claim for claim in found if claim.user == BROKEN]) >= 2
        assert all(len([claim for claim in found if claim.user == user]) >= 4 for user in users[:-1])

    eventually(others_go_on_and_it_was_tried_again, seconds=120)
    first, second = [claim.at for claim in claims(scene.witness, POLICY) if claim.user == BROKEN][:2]
    assert second - first >= FIRST_BACK_OFF * 1000
    scene.patch({"enabled": False})
    eventually(lambda: _assert_totals_equal_a_recount(scene), seconds=60)


def test_one_user_who_breaks_the_worker_is_found_by_halving_and_the_others_are_synced(
    scene: Scene, operator_image: image.Image
) -> None:
    users = [*scene.user_ids(7), BROKEN]
    scene.write_users(users)
    scene.apply(spec({"image": operator_image.reference, "command": POISONED}, batchSize=8))

    def it_is_found() -> None:
        status, counted = scene.status(), recount(scene.witness, POLICY)
        assert (status["usersSynced"], status["inFlightUsers"]) == (counted.synced, 0) == (7, 0)
        assert status["usersFailed"] == counted.failed

    eventually(it_is_found, seconds=120)
    made = {claim.batch for claim in claims(scene.witness, POLICY)}
    broken = [len(batch) for name, batch in users_of(scene.witness).items() if name in made and BROKEN in batch]
    broken.sort(reverse=True)
    assert broken[:4] == [8, 4, 2, 1]
    assert set(broken[4:]) <= {1}  # tried alone from there on
    assert scene.condition("Ready")["reason"] == "Scheduling"


def _assert_totals_equal_a_recount(scene: Scene) -> None:
    status, counted = scene.status(), recount(scene.witness, POLICY)
    assert (status["enabled"], status["inFlightUsers"]) == (False, 0)
    assert (status["usersSynced"], status["usersFailed"]) == (counted.synced, counted.failed)
