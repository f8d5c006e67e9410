"""What the events of a policy come from, by its store."""

from collections.abc import Sequence

from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client.backend import Clock
from periodic_sync.client.opening import redis_of_policy
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.client import KubeClient
from periodic_sync.server.events.kube_source import KubeSource
from periodic_sync.server.events.redis_source import RedisSource
from periodic_sync.server.events.source import Source


async def open_sources(client: KubeClient, policy: SyncPolicy, clock: Clock) -> Sequence[Source]:
    """Raises: StoreNotReady, ApiError."""
    ref = PolicyRef(policy.namespace, policy.name, policy.uid)
    redis = policy.spec.store.redis
    if redis is None:
        return (KubeSource(client, ref, with_states=True),)
    connection = await redis_of_policy(client, policy.namespace, redis)
    return (KubeSource(client, ref, with_states=False), RedisSource(connection, redis.key_prefix, clock))
