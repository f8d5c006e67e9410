"""The commands of the how-to pages, as a reader types them, on a policy with users; and a recommended setting."""

from collections.abc import Iterator

import pytest
import yaml

from cluster_support import ROOT, Kubectl, eventually
from live.api import Api
from live.pages import Page
from live.scene import Scene, await_gone, spec, staged
from live.service import SyncService
from operator_process import free_port
from tasks.paths import BUILD

USERS = [f"user-{number:02d}" for number in range(1, 13)]


@pytest.fixture(scope="module")
def served(cluster: Kubectl, api: Api, service: SyncService) -> Iterator[Scene]:
    """A policy as that of the quickstart, all of whose users have been synced."""
    with staged(cluster, api, "how-to") as scene:
        scene.write_users(USERS)
        scene.apply(spec(service.worker))

        def all_are_synced() -> None:
            assert scene.status()["usersSynced"] >= len(USERS)

        eventually(all_are_synced, seconds=90)
        yield scene


@pytest.mark.parametrize("name", ["troubleshoot", "roll-back", "back-up", "upgrade"])
def test_every_command_of_the_page_works(served: Scene, name: str) -> None:
    page = Page(f"docs/how-to/{name}.md")
    here = {"NAMESPACE=periodic-sync-demo": f"NAMESPACE={served.namespace}"} if name != "upgrade" else {}
    said = page.run(served.kubectl.kubeconfig, instead=here)
    assert "portfolios" in said
    if name == "back-up":
        assert set(USERS) <= {line.split('"')[3] for line in (BUILD / "users.ndjson").read_text().splitlines()}


@pytest.fixture
def nothing_moved(cluster: Kubectl) -> Iterator[None]:
    await_gone(cluster, "moved")
    yield
    cluster("delete", "namespace", "moved", "--ignore-not-found", "--wait=false")


def test_the_migration_as_it_is_told_syncs_everyone_active_once(
    cluster: Kubectl, service: SyncService, nothing_moved: None
) -> None:
    port = free_port()
    instead = {
        "periodic-sync-demo": service.namespace,
        "--port 3001": f"--port {port}",
        "localhost:3001": f"localhost:{port}",
    }
    said = Page("docs/how-to/migrate.md").run(cluster.kubeconfig, instead=instead)
    assert '"totalUsers":6' in said
    synced = service.synced()
    assert {user: synced.get(user) for user in ("user-1", "user-5", "gone")} == {"user-1": 1, "user-5": 1, "gone": None}


def test_the_production_settings_sync_users_at_once(scene: Scene, service: SyncService) -> None:
    users = scene.user_ids(25)
    scene.write_users(users, inactive=scene.user_ids(2, "away"))
    (policy,) = yaml.safe_load_all(scene.kubectl("kustomize", str(ROOT / "examples" / "production")))
    scene.apply({**policy["spec"], "worker": service.worker})

    def all_are_synced() -> None:
        assert scene.status()["usersSynced"] == len(users)

    eventually(all_are_synced, seconds=90)
    assert service.synced(scene.namespace) == dict.fromkeys(users, 1)
    assert len(scene.jobs()) == 3, "25 users in batches of 10"
