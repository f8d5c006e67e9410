"""Cluster DNS as the cluster sees it: CoreDNS runs beside kubelet, so its service and endpoint are written by hand."""

from typing import Any

from localcluster.api import Api
from localcluster.network import Block

_RULES = [
    {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
]
_PORTS = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]


def allow_reading(api: Api) -> None:
    access = "/apis/rbac.authorization.k8s.io/v1"
    name = {"name": "system:coredns"}
    api.create(f"{access}/clusterroles", {"metadata": name, "rules": _RULES})
    api.create(
        f"{access}/clusterrolebindings",
        {
            "metadata": name,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", **name}],
        },
    )


def publish(api: Api, block: Block) -> None:
    api.create("/api/v1/namespaces/kube-system/services", _service(block))
    api.create("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", _endpoint(block))


def _service(block: Block) -> dict[str, Any]:
    return {"metadata": {"name": "kube-dns"}, "spec": {"clusterIP": str(block.dns_service), "ports": _PORTS}}


def _endpoint(block: Block) -> dict[str, Any]:
    return {
        "metadata": {"name": "kube-dns-node", "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "ports": _PORTS,
        "endpoints": [{"addresses": [str(block.node)], "conditions": {"ready": True}}],
    }
