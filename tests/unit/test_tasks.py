"""What the Makefile's tasks decide: the engine, the image's name, and the manifests they make of it."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from periodic_sync import __version__
from tasks import engines, examples, image, venv
from tasks.deploying import image_fields
from tasks.paths import DOCKERFILE, PACKAGE, ROOT
from tasks.shell import TaskError

LOCAL = engines.Engine("local", "buildah", None)


@pytest.mark.parametrize(
    ("reference", "fields"),
    [
        ("periodic-sync:0.1.0", {"name": "periodic-sync", "version": 'newTag: "0.1.0"'}),
        ("periodic-sync", {"name": "periodic-sync", "version": "newTag: latest"}),
        ("hub.test:5000/team/sync", {"name": "hub.test:5000/team/sync", "version": "newTag: latest"}),
        ("hub.test:5000/team/sync:1", {"name": "hub.test:5000/team/sync", "version": 'newTag: "1"'}),
        ("sync@sha256:abc", {"name": "sync", "version": "digest: sha256:abc"}),
    ],
)
def test_an_image_is_named_the_way_kustomize_wants(reference: str, fields: dict[str, str]) -> None:
    assert image_fields(reference) == fields


@pytest.mark.parametrize(
    ("wanted", "running", "chosen"),
    [
        ("", "", "local"),
        ("", "docker", "kind"),
        ("local", "docker", "local"),
        ("kind", "podman", "kind"),
        ("existing", "docker", "existing"),
    ],
)
def test_the_engine_is_kind_where_a_container_engine_runs_and_the_wanted_one_always(
    wanted: str, running: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "running_container_engine", lambda: running)
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", "")
    assert engines.choose(wanted).name == chosen


def test_kind_without_a_container_engine_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "running_container_engine", lambda: "")
    with pytest.raises(TaskError, match="start Docker or Podman, or use ENGINE=local"):
        engines.choose("kind")


def test_an_unknown_engine_is_refused_with_those_there_are() -> None:
    with pytest.raises(TaskError, match="ENGINE=minikube is not known: write ENGINE=kind, ENGINE=local or"):
        engines.choose("minikube")


def test_an_existing_cluster_needs_the_image_by_name() -> None:
    with (
        pytest.raises(TaskError, match="IMAGE=REGISTRY/periodic-sync:TAG"),
        image.sources(engines.Engine("existing", "", None), ""),
    ):
        pass
    with image.sources(engines.Engine("existing", "", None), "hub.test/sync:1") as (given, steps):
        assert (given, steps) == (image.Image("hub.test/sync:1", None), [])


IN_THE_IMAGE = [DOCKERFILE, image.LOCK, PACKAGE / "__init__.py", PACKAGE / "stores" / "redis" / "lua" / "common.lua"]


def copy_of_sources(root: Path) -> Path:
    for path in IN_THE_IMAGE:
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return root


@pytest.mark.parametrize("changed", IN_THE_IMAGE)
def test_the_image_is_named_by_what_goes_into_it(changed: Path, tmp_path: Path) -> None:
    root = copy_of_sources(tmp_path)
    before = image.named_by_content(LOCAL, root)
    (root / "README.md").write_text("not in the image")
    assert image.named_by_content(LOCAL, root) == before
    with (root / changed.relative_to(ROOT)).open("a") as file:
        file.write("# changed\n")
    assert image.named_by_content(LOCAL, root) != before


def test_wheels_are_fetched_for_whatever_python_the_image_has() -> None:
    lock = "one==1.0 ; python_full_version < '3.11.3' \\\n    --hash=sha256:ab\ntwo==2.0 \\\n    --hash=sha256:cd\n"
    assert image.without_markers(lock) == ("one==1.0 \\\n    --hash=sha256:ab\ntwo==2.0 \\\n    --hash=sha256:cd\n")


def test_the_quickstart_has_active_and_inactive_users_whenever_it_is_made() -> None:
    now = datetime.now(UTC)
    users = examples.read_users()
    assert len(users.active) + len(users.inactive) >= 25
    assert users.inactive
    records = {key: json.loads(value) for key, value in json.loads(users.config_map)["data"].items()}
    assert set(records) == {*users.active, *users.inactive}
    hours = {
        user: (now - datetime.fromisoformat(record["lastActive"])).total_seconds() / 3600
        for user, record in records.items()
    }
    assert max(hours[user] for user in users.active) < 24 < min(hours[user] for user in users.inactive)


@pytest.mark.parametrize("name", ["periodic-sync", "kubectl-syncpolicy"])
def test_the_environment_has_the_package_s_own_commands(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(venv, "VENV", tmp_path)
    venv.write_commands()
    done = subprocess.run(
        [tmp_path / "bin" / name, "--version"],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n"), done.stderr
