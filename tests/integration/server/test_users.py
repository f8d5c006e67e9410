"""The routes of users, on both stores: a real API server, a real Redis, and the server as a process."""

import asyncio
from datetime import UTC, datetime, timedelta

from server_support import ServerProcess

from .conftest import Place

WALLET = "0xc0ffee0000000000000000000000000000000001"


async def test_a_user_is_registered_updated_shown_and_erased(both: Place) -> None:
    call = both.caller("manager")
    assert (await call("GET", "users/ada")).code == "UnknownUser"
    sent = {"wallet": WALLET, "interval": "2m", "timeZone": "Asia/Tokyo"}
    assert (await call("PUT", "users/ada", sent)).status == 204
    shown = (await call("GET", "users/ada")).json
    assert {key: shown[key] for key in sent} == sent
    assert shown["userId"] == "ada"
    assert shown["state"] == {"lastSynced": None, "failures": 0, "failedAt": None, "requestServed": None}
    assert (await call("PUT", "users/ada", {"wallet": WALLET})).status == 204
    assert (await call("GET", "users/ada")).json["interval"] is None
    gone = await call("DELETE", "users/ada")
    assert (gone.status, gone.json) == (200, {"remains": ""})
    assert (await call("GET", "users/ada")).code == "UnknownUser"
    assert (await call("DELETE", "users/ada")).code == "UnknownUser"


async def test_activity_is_stored_when_it_is_answered(both: Place) -> None:
    call, old = both.caller("manager"), datetime.now(UTC) - timedelta(days=3)
    await call("PUT", "users/ada", {"wallet": WALLET, "lastActive": old.isoformat()})
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert (await call("POST", "users/ada/activity")).status == 204
    assert datetime.fromisoformat((await call("GET", "users/ada")).json["lastActive"]) >= before
    assert (await call("POST", "users/bob/activity", {"at": old.isoformat()})).code == "UnknownUser"


async def test_many_activities_in_one_post_tell_who_is_not_registered(both: Place) -> None:
    call = both.caller("manager")
    await call("PUT", "users/ada", {"wallet": WALLET})
    sent = {"users": [{"id": "ada"}, {"id": "bob", "at": "2026-01-31T09:30:00Z"}]}
    reply = await call("POST", "activity", sent)
    assert (reply.status, reply.json) == (200, {"recorded": 1, "unknown": ["bob"]})


async def test_a_sync_registers_who_comes_with_a_wallet_and_tells_where_to_follow_it(both: Place) -> None:
    call = both.caller("manager")
    assert (await call("POST", "users/ada/sync")).code == "UnknownUser"
    reply = await call("POST", "users/ada/sync", {"wallet": WALLET, "interval": "7m"})
    assert (reply.status, reply.headers["location"]) == (202, f"{both.path}/users/ada")
    shown = (await call("GET", reply.headers["location"])).json
    assert (shown["syncRequestedAt"], shown["interval"]) == (reply.json["requestedAt"], "7m")
    again = await call("POST", "users/ada/sync", {"wallet": WALLET})
    assert again.json["requestedAt"] > reply.json["requestedAt"]
    assert (await call("GET", "users/ada")).json["interval"] == "7m"
    assert (await call("POST", "users/ada/sync")).status == 202


async def test_tokens_that_changed_are_kept(both: Place) -> None:
    call = both.caller("manager")
    await call("PUT", "users/ada", {"wallet": WALLET})
    assert (await call("POST", "users/ada/tokens", {"tokens": ["0xt1", "0xt2"]})).status == 204
    assert (await call("GET", "users/ada")).json["changedTokens"].keys() == {"0xt1", "0xt2"}
    assert (await call("POST", "users/bob/tokens", {"tokens": ["0xt1"]})).code == "UnknownUser"


async def test_pages_show_every_user_once(both: Place) -> None:
    call, wanted = both.caller("manager"), {f"u{number}" for number in range(7)}
    sent = {"wallet": WALLET, "lastActive": "2026-01-31T09:30:00Z"}  # one instant, which is what an import leaves
    replies = await asyncio.gather(*(call("PUT", f"users/{user}", sent) for user in wanted))
    assert [reply.status for reply in replies] == [204] * len(wanted)
    seen: list[str] = []
    cursor = ""
    while True:
        reply = await call("GET", f"users?limit=3&cursor={cursor}")
        assert reply.status == 200, reply.text
        assert len(reply.json["users"]) <= 3
        seen += [user["userId"] for user in reply.json["users"]]
        cursor = reply.json["cursor"]
        if not cursor:
            break
    assert sorted(seen) == sorted(wanted)
    assert (await call("GET", "users?cursor=%21")).code == "Invalid"
    assert (await call("GET", "users?limit=0")).code == "Invalid"


async def test_odd_ids_are_users_like_others_and_bad_ones_are_told(both: Place) -> None:
    call = both.caller("manager")
    odd = ("auth0:u18", "a@b.example", "..x", "A" * 128)
    replies = await asyncio.gather(*(call("PUT", f"users/{user}", {"wallet": WALLET}) for user in odd))
    assert [reply.status for reply in replies] == [204] * len(odd)
    for user in odd:
        assert (await call("GET", f"users/{user}")).json["userId"] == user
    assert (await call("PUT", "users/a%20b", {"wallet": WALLET})).code == "Invalid"
    assert (await call("PUT", f"users/{'A' * 129}", {"wallet": WALLET})).code == "Invalid"


async def test_values_that_break_the_rules_are_refused_and_never_repeated(both: Place) -> None:
    call, canary = both.caller("manager"), "0xCANARY" + "1" * 300
    for sent in (
        {"wallet": canary},
        {"wallet": WALLET, "interval": "often"},
        {"wallet": WALLET, "timeZone": "Mars/Olympus"},
        {"wallet": WALLET, "lastActive": "2199-01-01T00:00:00Z"},
        {"wallet": WALLET, "intervall": "5m"},
        {},
    ):
        reply = await call("PUT", "users/ada", sent)
        assert (reply.status, reply.code) == (422, "Invalid")
        assert "CANARY" not in reply.text
        assert WALLET not in reply.text
    assert (await call("PUT", "users/ada", b"{")).status in (400, 422)
    assert (await call("PUT", "users/ada", b"wallet=0x1", **{"Content-Type": "text/plain"})).code == "NotJson"
    assert (await call("GET", "users/ada")).code == "UnknownUser"


async def test_why_is_told_of_a_user_of_a_policy_without_an_operator(both: Place) -> None:
    call = both.caller("manager")
    assert (await call("GET", "users/ada/why")).code == "UnknownUser"
    await call("PUT", "users/ada", {"wallet": WALLET})
    told = (await call("GET", "users/ada/why")).json
    assert (told["reason"], told["heldFrom"], told["priority"]) == ("WaitingForCapacity", "DueStale", "high")
    assert "is it running?" in told["message"]


async def test_a_policy_that_is_not_there_or_can_not_be_there_is_told(place: Place, server: ServerProcess) -> None:
    place.kubectl("delete", "syncpolicy", "portfolios")
    call = place.caller("manager")
    assert (await call("PUT", "users/ada", {"wallet": WALLET})).code == "NoSuchPolicy"
    assert (await call("GET", f"/v1/namespaces/{place.namespace}/policies/UPPER/users")).code == "NoSuchPolicy"
    assert (await call("GET", "/nowhere")).code == "NotFound"
    assert (await call("PATCH", "users/ada")).code == "MethodNotAllowed"
