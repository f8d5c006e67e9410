"""Manual syncs, asked for by annotation."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cluster_support import Kubectl, eventually
from live.api import Api
from live.counting import Claim, claims
from live.scene import POLICY, Scene, spec, staged
from live.service import SyncService


@dataclass(frozen=True)
class Asked:
    """A policy that syncs everyone once an hour, so that whatever else happens was asked for."""

    scene: Scene
    active: list[str]
    inactive: list[str]

    def await_completed(self, token: str) -> None:
        def is_completed() -> None:
            status = self.scene.status()
            assert (status["lastHandledRequest"], status["lastCompletedRequest"]) == (token, token)

        eventually(is_completed, seconds=90)

    def claims(self) -> list[Claim]:
        return claims(self.scene.witness, POLICY)

    def synced_since(self, before: list[Claim]) -> list[str]:
        """Who was put in a batch since then."""
        return sorted(claim.user for claim in self.claims()[len(before) :])

    def priorities_since(self, before: list[Claim]) -> set[str]:
        jobs = {claim.batch.rsplit("-", 1)[0] for claim in self.claims()[len(before) :]}
        made = [job for job in self.scene.witness.jobs.all() if job.name in jobs]
        return {job.body["metadata"]["labels"]["sync.moonx.farm/priority"] for job in made}


@pytest.fixture(scope="module")
def asked(cluster: Kubectl, api: Api, service: SyncService) -> Iterator[Asked]:
    with staged(cluster, api, "requests") as scene:
        active, inactive = scene.user_ids(6), scene.user_ids(3, "i")
        scene.write_users(active, inactive)
        scene.apply(spec(service.worker))
        eventually(lambda: _assert_synced(scene, len(active)), seconds=90)
        yield Asked(scene, active, inactive)


def test_named_users_are_synced_though_inactive_and_unknown_ones_get_an_event(asked: Asked) -> None:
    before, wanted = asked.claims(), [asked.active[0], asked.inactive[0]]
    asked.scene.request(f"{','.join(wanted)},ghost", "named")
    asked.await_completed("named")
    assert asked.synced_since(before) == sorted(wanted)
    assert asked.priorities_since(before) == {"high"}
    notes = [note for reason, note in asked.scene.told() if reason == "UnknownUsers"]
    assert len(notes) == 1
    assert "ghost" in notes[0]


def test_a_request_for_active_users_leaves_the_others_alone(asked: Asked) -> None:
    before = asked.claims()
    asked.scene.request("active", "everyone-active")
    asked.await_completed("everyone-active")
    assert asked.synced_since(before) == sorted(asked.active)
    assert asked.priorities_since(before) == {"low"}


def test_a_request_for_all_users_syncs_the_inactive_ones_too(asked: Asked) -> None:
    before = asked.claims()
    asked.scene.request("all", "everyone")
    asked.await_completed("everyone")
    assert asked.synced_since(before) == sorted([*asked.active, *asked.inactive])


def test_while_disabled_a_request_waits_and_the_newest_token_wins(asked: Asked) -> None:
    scene, before = asked.scene, asked.claims()
    scene.patch({"enabled": False})
    eventually(lambda: _assert_enabled(scene, False))
    scene.request(asked.active[1], "older")
    eventually(lambda: _assert_handled(scene, "older"))
    scene.request(asked.active[2], "newer")
    eventually(lambda: _assert_handled(scene, "newer"))
    assert scene.status()["lastCompletedRequest"] == "everyone"
    scene.patch({"enabled": True})
    asked.await_completed("newer")
    assert asked.synced_since(before) == [asked.active[2]]


def _assert_synced(scene: Scene, users: int) -> None:
    assert scene.status()["usersSynced"] == users


def _assert_enabled(scene: Scene, enabled: bool) -> None:
    assert scene.status()["enabled"] is enabled


def _assert_handled(scene: Scene, token: str) -> None:
    assert scene.status().get("lastHandledRequest") == token
