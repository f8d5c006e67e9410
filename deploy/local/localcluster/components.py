"""Every component's command line, and which of them make up which kind of cluster."""

from collections.abc import Callable, Sequence

from localcluster.paths import ClusterPaths
from localcluster.pki import Identity
from localcluster.state import ClusterState

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager")
WITH_NODE = (*CONTROL_PLANE, "kube-scheduler", "containerd", "kubelet", "kube-proxy", "coredns")
# An API server without a node usually has no pods to place, but a test that plays the node may start it.
WITHOUT_NODE = (*CONTROL_PLANE, "kube-scheduler")

# Components that call the API server, and who they are to it.
_CLIENTS = {
    "kube-scheduler": "system:kube-scheduler",
    "kube-proxy": "system:kube-proxy",
    "coredns": "system:coredns",
}


def known_components(state: ClusterState) -> Sequence[str]:
    return WITH_NODE if state.has_node else WITHOUT_NODE


def started_components(state: ClusterState) -> Sequence[str]:
    return WITH_NODE if state.has_node else CONTROL_PLANE


def identities(paths: ClusterPaths, state: ClusterState) -> list[Identity]:
    addresses = ["127.0.0.1"]
    if state.has_node:
        addresses += [str(state.block.node), str(state.block.api_service)]
    services = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    found = [
        Identity("kube-apiserver", "kube-apiserver", hosts=("localhost", *services), addresses=addresses),
        Identity("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Identity("admin", "kubernetes-admin", "system:masters"),
        # With an account of its own for each controller, as in production, making these accounts is half of the boot.
        Identity("kube-controller-manager", "system:kube-controller-manager", "system:masters"),
    ]
    found += [Identity(name, user) for name, user in _CLIENTS.items() if name in known_components(state)]
    if state.has_node:
        node = paths.node_name
        found.append(Identity("kubelet", f"system:node:{node}", "system:nodes", (node,), (str(state.block.node),)))
    return found


def command(component: str, paths: ClusterPaths, state: ClusterState) -> list[str]:
    if component == "containerd":
        return ["containerd", "--config", str(paths.root / "containerd.toml")]
    flags = _FLAGS[component](paths, state)
    return [state.binary, component, *(part for name, value in flags.items() for part in _flag(component, name, value))]


def _flag(component: str, name: str, value: object) -> list[str]:
    return [f"-{name}", str(value)] if component == "coredns" else [f"--{name}={value}"]


Flags = dict[str, object]


def _etcd(paths: ClusterPaths, state: ClusterState) -> Flags:
    client, peer = f"unix://{paths.etcd_socket}", f"unix://{paths.root}/etcd-peer.sock"
    return {
        "data-dir": paths.root / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        # A cluster for tests may lose its data when the machine loses power; waiting for the disk costs seconds.
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }


def _apiserver(paths: ClusterPaths, state: ClusterState) -> Flags:
    pki = paths.pki
    flags: Flags = {
        "etcd-servers": f"unix://{paths.etcd_socket}",
        "secure-port": state.port,
        "advertise-address": state.address,
        "client-ca-file": pki / "ca.crt",
        "tls-cert-file": pki / "kube-apiserver.crt",
        "tls-private-key-file": pki / "kube-apiserver.key",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "service-accounts.pub",
        "service-account-signing-key-file": pki / "service-accounts.key",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "profiling": "false",
        # Without it an API server that is asked to end waits a whole minute for its watches.
        "shutdown-watch-termination-grace-period": "1s",
    }
    if not state.has_node:
        # On loopback there is no address pods could use, so the service `kubernetes` stays without one.
        return flags | {"bind-address": "127.0.0.1", "endpoint-reconciler-type": "none"}
    return flags | {
        "bind-address": "0.0.0.0",
        "service-cluster-ip-range": state.block.services,
        "kubelet-client-certificate": pki / "kubelet-client.crt",
        "kubelet-client-key": pki / "kubelet-client.key",
        "kubelet-certificate-authority": pki / "ca.crt",
        # The node's name is in no DNS, so logs and exec have to go to its address.
        "kubelet-preferred-address-types": "InternalIP",
    }


def _client(component: str, paths: ClusterPaths) -> Flags:
    return {"kubeconfig": paths.kubeconfig(component)}


def _controller_manager(paths: ClusterPaths, state: ClusterState) -> Flags:
    return _client("kube-controller-manager", paths) | {
        "service-account-private-key-file": paths.pki / "service-accounts.key",
        "root-ca-file": paths.pki / "ca.crt",
        "cluster-signing-cert-file": paths.pki / "ca.crt",
        "cluster-signing-key-file": paths.pki / "ca.key",
        "leader-elect": "false",
        "secure-port": 0,
    }


def _scheduler(paths: ClusterPaths, state: ClusterState) -> Flags:
    return _client("kube-scheduler", paths) | {"leader-elect": "false", "secure-port": 0}


def _kubelet(paths: ClusterPaths, state: ClusterState) -> Flags:
    return _client("kubelet", paths) | {
        "config": paths.root / "kubelet.yaml",
        "hostname-override": paths.node_name,
        "node-ip": state.block.node,
        "root-dir": paths.root / "kubelet",
        "cert-dir": paths.root / "kubelet-pki",
    }


def _proxy(paths: ClusterPaths, state: ClusterState) -> Flags:
    return _client("kube-proxy", paths) | {
        "proxy-mode": "nftables",
        "hostname-override": paths.node_name,
        "cluster-cidr": state.block.pods,
        "metrics-bind-address": "127.0.0.1:10249",
        "healthz-bind-address": f"{state.block.node}:10256",
        # The connection table belongs to the whole machine and can't be changed from a namespace.
        "conntrack-max-per-core": 0,
        "oom-score-adj": 0,
    }


def _coredns(paths: ClusterPaths, state: ClusterState) -> Flags:
    return {"conf": paths.root / "Corefile"}


_FLAGS: dict[str, Callable[[ClusterPaths, ClusterState], Flags]] = {
    "etcd": _etcd,
    "kube-apiserver": _apiserver,
    "kube-controller-manager": _controller_manager,
    "kube-scheduler": _scheduler,
    "kubelet": _kubelet,
    "kube-proxy": _proxy,
    "coredns": _coredns,
}
