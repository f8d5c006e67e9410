"""The HTTP API narrowed to one namespace, with the rights that deploy/kustomize/api-one-namespace leaves it."""

from pathlib import Path

from cluster_support import KubectlError
from server_support import ACCOUNT, install_account, serving

from .conftest import Place
from .test_users import WALLET


async def test_it_serves_its_namespace_and_may_read_no_config_maps_elsewhere(
    place: Place, api_server: Path, tmp_path: Path
) -> None:
    suffix = f"-{place.namespace}"
    components = ("api", "api-one-namespace")
    account = install_account(api_server, tmp_path, namespace=place.namespace, components=components, suffix=suffix)
    try:
        async with serving(account, tmp_path / "log", "--namespace", place.namespace) as server:
            call = place.caller("manager", on=server)
            assert (await call("PUT", "users/ada", {"wallet": WALLET})).status == 204
            assert (await call("POST", "users/ada/activity")).status == 204
            assert (await call("GET", "users/ada")).json["wallet"] == WALLET
            assert (await call("GET", "users/ada/why")).status == 200
            assert (await call("GET", "/health")).status == 200
            assert (await place.caller("nobody", on=server)("GET", "users")).code == "Forbidden"
        who = f"--as=system:serviceaccount:{place.namespace}:{ACCOUNT}{suffix}"
        for verb in ("list", "get", "update"):
            assert _may(place, place.namespace, verb, who)
            assert not _may(place, "default", verb, who)
    finally:
        cluster = place.kubectl.within("default")
        roles = cluster("get", "clusterrole,clusterrolebinding", "-o", "name").split()
        cluster("delete", *(name for name in roles if name.endswith(suffix)))


def _may(place: Place, namespace: str, verb: str, who: str) -> bool:
    try:
        return place.kubectl.within(namespace)("auth", "can-i", verb, "configmaps", who).strip() == "yes"
    except KubectlError:  # it ends with 1 for a no
        return False
