"""`periodic-sync sync` beside an operator, and `register`, `activity`, `remove` and `export`, on either store."""

import asyncio
import json
from pathlib import Path

from kubelet import naming
from periodic_sync.api.names import REQUESTED_AT_ANNOTATION, SYNC_USERS_ANNOTATION
from periodic_sync.kube.resources import SYNC_POLICIES
from redis_support import redis_server
from turns_support import NAME, until

from .conftest import PASSWORD, Place

WALLET = "0xcanary-wallet"


async def annotations(place: Place) -> dict[str, str]:
    body = await place.bench.client.get(SYNC_POLICIES, place.bench.namespace, NAME)
    found: dict[str, str] = body["metadata"].get("annotations") or {}
    return found


async def synced_once(place: Place, *users: str, inactive: tuple[str, ...] = ()) -> None:
    await place.apply()
    await place.register(*users, inactive=inactive)
    await place.bench.run(place.bench.operator())


async def test_a_sync_is_followed_until_it_is_done(place: Place) -> None:
    await synced_once(place, "u1", "u2", inactive=("gone",))
    done = await place.beside(place.bench.operators[-1], "sync", NAME, "u1", "gone", "--wait")
    assert done == (0, "2 users synced\n", "")
    assert place.bench.kubelet.synced == {"u1": 2, "u2": 1, "gone": 1}
    assert (await place.beside(place.bench.operators[-1], "sync", NAME, "--active", "--wait")).out == (
        "active users synced\n"
    )
    assert (await annotations(place))[SYNC_USERS_ANNOTATION] == "active"
    assert place.bench.kubelet.synced["u2"] == 2


async def test_who_failed_is_told_and_the_exit_code_is_1(place: Place) -> None:
    await synced_once(place, "u1", "u2")
    place.bench.kubelet.worker = lambda users: naming("u2")
    done = await place.beside(place.bench.operators[-1], "sync", NAME, "u1", "u2", "--wait", "-o", "json")
    assert done.code == 1, done.err
    found = json.loads(done.out)
    assert (found["completed"], found["scope"], found["users"]) == (True, "named", ["u1", "u2"])
    assert [(each["userId"], each["failures"]) for each in found["failed"]] == [("u2", 1)]
    done = await place.beside(place.bench.operators[-1], "sync", NAME, "--all", "--wait")
    assert done.code == 1
    assert "all users tried, 1 failed" in done.out
    assert "u2" in done.out


async def test_ids_that_nobody_has_are_named_before_anything_is_asked(place: Place) -> None:
    await place.apply()
    await place.register("u1")
    done = await place.run("sync", NAME, "u1", "nobody", "else")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "periodic-sync sync: not registered, or not readable: nobody, else. Nothing was asked for: correct these ids, "
        "or register them first\n"
    )
    assert await annotations(place) == {}


async def test_a_newer_request_ends_the_waiting(on_config_maps: Place) -> None:
    place = on_config_maps
    await place.apply()
    await place.register("u1")
    waiting = asyncio.create_task(place.run("sync", NAME, "u1", "--wait"))

    async def is_asked() -> bool:
        return REQUESTED_AT_ANNOTATION in await annotations(place)

    await until(is_asked)
    await place.bench.edit(metadata={"annotations": {REQUESTED_AT_ANNOTATION: "newer"}})
    done = await waiting
    assert done.code == 1
    assert "was replaced by a newer one, newer: it is over, and not everybody was synced" in done.err


async def test_without_an_operator_waiting_has_an_end(on_config_maps: Place) -> None:
    place = on_config_maps
    await place.apply({"enabled": False})
    await place.register("u1")
    done = await place.run("sync", NAME, "u1", "--wait", "--timeout", "1s")
    assert done.code == 1
    assert f"{NAME} is paused: the request waits until it is enabled" in done.err
    assert "is not over, and goes on: the operator has not taken it up yet: is it running?" in done.err
    assert f"`periodic-sync status {NAME} -n {place.bench.namespace}` shows more" in done.err


async def test_users_are_registered_seen_active_and_removed(place: Place) -> None:
    await place.apply()
    if place.redis is None:
        await place.bench.register()
    arguments = ("--wallet-stdin", "--interval", "10m", "--time-zone", "Asia/Tokyo")
    done = await place.run("register", NAME, "ada", *arguments, stdin=f"{WALLET}\n")
    assert done == (0, "ada is registered\n", "")
    assert (await place.run("register", NAME, "bob", "--wallet", WALLET)).code == 0
    [ada, bob] = (await place.json("users", NAME, "--wallets"))["users"]
    assert (ada["userId"], ada["wallet"], ada["interval"], ada["timeZone"]) == ("ada", WALLET, "10m", "Asia/Tokyo")
    assert (bob["interval"], bob["timeZone"]) == (None, None)
    done = await place.run("activity", NAME, "ada", "nobody")
    assert done == (1, "activity of 1 user is recorded\n", "periodic-sync activity: not registered: nobody\n")
    refused = await place.run("remove", NAME, "ada")
    assert (refused.code, refused.out) == (1, "")
    assert "give --yes" in refused.err
    done = await place.run("remove", NAME, "ada", "nobody", "--yes")
    assert (done.code, done.out) == (1, "1 removed\n")
    assert "not registered: nobody" in done.err
    assert [user["userId"] for user in (await place.json("users", NAME))["users"]] == ["bob"]


async def test_a_bad_value_is_told_without_the_wallet(place: Place) -> None:
    await place.apply()
    if place.redis is None:
        await place.bench.register()
    done = await place.run("register", NAME, "ada", "--wallet-stdin", "--interval", WALLET, stdin=WALLET)
    assert done.code == 1
    assert "interval" in done.err
    assert WALLET not in done.out + done.err
    done = await place.run("register", NAME, "ada", "--wallet-stdin")
    assert (done.code, "no wallet came on standard input" in done.err) == (1, True)


async def test_what_is_exported_is_imported_again(place: Place, tmp_path: Path) -> None:
    await place.apply()
    await place.register("u1", "u2", inactive=["gone"])
    odd = 'a "quoted", wallet'
    await place.run("register", NAME, "odd:1", "--wallet", odd, "--interval", "90s", "--time-zone", "Asia/Tokyo")
    before = (await place.json("users", NAME, "--all", "--wallets"))["users"]
    for name in ("users.csv", "users.ndjson"):
        file = tmp_path / name
        done = await place.run("export", NAME, str(file))
        assert (done.code, done.out, done.err) == (0, "", "4 users exported\n")
        assert file.stat().st_mode & 0o777 == 0o600
        ids = [user["userId"] for user in before]
        await place.run("remove", NAME, *ids, "--yes")
        assert (await place.json("users", NAME))["users"] == []
        done = await place.run("import", str(file), "--policy", NAME)
        assert (done.code, done.out) == (0, "4 lines imported, 0 skipped\n")
        after = (await place.json("users", NAME, "--all", "--wallets"))["users"]
        kept = ("userId", "wallet", "lastActive", "interval", "timeZone", "syncRequestedAt", "changedTokens")
        assert [{key: user[key] for key in kept} for user in after] == [
            {key: user[key] for key in kept} for user in before
        ]
    shown = await place.run("export", NAME, "--format", "csv")
    assert shown.out.splitlines()[0] == "userId,wallet,lastActive,interval,timeZone,syncRequestedAt"


async def test_an_export_that_fails_leaves_no_file(on_config_maps: Place, tmp_path: Path) -> None:
    place = on_config_maps
    await place.apply()
    done = await place.run("export", NAME, str(tmp_path / "users.csv"))
    assert (done.code, "does not exist" in done.err) == (1, True)
    assert [*tmp_path.iterdir()] == []  # noqa: ASYNC240 nothing else is going on


async def test_no_url_is_printed_whatever_is_wrong_with_it(on_redis: Place) -> None:
    place = on_redis
    await place.apply()
    for url in (f"redis://:{PASSWORD}@127.0.0.1:1/0", f"redis//{PASSWORD}", f"redis://:{PASSWORD}@[/0"):
        done = await place.run("users", NAME, REDIS_URL=url)
        assert done.code == 1, done
        assert PASSWORD not in done.out + done.err
        assert done.err.startswith("periodic-sync users: ")


async def test_a_redis_that_another_program_s_variable_names_is_not_written(on_redis: Place) -> None:
    place = on_redis
    await synced_once(place, "u1")
    async with redis_server() as other:
        done = await place.run("register", NAME, "ada", "--wallet", WALLET, REDIS_URL=other.url)
        assert (done.code, await other.command("DBSIZE")) == (1, 0)
    assert "has no users under 'portfolios:' that an operator knows of, and this policy has 1" in done.err
    assert place.redis is not None
    assert (await place.run("register", NAME, "ada", "--wallet", WALLET, REDIS_URL=place.redis.url)).code == 0


async def test_an_import_reaches_the_policy_s_redis_by_the_way_it_is_given(on_redis: Place, tmp_path: Path) -> None:
    place = on_redis
    await synced_once(place, "u1")
    assert place.redis is not None
    file = tmp_path / "users.csv"
    file.write_text(f"userId,wallet,lastActive\nada,{WALLET},2025-01-01T12:00:00Z\n")
    async with redis_server() as other:
        wrong = await place.run("import", str(file), "--policy", NAME, "--redis-url", other.url)
        assert (wrong.code, await other.command("DBSIZE")) == (2, 0)
    done = await place.run("import", str(file), "--policy", NAME, "--redis-url", place.redis.url)
    assert (done.code, done.out) == (0, "1 lines imported, 0 skipped\n")


async def test_another_policy_s_redis_is_not_taken_for_this_one_s(on_redis: Place) -> None:
    place = on_redis
    await place.apply()
    await place.register("u1")
    assert place.redis is not None
    meta = next(key for key in await place.redis.command("KEYS", "*") if key.endswith(b"meta"))
    await place.redis.command("HSET", meta, "owner", "/elsewhere/other")
    done = await place.run("register", NAME, "ada", "--wallet", WALLET, REDIS_URL=place.redis.url)
    assert done.code == 1
    assert "has users of SyncPolicy elsewhere/other under 'portfolios:', and not of this one" in done.err
