"""A person's kubeconfig keeps what else is in it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from localcluster import kubeconfig


def config(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}:1"}}],
        "users": [{"name": name, "user": {"token": name}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def names(of: dict[str, Any]) -> list[str]:
    return [entry["name"] for entry in of["contexts"]]


def test_the_new_cluster_is_added_and_becomes_the_current_one() -> None:
    both = kubeconfig.merged(config("old"), config("kind-a"))
    assert names(both) == ["old", "kind-a"]
    assert both["current-context"] == "kind-a"


def test_a_cluster_made_again_replaces_its_old_entries() -> None:
    again = config("kind-a")
    again["clusters"][0]["cluster"]["server"] = "https://new:1"
    assert kubeconfig.merged(config("kind-a"), again) == again


def test_removing_a_cluster_leaves_the_others_and_their_choice() -> None:
    both = kubeconfig.merged(config("kind-a"), config("old"))
    assert kubeconfig.without(both, "kind-a") == config("old")
    assert kubeconfig.without(config("kind-a"), "kind-a")["current-context"] == ""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERIODIC_SYNC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "kubeconfig"


def test_an_empty_file_made_by_a_test_framework_is_filled(file: Path) -> None:
    file.touch()
    kubeconfig.add_entries(file, config("kind-a"))
    assert json.loads(file.read_text()) == config("kind-a")
    assert file.stat().st_mode & 0o077 == 0


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.touch()
    file.symlink_to(target)
    kubeconfig.add_entries(file, config("kind-a"))
    assert file.is_symlink()
    assert json.loads(target.read_text()) == config("kind-a")


def test_a_file_without_the_cluster_is_not_touched(file: Path) -> None:
    file.write_text("anything: at all")
    kubeconfig.remove_entries(file, "a")
    assert file.read_text() == "anything: at all"
    kubeconfig.remove_entries(file.with_name("absent"), "a")


def test_another_form_of_yaml_is_translated_by_kubectl_and_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def kubectl(*arguments: str) -> str:
        asked.append(arguments[4])
        return json.dumps(config("old")) if arguments[4] == "json" else "written: by kubectl"

    monkeypatch.setattr(kubeconfig, "_kubectl", kubectl)
    file.write_text("current-context: old # in YAML")
    kubeconfig.add_entries(file, config("kind-a"))
    assert asked == ["json", "yaml"]
    assert file.read_text() == "written: by kubectl"


def test_the_first_file_of_the_environment_is_the_one_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", ":/first:/second")
    assert kubeconfig.default_path() == Path("/first")
    monkeypatch.delenv("KUBECONFIG")
    assert kubeconfig.default_path() == Path("~/.kube/config").expanduser()


def test_the_command_runs_from_anywhere(tmp_path: Path) -> None:
    program = Path(kubeconfig.__file__).parent.parent / "kind"
    told = subprocess.run([program, "version"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "kubernetes v1." in told.stdout
