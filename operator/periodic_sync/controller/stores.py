"""Opening the store that a policy's spec names."""

from periodic_sync.api.spec import RedisStore as RedisSpec
from periodic_sync.api.spec import Store as StoreSpec
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.cluster import policy_owner
from periodic_sync.kube.config_maps import KubeConfigMaps
from periodic_sync.stores.base import Owner, Store
from periodic_sync.stores.configmap import ConfigMapStore
from periodic_sync.stores.unsupported import UnsupportedStore


def open_store(client: KubeClient, policy: PolicyRef, spec: StoreSpec) -> Store:
    """Nothing is read yet, so that this can't fail."""
    if spec.config_map is not None:
        return ConfigMapStore(
            KubeConfigMaps(client),
            namespace=policy.namespace,
            name=spec.config_map.name,
            owner=Owner(policy.name, policy.uid),
        )
    if spec.redis is None:
        return UnsupportedStore("spec.store names neither configMap nor redis: name one of them")
    return _open_redis(client, policy, spec.redis)


def _open_redis(client: KubeClient, policy: PolicyRef, spec: RedisSpec) -> Store:
    # Imported here, since it takes 16 MiB that an operator without such a policy need not have.
    from periodic_sync.kube.secrets import KubeSecrets
    from periodic_sync.stores.redis.secrets import SecretConnection, SecretRef
    from periodic_sync.stores.redis.store import RedisStore

    secret = spec.url_secret_ref

    return RedisStore(
        SecretConnection(KubeSecrets(client), SecretRef(policy.namespace, secret.name, secret.key)),
        prefix=spec.key_prefix,
        owner=lambda: policy_owner(client, policy.namespace, policy.name),
        name=secret.name,
    )
