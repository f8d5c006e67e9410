"""The local cluster takes kind's words as people and pytest-kind write them."""

import argparse
import signal
from pathlib import Path

import pytest

from localcluster import commands
from localcluster.cli import build_parser, main, seconds, signal_number


def parsed(line: str) -> argparse.Namespace:
    return build_parser().parse_args(line.split())


@pytest.mark.parametrize("line", ["create cluster --name=a --kubeconfig=/k", "create cluster --name a --kubeconfig /k"])
def test_options_with_and_without_equals_mean_the_same(line: str) -> None:
    options = parsed(line)
    assert (options.run, options.name, options.kubeconfig) == (commands.create_cluster, "a", Path("/k"))


def test_everything_pytest_kind_says_is_understood() -> None:
    assert parsed("get clusters").run is commands.get_clusters
    created = parsed("create cluster --name=t --kubeconfig=/k --image=kindest/node:v1 --config /c.yaml")
    assert (created.image, created.config) == ("kindest/node:v1", "/c.yaml")
    loaded = parsed("load docker-image --name t localhost/image:dev")
    assert (loaded.run, loaded.name, loaded.images) == (commands.load_docker_image, "t", ["localhost/image:dev"])
    assert parsed("delete cluster --name=t --kubeconfig=/k").run is commands.delete_cluster


def test_the_name_comes_from_the_environment_as_with_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIND_CLUSTER_NAME", raising=False)
    assert parsed("delete cluster").name == "kind"
    monkeypatch.setenv("KIND_CLUSTER_NAME", "other")
    assert parsed("delete cluster").name == "other"


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), ("", False)])
def test_a_cluster_without_a_node_can_be_asked_for_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    monkeypatch.setenv("PERIODIC_SYNC_CONTROL_PLANE_ONLY", value)
    assert parsed("create cluster").control_plane_only is expected


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("1m30s", 90), ("1.5m", 90), ("500ms", 0.5), ("0", 0)])
def test_durations_are_read_as_go_writes_them(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5mx", "-5m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write it like"):
        seconds(text)


@pytest.mark.parametrize("text", ["KILL", "sigkill", "9"])
def test_signals_have_names_and_numbers(text: str) -> None:
    assert signal_number(text) is signal.SIGKILL


def test_what_is_no_signal_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a signal"):
        signal_number("NOPE")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERIODIC_SYNC_CACHE", str(tmp_path))
    return tmp_path


def test_no_clusters_are_told_as_kind_tells_it(empty_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["get", "clusters"]) == 0
    assert capsys.readouterr() == ("", "No kind clusters found.\n")


@pytest.mark.parametrize("line", ["get kubeconfig", "load docker-image x", "stop kubelet", "get components"])
def test_a_cluster_that_is_not_there_is_an_error_in_one_sentence(
    empty_cache: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    assert main([*line.split(), "--name", "absent"]) == 1
    assert capsys.readouterr().err.startswith(
        "ERROR: could not locate any control plane nodes for cluster named 'absent'"
    )


def test_deleting_a_cluster_that_is_not_there_succeeds(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(empty_cache / "kubeconfig"))
    assert main(["delete", "cluster", "--name", "absent"]) == 0


@pytest.mark.parametrize("name", ["Upper", "a_b", "-a", "a/../b", "", "x" * 49])
def test_a_name_that_cannot_be_is_refused_before_anything_is_done(
    empty_cache: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["create", "cluster", "--control-plane-only", f"--name={name}"]) == 1
    assert "is not a cluster name" in capsys.readouterr().err
    assert not (empty_cache / "clusters").exists()


def test_a_cluster_with_a_node_needs_root_and_says_what_else_there_is(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert main(["create", "cluster", "--name", "a"]) == 1
    assert "needs root" in (said := capsys.readouterr().err)
    assert "--control-plane-only" in said


def test_it_says_so_where_there_is_no_linux(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert main(["create", "cluster", "--name", "a"]) == 1
    assert "needs Linux" in capsys.readouterr().err
