"""Where everything is kept: artefacts by the hash of what they are made from, and one state folder a cluster."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import LocalClusterError

DEFAULT_NAME = "kind"
SOURCES = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,46}[a-z0-9])?")
# The kernel keeps a Unix socket's address in 108 bytes, the last of them zero.
_LONGEST_SOCKET_PATH = 107


def cache_root() -> Path:
    explicit = os.environ.get("PERIODIC_SYNC_CACHE")
    if explicit:
        return Path(explicit).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "periodic-sync"


def digest(*parts: bytes | str) -> str:
    """A short hash of the parts; their lengths are hashed too, so that moving a byte between two parts changes it."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(f"{len(raw)}:".encode() + raw)
    return total.hexdigest()[:16]


@dataclass(frozen=True)
class ClusterPaths:
    name: str
    root: Path

    @property
    def tag(self) -> str:
        """What names the cluster's interface and cgroups: short enough for an interface (15), the same after a
        crash without any file being read, and another one for the same name under another cache folder."""
        return "ps-" + digest(str(self.root))[:8]

    @property
    def node_name(self) -> str:
        return f"{self.name}-control-plane"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def records(self) -> Path:
        return self.root / "processes"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def etcd_socket(self) -> Path:
        return self.root / "etcd.sock"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.root / "admin.kubeconfig"

    @property
    def failed_logs(self) -> Path:
        return cache_root() / "failed" / self.name

    def record(self, component: str) -> Path:
        return self.records / f"{component}.json"

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def kubeconfig(self, identity: str) -> Path:
        return self.root / f"{identity}.kubeconfig"


def clusters_root() -> Path:
    return cache_root() / "clusters"


def cluster_paths(name: str) -> ClusterPaths:
    if not _NAME.fullmatch(name):
        raise LocalClusterError(
            f"'{name}' is not a cluster name: write lower-case letters, digits, '-' and '.', at most 48 characters."
        )
    paths = ClusterPaths(name, clusters_root() / name)
    if len(str(paths.root / "etcd-peer.sock")) > _LONGEST_SOCKET_PATH:
        raise LocalClusterError(
            f"The state folder {paths.root} is too long for a socket in it: "
            "choose a shorter cluster name, or a shorter folder in PERIODIC_SYNC_CACHE."
        )
    return paths
