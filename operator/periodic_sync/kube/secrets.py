"""Secrets as the Redis store asks for them."""

from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.resources import SECRETS


class KubeSecrets:
    """`stores.redis.secrets.Secrets` on a real API server."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def get(self, namespace: str, name: str) -> Object:
        return await self._client.get(SECRETS, namespace, name)
