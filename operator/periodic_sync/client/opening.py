"""From names to an open store. Kubernetes' client is imported only where it is used: it takes most of a second."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from periodic_sync.api.errors import ForbiddenError, NotFoundError
from periodic_sync.api.policy import InvalidPolicyError, SyncPolicy
from periodic_sync.api.shapes import KeyPrefix
from periodic_sync.api.spec import RedisStore
from periodic_sync.client.backend import Backend, Clock, Written, untold
from periodic_sync.client.config_map_backend import ConfigMapBackend
from periodic_sync.client.redis_backend import RedisBackend
from periodic_sync.stores.base import Owner, StoreNotReady
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.secrets import SecretConnection, SecretRef
from periodic_sync.stores.redis.urls import parse_url

if TYPE_CHECKING:
    from periodic_sync.kube.client import KubeClient


@dataclass(frozen=True, slots=True)
class Way:
    """To an API server. kubeconfig: a file; context: one of its, in place of the current one."""

    kubeconfig: str | None = None
    context: str | None = None


def redis(url: str, key_prefix: str, ca: str) -> Callable[[AsyncExitStack, Clock], Awaitable[Backend]]:
    """Raises: ValueError."""
    parsed = parse_url(url)
    check_key_prefix(key_prefix)

    async def open_it(stack: AsyncExitStack, clock: Clock) -> Backend:
        return RedisBackend(Connection(parsed, ca=ca), prefix=key_prefix)

    return open_it


def check_key_prefix(text: str) -> None:
    """Raises: ValueError."""
    try:
        TypeAdapter(KeyPrefix).validate_python(text)
    except ValidationError as error:
        cause = error.errors(include_url=False)[0].get("ctx", {}).get("error")
        raise ValueError(f"the key prefix is not valid: {cause or 'write 1 to 128 characters'}") from None


async def config_map(stack: AsyncExitStack, clock: Clock, namespace: str, name: str, active: int, way: Way) -> Backend:
    from periodic_sync.kube.config_maps import KubeConfigMaps

    maps = KubeConfigMaps(await _kube(stack, way))
    return ConfigMapBackend(maps, namespace=namespace, name=name, owner=None, active=active, clock=clock)


async def policy(stack: AsyncExitStack, clock: Clock, namespace: str, name: str, way: Way) -> Backend:
    """Raises: StoreNotReady, ApiError."""
    client = await _kube(stack, way)
    return await of_policy(client, await read_policy(client, namespace, name), clock)


async def of_policy(client: "KubeClient", found: SyncPolicy, clock: Clock, written: Written = untold) -> Backend:
    """The store of a policy that was read."""
    from periodic_sync.kube.config_maps import KubeConfigMaps

    spec = found.spec
    if spec.store.config_map is not None:
        return ConfigMapBackend(
            KubeConfigMaps(client),
            namespace=found.namespace,
            name=spec.store.config_map.name,
            owner=Owner(found.name, found.uid),
            active=spec.thresholds.active,
            clock=clock,
            written=written,
        )
    if spec.store.redis is None:
        raise StoreNotReady("spec.store names neither configMap nor redis: name one of them")
    connection = await redis_of_policy(client, found.namespace, spec.store.redis)
    return RedisBackend(connection, prefix=spec.store.redis.key_prefix, written=written)


async def redis_of_policy(client: "KubeClient", namespace: str, redis: RedisStore) -> SecretConnection:
    """By the Secret that a policy of the namespace names. Raises: as `secret_connection`."""
    secret = redis.url_secret_ref
    return await secret_connection(client, SecretRef(namespace, secret.name, secret.key))


async def read_policy(client: "KubeClient", namespace: str, name: str) -> SyncPolicy:
    """Raises: StoreNotReady where there is no such policy, or none that can be worked with; ApiError."""
    from periodic_sync.kube.resources import SYNC_POLICIES

    try:
        return SyncPolicy.parse(await client.get(SYNC_POLICIES, namespace, name))
    except NotFoundError as error:
        raise StoreNotReady(
            f"There is no SyncPolicy {namespace}/{name}: `kubectl get syncpolicy --all-namespaces` lists them"
        ) from error
    except InvalidPolicyError as error:
        raise StoreNotReady(f"SyncPolicy {namespace}/{name} can't be worked with: {error}") from error


async def secret_connection(client: "KubeClient", ref: SecretRef) -> SecretConnection:
    """Raises: StoreNotReady where the Secret may not be read; ApiError."""
    from periodic_sync.kube.secrets import KubeSecrets

    secrets = KubeSecrets(client)
    try:
        await secrets.get(ref.namespace, ref.name)
    except NotFoundError:
        pass  # told by the connection, with what to do
    except ForbiddenError as error:
        raise StoreNotReady(
            f"Secret {ref.namespace}/{ref.name} may not be read here ({error}): allow it, or give the program the URL "
            "and open the store with Client.for_redis(url, key_prefix)"
        ) from error
    return SecretConnection(secrets, ref)


async def _kube(stack: AsyncExitStack, way: Way) -> "KubeClient":
    """Raises: StoreNotReady where no way to an API server is known."""
    from kubernetes.aio.config import ConfigException

    from periodic_sync.kube.connect import connected

    try:
        return await stack.enter_async_context(connected(way.kubeconfig, context=way.context))
    except (ConfigException, OSError) as error:
        raise StoreNotReady(
            f"No way to an API server is known ({error}): outside a pod, set KUBECONFIG or give a kubeconfig"
        ) from error
