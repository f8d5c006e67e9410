"""What the client fills ConfigMaps up to is what a real API server and its etcd take."""

import json

import pytest

from client_support import STORE, SetClock, client_on
from periodic_sync.client import StoreUnavailableError
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.config_maps import KubeConfigMaps
from periodic_sync.kube.resources import CONFIG_MAPS
from periodic_sync.stores.base import Owner
from periodic_sync.stores.configmap import ConfigMapStore
from store_contract import NOW, record


@pytest.mark.parametrize(
    ("count", "length", "wallet", "shards"),
    [
        pytest.param(10_000, 36, "w" * 42, 2, id="as usual: 10,000 users with UUIDs"),
        pytest.param(8_000, 128, "w", 2, id="long ids and short records: keys and managed fields count most"),
        pytest.param(3_000, 6, "ü" * 128, 3, id="long records"),
    ],
)
async def test_an_import_fills_shards_that_the_api_server_takes(
    client: KubeClient, namespace: str, count: int, length: int, wallet: str, shards: int
) -> None:
    maps = KubeConfigMaps(client)
    lines = [json.dumps(record(userId=f"{n:0>{length}}") | {"wallet": wallet}) for n in range(count)]
    async with client_on(maps, SetClock(), namespace=namespace) as opened:
        assert (await opened.import_users(lines)).imported == count
        names = [STORE, *(f"{STORE}-{number}" for number in range(1, shards))]
        for number in range(3):  # full ones stay writable
            await opened.mark_tokens_changed(f"{number:0>{length}}", [f"{number:0>100}"])
    held = {item["metadata"]["name"] for item in await client.list(CONFIG_MAPS, namespace, metadata_only=True)}
    assert held - {"kube-root-ca.crt"} == set(names)
    store = ConfigMapStore(maps, namespace=namespace, name=STORE, owner=Owner("portfolios", "uid"))
    found = await store.read(NOW)
    assert len(found.records) == count
    assert not [warning for warning in found.warnings if "more than once" in warning]


async def test_a_config_map_that_can_t_be_changed_is_told(client: KubeClient, namespace: str) -> None:
    await client.merge(CONFIG_MAPS, namespace, STORE, {"immutable": True})
    async with client_on(KubeConfigMaps(client), SetClock(), namespace=namespace) as opened:
        with pytest.raises(StoreUnavailableError, match="field is immutable when `immutable` is set"):
            await opened.register("u1", "w")
