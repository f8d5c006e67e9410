"""One watch for all ConfigMap stores: when an application writes to one, its policies' loops are woken.

A watch of its own for each policy would hold a connection each, and a few hundred policies would take them all.
"""

from collections.abc import Callable, Mapping
from typing import Any

from periodic_sync.api.names import MANAGED_BY, MANAGED_BY_LABEL, STORE_LABEL
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import CONFIG_MAPS
from periodic_sync.kube.watch import follow_changes

NOT_OURS = f"{MANAGED_BY_LABEL}!={MANAGED_BY}"


class StoreWatch:
    """Which policy reads which store. Only metadata is watched: the data of a whole cluster is nobody's business."""

    def __init__(self, client: KubeClient, *, namespace: str | None = None) -> None:
        """`namespace`: the only one that is served; None: all."""
        self._client = client
        self._namespace = namespace
        self._wakes: dict[tuple[str, str], dict[str, Callable[[], None]]] = {}

    def follow(self, policy: PolicyRef, store: str, wake: Callable[[], None]) -> None:
        """From now on this policy reads that ConfigMap and its shards, and no other. An empty name: none."""
        self.forget(policy.uid)
        if store:
            self._wakes.setdefault((policy.namespace, store), {})[policy.uid] = wake

    def forget(self, policy_uid: str) -> None:
        for store, wakes in list(self._wakes.items()):
            wakes.pop(policy_uid, None)
            if not wakes:
                del self._wakes[store]

    async def run(self) -> None:
        """Until cancelled."""
        await follow_changes(self._client, CONFIG_MAPS, self._namespace, self._changed, labels=NOT_OURS)

    def _changed(self, metadata: Mapping[str, Any]) -> None:
        labels = metadata.get("labels") or {}
        for store in {metadata["name"], labels.get(STORE_LABEL)}:
            for wake in list(self._wakes.get((metadata["namespace"], store), {}).values()):
                wake()
