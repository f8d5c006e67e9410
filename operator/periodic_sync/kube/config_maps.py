"""ConfigMaps as the ConfigMap store asks for them."""

from periodic_sync.api.errors import ConflictError
from periodic_sync.kube.client import KubeClient, Object, Objects
from periodic_sync.kube.resources import CONFIG_MAPS


class KubeConfigMaps:
    """`stores.base.ConfigMaps` on a real API server."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def list_metadata(self, namespace: str, labels: str) -> Objects:
        return await self._client.list(CONFIG_MAPS, namespace, labels=labels, metadata_only=True)

    async def get_metadata(self, namespace: str, name: str) -> Object:
        return await self._client.get(CONFIG_MAPS, namespace, name, metadata_only=True)

    async def get(self, namespace: str, name: str) -> Object:
        return await self._client.get(CONFIG_MAPS, namespace, name)

    async def create(self, namespace: str, body: Object) -> Object:
        return await self._client.create(CONFIG_MAPS, namespace, body)

    async def replace(self, namespace: str, name: str, body: Object) -> Object:
        return await self._client.replace(CONFIG_MAPS, namespace, name, body)

    async def merge(self, namespace: str, name: str, patch: Object) -> Object:
        """See `client.shard_writer.RecordMaps`."""
        return await self._client.merge(CONFIG_MAPS, namespace, name, patch, metadata_only=True)

    async def delete(self, namespace: str, name: str, *, resource_version: str | None = None) -> None:
        if not await self._client.delete(CONFIG_MAPS, namespace, name, resource_version=resource_version):
            raise ConflictError(f"ConfigMap {namespace}/{name} is gone or has changed")
