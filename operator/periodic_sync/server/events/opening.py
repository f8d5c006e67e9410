"""What the events of a policy come from, by its store."""

from collections.abc import Sequence

from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client.backend import Clock
from periodic_sync.client.opening import secret_connection
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.client import KubeClient
from periodic_sync.server.events.kube_source import KubeSource
from periodic_sync.server.events.redis_source import RedisSource
from periodic_sync.server.events.source import Source
from periodic_sync.stores.redis.secrets import SecretRef


async def open_sources(client: KubeClient, policy: SyncPolicy, clock: Clock) -> Sequence[Source]:
    """Raises: StoreNotReady, ApiError."""
    ref = PolicyRef(policy.namespace, policy.name, policy.uid)
    redis = policy.spec.store.redis
    if redis is None:
        return (KubeSource(client, ref, with_states=True),)
    secret = redis.url_secret_ref
    connection = await secret_connection(client, SecretRef(policy.namespace, secret.name, secret.key))
    return (KubeSource(client, ref, with_states=False), RedisSource(connection, redis.key_prefix, clock))
