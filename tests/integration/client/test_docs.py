"""What docs/ says of the client library is so: the programs run with the rights that it asks for, on either store."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from client_contract import all_users
from client_support import STORE
from cluster_support import ROOT, Kubectl
from periodic_sync.client import Client, StoreUnavailableError
from periodic_sync.client.importing import LineReader
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import CONFIG_MAPS, SECRETS, SYNC_POLICIES
from policy_support import MINIMAL_SPEC, REDIS, policy_body
from redis_support import Server
from store_contract import NOW

PAGES = ("reference/client.md", "how-to/erase-users.md", "how-to/import-users.md")
TEXT = "".join((ROOT / "docs" / page).read_text() for page in PAGES)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def account(client: KubeClient, api_server: Path, namespace: str, tmp_path: Path) -> Path:
    """The kubeconfig of an application with the role of the page."""
    kubectl = Kubectl(api_server).within(namespace)
    kubectl("create", "serviceaccount", "app")
    (role,) = blocks("yaml")
    kubectl("apply", "-f", "-", stdin=role)
    kubectl("create", "rolebinding", "app", "--role=reports-activity", f"--serviceaccount={namespace}:app")
    config = yaml.safe_load(api_server.read_text())
    config["users"] = [{"name": "app", "user": {"token": kubectl("create", "token", "app").strip()}}]
    config["contexts"][0]["context"] |= {"user": "app"}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


async def with_policy(client: KubeClient, namespace: str, redis: Server | None) -> None:
    spec = MINIMAL_SPEC if redis is None else {**MINIMAL_SPEC, "store": {"redis": REDIS}}
    if redis is not None:
        await redis.command("FLUSHALL")
        await client.create(SECRETS, namespace, {"metadata": {"name": "redis"}, "stringData": {"url": redis.url}})
    body = policy_body(spec, name="portfolios", namespace=namespace)
    await client.create(SYNC_POLICIES, namespace, body)


def run(program: str, kubeconfig: Path, folder: Path) -> str:
    """Returns: what it prints."""
    environment = {"KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(ROOT / "operator"), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("store", ["ConfigMap", "Redis"])
async def test_the_programs_run(
    client: KubeClient, namespace: str, account: Path, redis: Server, tmp_path: Path, store: str
) -> None:
    await with_policy(client, namespace, redis if store == "Redis" else None)
    (table,) = blocks("csv")
    (tmp_path / "users.csv").write_text(table + "u9,w\n")
    said = [run(program.replace('"shop"', f'"{namespace}"'), account, tmp_path) for program in blocks("python")]
    assert said[0].startswith("User(user_id='u17', last_active=datetime.datetime(")
    assert "state=SyncState(last_synced=None, failures=0" in said[0]
    assert said[1] == ""
    assert said[2] == "['u17', 'u18'] nothing is left\n"
    assert said[3] == "2\n2 imported\nline 4: the line has 2 columns, and the header 6\n"
    async with Client.for_policy(namespace, "portfolios", kubeconfig=str(account)) as opened:
        assert (await all_users(opened)).keys() == {"u1", "u2"}
    if store == "ConfigMap":
        assert (await client.get(CONFIG_MAPS, namespace, STORE))["data"].keys() == {"u1", "u2"}


def test_the_ndjson_shown_is_imported() -> None:
    (line,) = blocks("json")
    record = LineReader().read(line.replace("…", ""), NOW)
    assert record is not None
    assert record.changed_tokens.keys() == {"0xt"}


class TestOpening:
    async def test_a_policy_that_is_not_there(self, namespace: str, account: Path) -> None:
        with pytest.raises(StoreUnavailableError, match=f"There is no SyncPolicy {namespace}/portfolios"):
            async with Client.for_policy(namespace, "portfolios", kubeconfig=str(account)):
                pass

    async def test_a_namespace_without_rights(self, namespace: str, account: Path) -> None:
        with pytest.raises(StoreUnavailableError, match=r"does not allow this: .*forbidden"):
            async with Client.for_policy("kube-system", "portfolios", kubeconfig=str(account)):
                pass
        async with Client.for_config_map("kube-system", STORE, kubeconfig=str(account)) as client:
            with pytest.raises(StoreUnavailableError, match="give its account get, list, create and patch"):
                await client.register("u1", "w")

    async def test_a_secret_that_may_not_be_read(
        self, client: KubeClient, namespace: str, account: Path, redis: Server
    ) -> None:
        spec = {**MINIMAL_SPEC, "store": {"redis": {**REDIS, "urlSecretRef": {"name": "other", "key": "url"}}}}
        await client.create(SYNC_POLICIES, namespace, policy_body(spec, name="portfolios", namespace=namespace))
        with pytest.raises(StoreUnavailableError, match=r"Secret .*/other may not be read here .* Client\.for_redis"):
            async with Client.for_policy(namespace, "portfolios", kubeconfig=str(account)):
                pass

    async def test_by_the_config_map_alone(self, namespace: str, account: Path) -> None:
        async with Client.for_config_map(namespace, STORE, kubeconfig=str(account)) as client:
            await client.register("u1", "w")
            found = await client.get("u1")
            assert found is not None
            assert found.state is None
            assert "forgets that 24 hours" in (await client.remove("u1")).remains

    async def test_no_kubeconfig(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailableError, match="No way to an API server is known"):
            async with Client.for_config_map("shop", STORE, kubeconfig=str(tmp_path / "none")):
                pass

    def test_what_is_wrong_at_once(self) -> None:
        with pytest.raises(ValueError, match="URL") as raised:
            Client.for_redis("http://secret@host", "portfolios:")
        assert "secret" not in str(raised.value)
        with pytest.raises(ValueError, match="the key prefix is not valid: write 1 to 128"):
            Client.for_redis("redis://host", "a b")
        with pytest.raises(ValueError, match="is not a duration"):
            Client.for_config_map("shop", STORE, active_threshold="a day")

    async def test_redis_that_is_not_there(self) -> None:
        async with Client.for_redis("redis://127.0.0.1:1", "portfolios:") as client:
            with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1 refuses connections"):
                await client.record_activity("u1")
