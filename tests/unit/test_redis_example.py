"""examples/redis as `kubectl apply -k` would send it, and what `make demo` says of it."""

import importlib.util
from functools import cache
from types import ModuleType
from typing import Any

import pytest
import yaml

import kustomize_support
from cluster_support import ROOT
from periodic_sync import __version__
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.stores.redis.keys import Keys
from periodic_sync.stores.redis.urls import parse_url
from tasks import demo, examples
from tasks.shell import TaskError


@cache
def rendered() -> dict[tuple[str, str], dict[str, Any]]:
    found = kustomize_support.rendered("examples/redis")
    return {(item["kind"], item["metadata"]["name"]): item for item in found}


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("register_users", ROOT / "examples/redis/register_users.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_everything_of_it_is_in_the_namespace_that_the_demo_looks_at() -> None:
    places = {item["metadata"].get("namespace", name) for (_, name), item in rendered().items()}
    assert places == {examples.REDIS.namespace}


def test_its_users_are_the_quickstarts() -> None:
    users, registered = examples.read_users(), script()
    assert (users.active, users.inactive) == (registered.ACTIVE, registered.INACTIVE)
    assert registered.wallet_of("user-01") in users.config_map


def test_the_policy_reads_the_secret_of_its_redis_and_the_prefix_that_users_are_registered_under() -> None:
    spec = SyncPolicySpec.model_validate(rendered()["SyncPolicy", "portfolios"]["spec"])
    assert spec.store.config_map is None
    assert spec.store.redis
    assert spec.store.redis.key_prefix == script().KEY_PREFIX
    reference = spec.store.redis.url_secret_ref
    secret = rendered()["Secret", reference.name]
    assert reference.key in secret["data"]
    assert rendered()["Role", "periodic-sync-reads-redis"]["rules"][0]["resourceNames"] == [reference.name]


def test_the_url_leads_to_the_service_with_the_servers_password() -> None:
    [generator] = yaml.safe_load((ROOT / "examples/redis/kustomization.yaml").read_text())["secretGenerator"]
    values = dict(literal.split("=", 1) for literal in generator["literals"])
    url = parse_url(values["url"])
    [address] = url.hosts
    assert address.host == f"redis.{examples.REDIS.namespace}.svc"
    assert address.port == rendered()["Service", "redis"]["spec"]["ports"][0]["port"]
    assert url.password == values["password"]


def test_its_redis_keeps_what_it_is_given() -> None:
    [server] = rendered()["StatefulSet", "redis"]["spec"]["template"]["spec"]["containers"]
    options = dict(zip(server["args"][::2], server["args"][1::2], strict=True))
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--appendonly"] == "yes"


@pytest.mark.parametrize(("kind", "name"), [("Job", "register-users"), ("Deployment", "sync-service")])
def test_the_image_version_is_the_packages(kind: str, name: str) -> None:
    [container] = rendered()[kind, name]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"periodic-sync:{__version__}"


def test_the_demo_shows_keys_that_there_are() -> None:
    shown = "\n".join(command for _, command in demo.to_try(examples.REDIS))
    assert f"'{Keys(script().KEY_PREFIX).user('user-01')}'" in shown


def test_the_demo_has_one_kind_watched_since_kubectl_watches_no_more() -> None:
    for example in (examples.QUICKSTART, examples.REDIS):
        assert dict(demo.to_try(example))["watch"] == f"kubectl get syncpolicy -n {example.namespace} -w"


def test_the_demo_knows_a_store_by_the_specs_name_and_refuses_others() -> None:
    assert [examples.choose(store).name for store in ("", "configmap", "redis")] == ["quickstart"] * 2 + ["redis"]
    with pytest.raises(TaskError, match="STORE=etcd is not known: write STORE=configmap"):
        examples.choose("etcd")
