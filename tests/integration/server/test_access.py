"""Who may do what: every route, by the OpenAPI document, with tokens that Kubernetes made."""

import re
from typing import Any

import pytest

from periodic_sync.server.guard import RIGHT
from server_support import Caller, ServerProcess
from turns_support import until

from .conftest import Place
from .test_users import WALLET

OPEN = {"/health", "/livez", "/readyz"}
BODIES: dict[str, Any] = {
    "Registration": {"wallet": WALLET},
    "Activities": {"users": [{"id": "ada"}]},
    "Tokens": {"tokens": ["0xt"]},
}


async def operations(server: ServerProcess) -> list[tuple[str, str, dict[str, Any]]]:
    document = (await server.caller("")("GET", "/openapi.json")).json
    return [(m.upper(), path, about) for path, each in document["paths"].items() for m, about in each.items()]


async def called(call: Caller, place: Place, method: str, path: str, about: dict[str, Any]) -> str:
    """The status and the code of the answer."""
    names = re.findall(r"schemas/(\w+)", str(about.get("requestBody", "")))
    filled = path.format(namespace=place.namespace, policy="portfolios", user_id="ada")
    reply = await call(method, filled, BODIES.get(names[0]) if names else None)
    return f"{reply.status} {reply.code}" if reply.status >= 400 else str(reply.status)


async def test_only_health_and_the_probes_are_open(place: Place) -> None:
    routes = await operations(place.server)
    assert {path for _, path, about in routes if RIGHT not in about} == OPEN
    assert len(routes) == len(OPEN) + 10
    for path in OPEN:
        assert (await place.server.caller("")("GET", path)).status == 200


async def test_every_other_route_refuses_whoever_has_no_token_or_one_for_somebody_else(place: Place) -> None:
    other = await place.token("manager", "https://kubernetes.default.svc")
    for method, path, about in await operations(place.server):
        if path in OPEN:
            continue
        for token, code in (("", "NoToken"), ("nonsense", "TokenNotAccepted"), (other, "TokenNotAccepted")):
            assert await called(place.server.caller(token), place, method, path, about) == f"401 {code}"


async def test_every_route_refuses_tokens_without_rights(place: Place) -> None:
    for method, path, about in await operations(place.server):
        if path not in OPEN:
            assert await called(place.caller("nobody"), place, method, path, about) == "403 Forbidden"


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("writer", {"update users", "create activity", "create sync", "create tokens"}),
        ("reader", {"get users", "list users", "get why"}),
        (
            "manager",
            {"get users", "list users", "update users", "delete users", "get why"}
            | {"create activity", "create sync", "create tokens"},
        ),
    ],
)
async def test_the_roles_that_ship_allow_what_they_say(place: Place, role: str, allowed: set[str]) -> None:
    seen: set[str] = set()
    for method, path, about in await operations(place.server):
        if path in OPEN:
            continue
        answered = await called(place.caller(role), place, method, path, about)
        if answered != "403 Forbidden":
            seen.add(f"{about[RIGHT]['verb']} {about[RIGHT]['resource'].partition('/')[2]}".strip())
    assert seen == allowed


async def test_a_role_in_one_namespace_is_none_in_another(place: Place) -> None:
    reply = await place.caller("manager")("GET", "/v1/namespaces/default/policies/portfolios/users")
    assert reply.code == "Forbidden"
    assert 'may not list syncpolicies/users (sync.moonx.farm) of "portfolios" in name' in reply.json["detail"]


async def test_a_sync_with_a_wallet_takes_the_right_to_register(place: Place) -> None:
    rule = "--resource=syncpolicies.sync.moonx.farm/sync"
    place.kubectl("create", "role", "asks", "--verb=create", rule)
    place.kubectl("create", "rolebinding", "asks", "--role=asks", f"--serviceaccount={place.namespace}:nobody")
    call = place.caller("nobody")
    assert (await call("POST", "users/ada/sync")).code == "UnknownUser"
    assert (await call("POST", "users/ada/sync", {"wallet": WALLET})).code == "Forbidden"


async def test_queue_figures_of_one_policy_take_the_right_to_read_it(place: Place) -> None:
    query = f"/queue-stats?policy={place.namespace}/portfolios"
    assert (await place.caller("reader")("GET", query)).code == "Forbidden"
    place.kubectl("create", "role", "sees", "--verb=get", "--resource=syncpolicies.sync.moonx.farm")
    place.kubectl("create", "rolebinding", "sees", "--role=sees", f"--serviceaccount={place.namespace}:manager")

    async def is_listed() -> bool:
        return (await place.caller("manager")("GET", query)).status == 200

    await until(is_listed)
    reply = await place.caller("manager")("GET", query)
    assert (reply.json["waiting"], reply.json["byPriority"]["high"]["active"]) == (0, 0)


async def test_health_tells_of_one_policy_and_of_all(place: Place) -> None:
    call = place.caller("")
    assert (await call("GET", "/health")).json["schedulerStats"]["totalUsers"] >= 0

    async def is_listed() -> bool:
        return (await call("GET", f"/health?policy={place.namespace}/portfolios")).status == 200

    await until(is_listed)  # figures may be two seconds old
    one = (await call("GET", f"/health?policy={place.namespace}/portfolios")).json["schedulerStats"]
    assert one == {
        "enabled": False,
        "running": False,
        "totalUsers": 0,
        "activeUsers": 0,
        "isMarketHours": False,
        "nextScheduledSync": None,
    }
    assert (await call("GET", f"/health?policy={place.namespace}/none")).code == "NoSuchPolicy"
    assert (await call("GET", "/health?policy=nonsense")).code == "Invalid"


async def test_the_page_of_the_routes_needs_nothing_from_elsewhere(place: Place) -> None:
    reply = await place.caller("")("GET", "/docs")
    assert reply.status == 200
    assert "//" not in reply.text.replace("http://", "").partition("<h1>What")[0].partition("<h2>")[0]
    assert "needs <code>update syncpolicies/users</code>" in reply.text


async def test_neither_wallets_nor_ids_nor_tokens_are_in_the_log(place: Place) -> None:
    call, wallet, user = place.caller("manager"), "0xCANARYWALLET", "canary-user"
    await call("PUT", f"users/{user}", {"wallet": wallet})
    await call("GET", f"users/{user}")
    await call("POST", f"users/{user}/sync", {"wallet": wallet})
    await call("GET", f"users?cursor={user}")
    log = place.server.log.read_text()
    assert "/users/{user_id}" in log
    assert f"{place.namespace}:manager" in log
    assert not any(secret in log for secret in (wallet, user, call.token))
