"""Addresses, names and cache keys of local clusters: chosen so that nothing meets and nothing stale is used."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from localcluster import golang, images, network, packages, paths, state
from localcluster.errors import LocalClusterError, last_lines
from localcluster.network import Block, choose_block


def test_a_block_divides_into_parts_that_do_not_overlap() -> None:
    block = Block(IPv4Network("10.205.16.0/20"))
    cable = IPv4Network((block.host, 30), strict=False)
    parts = [cable, block.pods, block.services]
    assert all(part.subnet_of(block.network) for part in parts)
    assert not any(one.overlaps(other) for one in parts for other in parts if one is not other)
    assert block.node in cable
    assert {block.api_service, block.dns_service} <= set(block.services.hosts())


def test_clusters_side_by_side_never_share_addresses() -> None:
    taken: set[IPv4Network] = set()
    for _ in range(48):
        taken.add(choose_block(taken).network)
    assert not any(one.overlaps(other) for one in taken for other in taken if one != other)
    with pytest.raises(LocalClusterError, match="No free addresses"):
        choose_block(taken)


@pytest.mark.parametrize("in_use", ["10.0.0.0/8", "10.205.0.0/16", "10.205.0.128/25"])
def test_addresses_the_machine_uses_are_left_alone(in_use: str) -> None:
    assert not choose_block([IPv4Network(in_use)]).network.overlaps(IPv4Network(in_use))


def test_the_default_route_takes_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    told = '[{"dst":"default"},{"dst":"10.1.0.0/16"},{"type":"local","dst":"10.1.2.3"}]'
    monkeypatch.setattr(network, "_ip", lambda *_: told)
    assert network.machine_networks() == {IPv4Network("10.1.0.0/16"), IPv4Network("10.1.2.3/32")}


def test_a_port_that_is_taken_is_passed_over() -> None:
    first = network.choose_port(set())
    assert network.choose_port({first}) > first


def test_the_tag_fits_an_interface_name_and_belongs_to_one_state_folder() -> None:
    one = paths.ClusterPaths("a" * 48, Path("/x/clusters/a"))
    assert len(one.tag) <= 15
    assert one.tag == paths.ClusterPaths("other name", one.root).tag
    assert one.tag != paths.ClusterPaths(one.name, Path("/y/clusters/a")).tag


def test_a_state_folder_too_long_for_a_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERIODIC_SYNC_CACHE", "/" + "d" * 90)
    with pytest.raises(LocalClusterError, match="too long for a socket"):
        paths.cluster_paths("a")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PERIODIC_SYNC_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/periodic-sync"),
        ({"HOME": "/h"}, "/h/.cache/periodic-sync"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("PERIODIC_SYNC_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert paths.cache_root() == Path(expected)


def test_a_hash_tells_where_one_part_ends_and_the_next_begins() -> None:
    assert paths.digest("ab", "c") != paths.digest("a", "bc")
    assert paths.digest("ab") == paths.digest(b"ab")


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go"])
def test_the_binary_is_built_anew_when_any_of_its_sources_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    for name in ("go.mod", "go.sum", "main.go"):
        (tmp_path / name).write_bytes((golang.MODULE / name).read_bytes())
    monkeypatch.setattr(golang, "MODULE", tmp_path)
    before = golang.binary_path()
    (tmp_path / changed).write_text((tmp_path / changed).read_text() + "\n// changed\n")
    assert golang.binary_path() != before


def test_the_binary_knows_the_version_of_kubernetes_it_is() -> None:
    flags = golang.link_flags("v1.37.2")
    assert "version.gitVersion=v1.37.2 " in flags
    assert "version.gitMajor=1 " in flags
    assert "version.gitMinor=37 " in flags


def test_a_missing_tool_that_cannot_be_installed_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_is_there", lambda tool: tool != "nft")
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(packages.shutil, "which", lambda _: "/usr/bin/apt-get")
    with pytest.raises(LocalClusterError, match=r"Missing: nft, and only root can install it\. Install nftables"):
        packages.ensure_tools(["ip", "nft"])


def test_the_pause_image_is_the_same_for_the_same_program(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"program")
    assert images.pause_archive(program) == images.pause_archive(program)


def test_a_half_written_state_counts_as_none(tmp_path: Path) -> None:
    cluster = paths.ClusterPaths("a", tmp_path)
    state.write_state(cluster, state.ClusterState("/b", 21000))
    assert state.read_state(cluster) == state.ClusterState("/b", 21000)
    cluster.state.write_text(cluster.state.read_text()[:20])
    assert state.read_state(cluster) is None
    assert not state.is_alive(cluster)


def test_an_error_shows_the_last_lines_of_a_log_and_where_it_is(tmp_path: Path) -> None:
    log = tmp_path / "etcd.log"
    log.write_text("\n".join(f"line {number}" for number in range(100)))
    told = last_lines(log, 2)
    assert told == f"  | line 98\n  | line 99\n  in {log}"
    assert "nothing was written" in last_lines(tmp_path / "absent.log")
