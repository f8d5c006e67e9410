"""The node: namespaces of its own, a container runtime in them, and the files kubelet and its helpers read."""

import json
import subprocess
from pathlib import Path
from typing import IO

from localcluster.errors import LocalClusterError, last_lines
from localcluster.images import PAUSE_IMAGE
from localcluster.launch import Launch, launch
from localcluster.network import Block
from localcluster.packages import CNI_PLUGINS
from localcluster.paths import ClusterPaths, cache_root
from localcluster.processes import ProcessRecord, is_running
from localcluster.state import HOLDER, ClusterState
from localcluster.waiting import wait_until

# Inside the cluster's mount namespace, where /run is its own: short, and the same for every cluster.
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

# kubelet, containerd and the network plugins write to fixed places (/run, /var/lib/cni, /var/log/containers, kernel
# settings): each cluster gets its own, empty, so that clusters don't meet there and the machine's are not touched.
# The cache folder is kept in sight in case it lies below one of those places.
_PREPARE_NAMESPACE = """
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/kept /run/settings /run/netns
mount --bind "$1" /run/kept
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o mode=755 tmpfs /var/log
if [ ! -e "$2" ]; then mkdir -p "$1"; mount --bind /run/kept "$1"; fi
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \\
               kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  [ -e "/proc/sys/$setting" ] || continue
  copy="/run/settings/$(basename "$setting")"
  cat "/proc/sys/$setting" > "$copy"
  mount --bind "$copy" "/proc/sys/$setting"
done
echo 1 > /proc/sys/net/ipv4/ip_forward
mount --make-rshared /
exec "$2"
"""


def start_holder(paths: ClusterPaths, pause: Path) -> ProcessRecord:
    """The first process of the cluster's namespaces. When it ends the kernel ends everything in them, and with the
    last process go the mounts, interfaces, bridges and packet filter rules: that is the whole of tearing down."""
    argv = ["/bin/sh", "-euc", _PREPARE_NAMESPACE, "holder", str(cache_root()), str(pause)]
    record = launch(Launch(argv, paths.log(HOLDER), paths.record(HOLDER), new_namespaces=True))
    wait_until(
        lambda: _runs(record, pause) or not is_running(record),
        "the cluster's namespaces to be prepared",
        30,
        detail=lambda: last_lines(paths.log(HOLDER)),
        interval=0.02,
    )
    if not is_running(record):
        raise LocalClusterError(
            f"Could not prepare the cluster's namespaces (are all of root's capabilities there?):\n"
            f"{last_lines(paths.log(HOLDER))}"
        )
    return record


def _runs(record: ProcessRecord, program: Path) -> bool:
    try:
        running = Path(f"/proc/{record.pid}/exe").readlink()
        return running.parts[-2:] == program.parts[-2:]
    except OSError:
        return False


def inside(
    holder: ProcessRecord, *command: str, stdin: IO[bytes] | int = subprocess.DEVNULL, seconds: float = 600
) -> str:
    if not is_running(holder):
        raise LocalClusterError("The cluster is dead: delete it and create it again.")
    entered = ["nsenter", f"--target={holder.pid}", "--mount", "--net", "--pid", "--", *command]
    result = subprocess.run(entered, stdin=stdin, capture_output=True, timeout=seconds, check=False)
    if result.returncode != 0:
        raise LocalClusterError(
            f"'{' '.join(command)}' failed:\n{result.stderr.decode(errors='replace').strip()[-1500:]}"
        )
    return result.stdout.decode(errors="replace")


def containerd_answers(holder: ProcessRecord) -> bool:
    try:
        inside(holder, "ctr", "--address", CONTAINERD_SOCKET, "version", seconds=10)
    except (LocalClusterError, subprocess.TimeoutExpired):
        return False
    return True


def import_image(holder: ProcessRecord, archive: IO[bytes]) -> str:
    command = ("ctr", "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io", "images", "import", "-")
    return inside(holder, *command, stdin=archive)


def _snapshotter(root: Path) -> str:
    """Layers of an overlay can't themselves lie on an overlay, which is what a container's own disk usually is."""
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", str(root)], capture_output=True, text=True, timeout=30, check=False
    )
    return "native" if "overlay" in kind.stdout else "overlayfs"


def write_node_files(paths: ClusterPaths, state: ClusterState) -> None:
    (paths.root / "cni").mkdir(exist_ok=True)
    (paths.root / "cni" / "10-pods.conflist").write_text(json.dumps(_pod_network(paths, state.block), indent=1))
    (paths.root / "containerd.toml").write_text(_containerd(paths))
    (paths.root / "kubelet.yaml").write_text(json.dumps(_kubelet(paths, state.block), indent=1))
    (paths.root / "Corefile").write_text(_corefile(paths, state.block))


def _pod_network(paths: ClusterPaths, block: Block) -> dict[str, object]:
    """Point to point, not a bridge: between two pods on a bridge the answer would pass the packet filter by, and with
    it the translation of a service's address, unless a kernel module and a setting of the machine say otherwise."""
    addresses = {
        "type": "host-local",
        "dataDir": str(paths.root / "cni-addresses"),
        "ranges": [[{"subnet": str(block.pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": addresses}]}


def _containerd(paths: ClusterPaths) -> str:
    # restrict_oom_score_adj: a root without CAP_SYS_RESOURCE may not lower the score, and every pod would fail.
    return f"""version = 2
root = "{paths.root}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{_snapshotter(paths.root)}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{paths.root}/cni"
"""


def _kubelet(paths: ClusterPaths, block: Block) -> dict[str, object]:
    certificate, key = paths.pki / "kubelet.crt", paths.pki / "kubelet.key"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(block.node),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(paths.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{paths.tag}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "podLogsDir": str(paths.root / "pod-logs"),
        "maxPods": 250,
        "clusterDNS": [str(block.dns_service)],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        # The machine's disk may be as full as it likes: images come from no registry, so none may be collected.
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
        },
        "imageGCHighThresholdPercent": 100,
    }  # fmt: skip


def _corefile(paths: ClusterPaths, block: Block) -> str:
    return f""".:53 {{
  bind {block.node}
  errors
  ready {block.node}:8181
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {paths.kubeconfig("coredns")} coredns
  }}
  cache 5
}}
"""
