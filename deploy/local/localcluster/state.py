"""What a cluster is, kept in its state folder so that any later command can go on with it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.network import Block
from localcluster.paths import ClusterPaths, cluster_paths, clusters_root
from localcluster.processes import ProcessRecord, is_running, read_record, read_records

HOLDER = "holder"


@dataclass(frozen=True)
class ClusterState:
    """`network` is empty for a cluster without a node, which lives on the machine's own loopback."""

    binary: str
    port: int
    network: str = ""
    ready: bool = False

    @property
    def has_node(self) -> bool:
        return bool(self.network)

    @property
    def block(self) -> Block:
        return Block(IPv4Network(self.network))

    @property
    def address(self) -> str:
        return str(self.block.node) if self.has_node else "127.0.0.1"

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.port}"

    def made_ready(self) -> "ClusterState":
        return replace(self, ready=True)


def write_state(paths: ClusterPaths, state: ClusterState) -> None:
    paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = paths.state.with_suffix(".new")
    draft.write_text(json.dumps(asdict(state), indent=1))
    draft.replace(paths.state)


def read_state(paths: ClusterPaths) -> ClusterState | None:
    try:
        return ClusterState(**json.loads(paths.state.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def existing(name: str) -> tuple[ClusterPaths, ClusterState]:
    paths = cluster_paths(name)
    state = read_state(paths)
    if state is None or not is_alive(paths):
        raise LocalClusterError(
            f"could not locate any control plane nodes for cluster named '{name}'. "
            "Use the --name option to select a different cluster"
        )
    return paths, state


def all_clusters() -> Iterator[tuple[ClusterPaths, ClusterState]]:
    """Dead ones too: their addresses stay theirs until their remains are gone."""
    if clusters_root().is_dir():
        for folder in sorted(clusters_root().iterdir()):
            paths = ClusterPaths(folder.name, folder)
            state = read_state(paths)
            if state is not None:
                yield paths, state


def is_alive(paths: ClusterPaths) -> bool:
    """A cluster whose API server was stopped for a test is alive; one whose machine was restarted is not."""
    state = read_state(paths)
    if state is None:
        return False
    if state.has_node:
        return is_running(read_record(paths.record(HOLDER)))
    return any(map(is_running, read_records(paths.records).values()))


def holder_of(paths: ClusterPaths, state: ClusterState) -> ProcessRecord | None:
    return read_record(paths.record(HOLDER)) if state.has_node else None


def remove_folder(paths: ClusterPaths) -> None:
    """Never through a mount: what is mounted below would be deleted in place of the mount point."""
    below = f"{paths.root}/"
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(below)), reverse=True):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, timeout=30, check=False)
    if paths.root.exists():
        shutil.rmtree(paths.root)
