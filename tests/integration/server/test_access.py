"""Who may do what: every route, by the OpenAPI document, with tokens that Kubernetes made."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from cluster_support import ROOT
from periodic_sync.server.guard import RIGHT
from server_support import AUDIENCE, Caller, ServerProcess
from turns_support import ACCOUNTS, until

from .conftest import POLICY, Place
from .test_users import WALLET

OPEN = {"/health", "/livez", "/readyz"}
_ROW = re.compile(r"^\| `(?P<method>[A-Z]+) (?P<path>/[^`?]*)[^`]*` \|.*\| (?P<rights>[^|]*) \|$", re.MULTILINE)


class Operation(NamedTuple):
    method: str
    path: str
    body: Any
    """The least that its schema asks for; None: it takes none, or needs none."""
    right: tuple[str, str] | None
    """Verb and resource."""


async def operations(server: ServerProcess) -> list[Operation]:
    """All that the server's own document names, so that a route that is new is in every test of this file."""
    document = (await server.caller("")("GET", "/openapi.json")).json
    return [
        Operation(method.upper(), path, _body(document, about), _right(about))
        for path, each in document["paths"].items()
        for method, about in each.items()
    ]


def _right(about: dict[str, Any]) -> tuple[str, str] | None:
    wanted = about.get(RIGHT)
    return (wanted["verb"], wanted["resource"]) if wanted else None


def _body(document: dict[str, Any], about: dict[str, Any]) -> Any:
    described = about.get("requestBody", {})
    return _least(document, described["content"]["application/json"]["schema"]) if described.get("required") else None


def _least(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _least(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    match schema["type"]:
        case "object":
            return {name: _least(document, schema["properties"][name]) for name in schema.get("required", ())}
        case "array":
            return [_least(document, schema["items"])]
        case kind:
            return {"string": "ada", "integer": 1, "number": 1.5, "boolean": True}[kind]


async def called(call: Caller, place: Place, operation: Operation) -> str:
    """The status and the code of the answer."""
    values = defaultdict(lambda: "ada", namespace=place.namespace, policy=POLICY)
    reply = await call(operation.method, operation.path.format_map(values), operation.body)
    return f"{reply.status} {reply.code}" if reply.status >= 400 else str(reply.status)


async def test_only_health_and_the_probes_are_open(place: Place) -> None:
    routes = await operations(place.server)
    assert {route.path for route in routes if route.right is None} == OPEN
    for path in OPEN:
        assert (await place.server.caller("")("GET", path)).status == 200


async def test_every_other_route_refuses_whoever_has_no_token_or_one_for_somebody_else(place: Place) -> None:
    other = await place.token("manager", "https://kubernetes.default.svc")
    for route in await operations(place.server):
        if route.path in OPEN:
            continue
        for token, code in (("", "NoToken"), ("nonsense", "TokenNotAccepted"), (other, "TokenNotAccepted")):
            assert await called(place.server.caller(token), place, route) == f"401 {code}", route


async def test_every_route_refuses_tokens_without_rights(place: Place) -> None:
    refused = 0
    for route in await operations(place.server):
        if route.path not in OPEN:
            assert await called(place.caller("nobody"), place, route) == "403 Forbidden", route
            refused += 1
    assert refused >= 10


async def test_the_handbook_names_every_route_with_the_right_that_the_document_names(place: Place) -> None:
    rows = _ROW.findall((ROOT / "docs" / "reference" / "http-api.md").read_text())
    told = {(method, path): rights for method, path, rights in rows}
    for route in await operations(place.server):
        path = route.path.removeprefix("/v1/namespaces/{namespace}/policies/{policy}").replace("{user_id}", "ID")
        if route.path in {"/livez", "/readyz"}:
            continue  # in one row
        rights = told[route.method, path]
        assert (rights == "open") if route.right is None else (" ".join(route.right) in rights), route


@pytest.fixture
async def holders(place: Place) -> AsyncIterator[dict[tuple[str, str], Caller]]:
    """For each right of the document somebody who has it, for this one policy, and no other."""
    found: dict[tuple[str, str], Caller] = {}
    routes = await operations(place.server)
    cluster = place.kubectl.within("default")
    made: list[str] = []
    for number, right in enumerate(sorted({route.right for route in routes if route.right})):
        account, (verb, resource) = f"holder-{number}", right
        await place.client.create(ACCOUNTS, place.namespace, {"metadata": {"name": account}})
        what = f"--resource={re.sub('^syncpolicies', 'syncpolicies.sync.moonx.farm', resource)}"
        rule = (f"--verb={verb}", f"--non-resource-url={resource}" if resource.startswith("/") else what)
        subject = f"--serviceaccount={place.namespace}:{account}"
        if any("{policy}" in route.path for route in routes if route.right == right):
            place.kubectl("create", "role", account, *rule, f"--resource-name={POLICY}")
            place.kubectl("create", "rolebinding", account, f"--role={account}", subject)
        else:
            name = f"{place.namespace}-{account}"
            cluster("create", "clusterrole", name, *rule)
            cluster("create", "clusterrolebinding", name, f"--clusterrole={name}", subject)
            made.append(name)
        found[right] = place.server.caller(await place.token(account, AUDIENCE), place.path)
    yield found
    for name in made:
        cluster("delete", "clusterrole,clusterrolebinding", name)


async def test_exactly_the_right_that_a_route_names_opens_it_and_no_other_does(
    place: Place, holders: dict[tuple[str, str], Caller]
) -> None:
    await place.caller("manager")("PUT", "users/ada", {"wallet": WALLET})
    for route in await operations(place.server):
        if route.right is None:
            continue
        for right, call in holders.items():
            answered = await called(call, place, route)
            if right == route.right:
                assert answered in {"200", "202", "204", "404 UnknownUser"}, route  # whom a route before has erased
            else:
                assert answered == "403 Forbidden", (route, right)


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
    for route in await operations(place.server):
        if route.right is not None and await called(place.caller(role), place, route) != "403 Forbidden":
            verb, resource = route.right
            seen.add(f"{verb} {resource.partition('/')[2]}".strip())
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
