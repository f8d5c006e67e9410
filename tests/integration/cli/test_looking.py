"""`periodic-sync status`, `users`, `why` and `plan` beside an operator whose turns the test makes, on either store."""

import pytest

from periodic_sync.api.durations import HOUR, MINUTE
from periodic_sync.core.batch_files import read_batch_file
from periodic_sync.kube.resources import CONFIG_MAPS, JOBS, SECRETS
from periodic_sync.server.shown import instant
from turns_support import NAME

from .conftest import PASSWORD, Place


async def test_a_policy_is_seen_with_what_waits_and_what_runs(place: Place) -> None:
    await place.apply({"batchSize": 2, "jobs": {"maxConcurrentBatches": 1}})
    await place.register("u1", "u2", "u3", inactive=["gone"])
    operator = place.bench.operator()
    await operator.turn()
    await operator.turn()
    seen = await place.json("status", NAME)
    assert (seen["name"], seen["enabled"], seen["ready"]["reason"]) == (NAME, True, "Scheduling")
    assert (seen["status"]["totalUsers"], seen["status"]["activeUsers"]) == (4, 3)
    assert seen["byPriority"]["high"] == {"waiting": 1, "inFlight": 2, "synced": 0, "failed": 0}
    assert [(job["priority"], job["openUsers"], job["troubles"]) for job in seen["jobs"]] == [("high", 2, [])]
    assert (seen["behind"], seen["notes"]) == (None, [])
    shown = await place.run("status", NAME)
    assert "behind: only users wait who were never synced" in shown.out
    assert "High    1 waiting  2 in flight  0 synced  0 failed" in shown.out
    await place.bench.run(operator)
    assert (await place.json("status", NAME))["byPriority"]["high"]["synced"] >= 3
    everything = await place.json("status", "-A")
    assert [each["name"] for each in everything["policies"] if each["namespace"] == place.bench.namespace] == [NAME]


async def test_what_holds_up_a_job_is_told(on_config_maps: Place) -> None:
    place = on_config_maps
    await place.apply()
    await place.register("u1")
    operator = place.bench.operator()
    await operator.turn()

    async def held() -> bool:
        return bool(await place.bench.kubelet.hold_back("ImagePullBackOff"))

    await place.bench.turns_until(operator, held)
    [job] = (await place.json("status", NAME))["jobs"]
    assert job["troubles"] == ["ImagePullBackOff: no such"]
    assert "ImagePullBackOff: no such" in (await place.run("status", NAME)).out


async def test_whoever_is_overdue_is_told_with_how_long(place: Place) -> None:
    place.bench.now -= HOUR
    await place.apply()
    await place.register("u1", "u2")
    await place.bench.run(place.bench.operator())
    seen = await place.json("status", NAME)
    assert seen["behind"]["userId"] in ("u1", "u2")
    assert seen["behind"]["duration"].startswith("50m")


async def test_users_are_listed_with_their_reasons(place: Place) -> None:
    place.bench.now -= 30 * MINUTE
    await place.apply({"batchSize": 2, "jobs": {"maxConcurrentBatches": 1}})
    await place.register("u1", "u2", "u3", inactive=["gone"])
    await place.bench.operator().turn()
    found = await place.json("users", NAME)
    assert {user["userId"]: user["reason"] for user in found["users"]} == {
        "gone": "Inactive",
        "u1": "InFlight",
        "u2": "InFlight",
        "u3": "WaitingForCapacity",
    }
    assert all("wallet" not in user for user in found["users"])
    assert (found["cursor"], found["hasMore"]) == ("", False)
    for options, ids in (
        (["--in-flight"], ["u1", "u2"]),
        (["--inactive"], ["gone"]),
        (["--reason", "WaitingForCapacity", "--reason", "Inactive"], ["gone", "u3"]),
        (["--failing"], []),
        (["--stale"], ["u1", "u2", "u3"]),
        (["--all"], ["gone", "u1", "u2", "u3"]),
    ):
        chosen = await place.json("users", NAME, *options)
        assert sorted(user["userId"] for user in chosen["users"]) == ids, options
    some = await place.json("users", NAME, "--all", "--wallets")
    assert {user["wallet"] for user in some["users"]} >= {"0xwallet-of-u1"}


@pytest.mark.parametrize("command", [["users"], ["users", "--stale"], ["plan"], ["why"]], ids=" ".join)
async def test_a_time_zone_that_does_not_exist_is_told_where_it_is(on_config_maps: Place, command: list[str]) -> None:
    place, (name, *options) = on_config_maps, command
    await place.apply({"marketHours": {"timeZone": "Mars/Base"}})
    await place.register("u1")
    done = await place.run(name, NAME, *(["u1"] if name == "why" else options))
    assert (done.code, done.out) == (1, "")
    where = f"SyncPolicy {place.bench.namespace}/{NAME}: spec.marketHours.timeZone"
    assert done.err.startswith(f"periodic-sync {name}: {where}: 'Mars/Base' is not a time zone")


async def test_pages_join(place: Place) -> None:
    await place.apply()
    await place.register(*(f"u{number}" for number in range(5)))
    seen, cursor = [], ""
    while True:
        page = await place.json("users", NAME, "--limit", "2", "--cursor", cursor)
        seen += [user["userId"] for user in page["users"]]
        cursor = page["cursor"]
        if not cursor:
            break
    assert sorted(seen) == [f"u{number}" for number in range(5)]
    assert len(seen) == 5
    assert (await place.json("users", NAME, "--stale", "--limit", "2"))["hasMore"] is True


async def test_why_says_what_the_http_api_says(place: Place) -> None:
    await place.apply()
    await place.register("u1", inactive=["gone"])
    operator = place.bench.operator()
    await operator.turn()
    assert (await place.json("why", NAME, "u1"))["reason"] == "InFlight"
    await place.bench.run(operator)
    told = await place.json("why", NAME, "u1")
    assert (told["reason"], told["dueAt"], told["priority"]) == ("NotDue", told["until"], None)
    assert told["message"].startswith("The interval is not over yet")
    shown = await place.run("why", NAME, "gone")
    assert "Inactive" in shown.out
    assert "The user was not seen within spec.thresholds.active" in shown.out
    unknown = await place.run("why", NAME, "nobody")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err == "periodic-sync why: user nobody is not registered: register it first\n"
    await place.bench.edit(spec={"enabled": False})
    assert (await place.json("why", NAME, "u1"))["reason"] == "PolicyDisabled"


async def test_the_plan_is_the_one_that_the_operator_then_makes(place: Place) -> None:
    await place.apply({"batchSize": 2, "jobs": {"batchesPerJob": 2}})
    await place.register("u1", "u2", "u3", inactive=["gone"])
    made = await place.json("plan", NAME)
    assert made["note"] == "The operator has not taken this policy up yet: is it running?"
    assert (made["jobs"], made["held"]["reason"]) == ([], "WaitingForCapacity")
    operator = place.bench.operator()
    await place.bench.edit(spec={"enabled": False})
    await operator.turn()
    before = await stored(place)
    assert "paused" in (await place.json("plan", NAME))["note"]
    made = await place.json("plan", NAME, "--enabled")
    assert await stored(place) == before
    assert made["byReason"] == {"Inactive": 1, "DueStale": 3}
    assert (made["totalUsers"], made["activeUsers"], made["dueUsers"], made["claimedUsers"]) == (4, 3, 3, 3)
    await place.bench.edit(spec={"enabled": True})
    await operator.turn()
    [job] = (await place.bench.ledger()).jobs
    file = read_batch_file(await place.bench.objects.batch_file(job.name) or {}, place.bench.policy)
    claimed = [[user.user_id for user in batch.users] for batch in file.batches]
    assert [[batch["users"] for batch in job["batches"]] for job in made["jobs"]] == [claimed]
    assert "1 Jobs" not in (await place.run("plan", NAME)).out


async def test_a_plan_for_later_takes_the_batches_that_run_as_done(place: Place) -> None:
    await place.apply()
    await place.register("u1", "u2")
    await place.bench.operator().turn()
    assert (await place.json("plan", NAME))["byReason"] == {"InFlight": 2}
    soon = await place.json("plan", NAME, "--at", instant(place.bench.now + 5 * MINUTE))
    assert (soon["byReason"], soon["jobs"], soon["inFlightUsers"]) == ({"NotDue": 2}, [], 0)
    later = await place.json("plan", NAME, "--at", instant(place.bench.now + 11 * MINUTE))
    assert later["byReason"] == {"DueRegular": 2}
    assert [job["priority"] for job in later["jobs"]] == ["medium"]
    assert (await place.json("plan", NAME, "--at", instant(place.bench.now + 30 * HOUR)))["byReason"] == {"Inactive": 2}


async def stored(place: Place) -> object:
    """All that could be written, with what tells whether it was."""
    client, namespace = place.bench.client, place.bench.namespace
    found = [await client.list(kind, namespace, metadata_only=True) for kind in (CONFIG_MAPS, JOBS)]
    versions = [(it["metadata"]["name"], it["metadata"]["resourceVersion"]) for each in found for it in each]
    if place.redis is None:
        return versions
    offset = (await place.redis.info("replication"))["master_repl_offset"]
    changes = (await place.redis.info("persistence"))["rdb_changes_since_last_save"]
    return versions, offset, changes


@pytest.mark.parametrize("command", [["why", NAME, "u1"], ["users", NAME], ["status", NAME], ["plan", NAME]])
async def test_through_another_way_to_redis_the_secret_is_not_needed(on_redis: Place, command: list[str]) -> None:
    place = on_redis
    await place.apply()
    await place.register("u1")
    await place.bench.operator().turn()
    assert place.redis is not None
    url = place.redis.url
    await place.bench.client.delete(SECRETS, place.bench.namespace, "redis")
    without = await place.run(*command)
    assert "Secret" in without.out + without.err
    done = await place.run(*command, REDIS_URL=url)
    assert done.code == 0, done.err
    assert "Secret" not in done.out + done.err
    wrong = await place.run(*command, REDIS_URL=url.replace(PASSWORD, "not-" + PASSWORD))
    assert PASSWORD not in wrong.out + wrong.err


async def test_a_policy_of_the_cluster_is_simulated_with_its_own_users(place: Place) -> None:
    await place.apply()
    await place.register("u1", "u2", inactive=["gone"])
    before = await stored(place)
    found = await place.json("simulate", NAME, "--hours", "2", "--set", "spec.batchSize=1")
    assert await stored(place) == before
    assert found["users"] == 3
    assert [each["total"]["synced"] for each in found["variants"]] == [pytest.approx(24, abs=2)] * 2
    assert found["variants"][1]["total"]["pods"] == pytest.approx(24, abs=2)
