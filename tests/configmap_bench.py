"""A ConfigMap store for tests, as applications and operators see it."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.config_maps import KubeConfigMaps
from periodic_sync.kube.resources import SYNC_POLICIES
from periodic_sync.stores.base import Owner, Store
from periodic_sync.stores.configmap import ConfigMapStore, Snapshot
from policy_support import MINIMAL_SPEC, policy_body
from store_contract import record
from store_support import Object, Watched

STORE = "user-activity"
SHARD_LABEL = {"sync.moonx.farm/store": STORE}


@dataclass
class ConfigMapBench:
    """A namespace with an empty store in it."""

    maps: KubeConfigMaps
    namespace: str
    owner: Owner
    watched: Watched = field(init=False)

    def __post_init__(self) -> None:
        self.watched = Watched(self.maps)

    def open(self) -> ConfigMapStore:
        return ConfigMapStore(self.watched, namespace=self.namespace, name=STORE, owner=self.owner)

    async def write(self, user_id: str, record: dict[str, Any] | str) -> None:
        await self.edit(STORE, {user_id: record if isinstance(record, str) else json.dumps(record)})

    async def remove(self, user_id: str) -> None:
        await self.edit(STORE, {user_id: None})

    async def edit(self, name: str, changes: Mapping[str, str | None]) -> None:
        body = await self.maps.get(self.namespace, name)
        data = body.setdefault("data", {}) | changes
        body["data"] = {key: text for key, text in data.items() if text is not None}
        await self.maps.replace(self.namespace, name, body)

    async def create(self, name: str, data: Mapping[str, str] | None = None, **metadata: Any) -> Object:
        body = {"metadata": {"name": name, **metadata}, "data": dict(data or {})}
        return await self.maps.create(self.namespace, {"apiVersion": "v1", "kind": "ConfigMap", **body})

    async def register(self, user_ids: Iterable[str]) -> None:
        # not every id may be a key of a ConfigMap
        entries = {re.sub(r"[:@]", "_", user_id): json.dumps(record(userId=user_id)) for user_id in user_ids}
        await self.edit(STORE, entries)

    async def contents(self, store: Store, now: int) -> Snapshot:
        assert isinstance(store, ConfigMapStore)
        return await store.read(now)

    async def state_objects(self) -> dict[str, Object]:
        """The operator's own objects, by the last words of their names."""
        labels = f"sync.moonx.farm/policy={self.owner.name},sync.moonx.farm/role=state"
        names = [item["metadata"]["name"] for item in await self.maps.list_metadata(self.namespace, labels)]
        return {name.partition("-state-")[2]: await self.maps.get(self.namespace, name) for name in names}


async def new_owner(client: KubeClient, namespace: str, name: str = "portfolios") -> Owner:
    """A policy that exists, or the garbage collector would take the state away. Made anew if it is there."""
    await client.delete(SYNC_POLICIES, namespace, name)
    made = await client.create(SYNC_POLICIES, namespace, policy_body(MINIMAL_SPEC, name=name, namespace=namespace))
    return Owner(name, made["metadata"]["uid"])
