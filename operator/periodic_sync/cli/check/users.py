"""A store in ConfigMaps: is it there, and how full."""

from periodic_sync.api.errors import ApiError, NotFoundError
from periodic_sync.api.names import STORE_LABEL
from periodic_sync.cli.check.lines import Line, failed, ok, tried, unseen, warning
from periodic_sync.kube.client import KubeClient, Object, Objects
from periodic_sync.kube.resources import CONFIG_MAPS
from periodic_sync.stores.shards import MANY_USERS

KIB = 1024
FULL = 900 * KIB
LIMIT = 1024 * KIB


async def look_at_config_maps(client: KubeClient, namespace: str, store: str) -> list[Line]:
    main = await tried(client.get(CONFIG_MAPS, namespace, store))
    others = await tried(client.list(CONFIG_MAPS, namespace, labels=f"{STORE_LABEL}={store}"))
    return judge_config_maps(namespace, store, main, others)


def judge_config_maps(namespace: str, store: str, main: Object | ApiError, others: Objects | ApiError) -> list[Line]:
    topic = "store"
    if isinstance(main, NotFoundError):
        fix = f"`kubectl create configmap {store} -n {namespace}`, even empty"
        return [failed(topic, f"ConfigMap {store} does not exist", fix)]
    if isinstance(main, ApiError):
        return [unseen(topic, main)]
    if isinstance(others, ApiError):
        return [unseen(topic, others)]
    shards = {each["metadata"]["name"]: each.get("data") or {} for each in (main, *others)}
    users = sum(len(data) for data in shards.values())
    lines = [ok(topic, f"{users} entries in {len(shards)} ConfigMaps")]
    for name, data in shards.items():
        size = sum(len(text.encode()) for text in data.values())
        if size > FULL:
            message = f"ConfigMap {name} holds {size // KIB} KiB of at most {LIMIT // KIB}"
            lines.append(warning(topic, message, f"move users to another ConfigMap labelled {STORE_LABEL}={store}"))
    if users > MANY_USERS:
        message = f"more than {MANY_USERS} users make each change dear for the API server"
        lines.append(warning(topic, message, "move them to Redis: `periodic-sync migrate`"))
    return lines
