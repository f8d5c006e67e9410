"""What turns write when there is something to say, and that they write nothing when there is not."""

import pytest

from periodic_sync.api.durations import HOUR, MINUTE, SECOND
from periodic_sync.api.names import REQUESTED_AT_ANNOTATION, SYNC_USERS_ANNOTATION
from periodic_sync.controller import reporting
from periodic_sync.core.calendar import WEEKDAYS
from periodic_sync.core.status import Findings, Status, fold
from periodic_sync.kube.resources import SYNC_POLICIES
from turns_support import INTERVAL, NAME, Bench, Operator


async def quiet(bench: Bench) -> Operator:
    """A policy whose users were all synced, and all of whose status is written."""
    await bench.apply()
    await bench.register(active=["u1", "u2"], inactive=["gone"])
    operator = bench.operator()
    await bench.run(operator)
    bench.now += 10 * SECOND
    await operator.turn()
    bench.now += 10 * SECOND
    return operator


async def writes_of_a_turn(operator: Operator) -> list[str]:
    before = len(operator.client.writes)
    await operator.turn()
    return operator.client.writes[before:]


def _folded_with_a_field_of_tomorrow(previous: Status, found: Findings) -> Status:
    """The API server's CRD is today's."""
    return {**fold(previous, found), "ofTomorrow": {"high": 1}}


async def _version(bench: Bench) -> str:
    body = await bench.client.get(SYNC_POLICIES, bench.namespace, NAME)
    return str(body["metadata"]["resourceVersion"])


async def ask(bench: Bench, users: str, token: str = "t1") -> None:
    await bench.edit(metadata={"annotations": {SYNC_USERS_ANNOTATION: users, REQUESTED_AT_ANNOTATION: token}})


class TestWrites:
    async def test_a_quiet_turn_writes_nothing(self, bench: Bench) -> None:
        operator = await quiet(bench)
        for _ in range(3):
            assert await writes_of_a_turn(operator) == []
            bench.now += 10 * SECOND
        assert await writes_of_a_turn(bench.operator()) == []

    async def test_a_field_that_an_older_crd_lacks_is_not_written_again_and_again(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reporting, "fold", _folded_with_a_field_of_tomorrow)
        operator = await quiet(bench)
        for _ in range(3):
            assert await writes_of_a_turn(operator) == []
            bench.now += 10 * SECOND
        await bench.client.merge_status(
            SYNC_POLICIES, bench.namespace, NAME, {"totalUsers": 99}, version=await _version(bench)
        )
        assert await writes_of_a_turn(operator) == ["PATCH status"]
        status = await bench.status()
        assert (status["totalUsers"], status.get("ofTomorrow")) == (3, None)
        bench.now += 10 * SECOND
        assert await writes_of_a_turn(operator) == []

    async def test_a_quiet_turn_of_a_disabled_policy_writes_nothing(self, bench: Bench) -> None:
        operator = await quiet(bench)
        await bench.edit(spec={"enabled": False})
        await operator.turn()
        bench.now += INTERVAL
        assert await writes_of_a_turn(operator) == []

    async def test_of_a_disabled_policy_too_it_is_written_once_that_the_market_closes(self, bench: Bench) -> None:
        operator = await quiet(bench)
        next_hour = bench.now // HOUR + 1
        window = {"start": f"{(next_hour - 6) % 24:02}:00", "end": f"{next_hour % 24:02}:00", "days": WEEKDAYS}
        await bench.edit(spec={"enabled": False, "marketHours": window})
        await operator.turn()
        assert (await bench.status())["isMarketHours"] is True
        bench.now += HOUR
        assert await writes_of_a_turn(operator) == ["PATCH status"]
        assert (await bench.status())["isMarketHours"] is False
        bench.now += HOUR
        assert await writes_of_a_turn(operator) == []

    async def test_a_turn_that_only_waits_for_jobs_writes_nothing(self, bench: Bench) -> None:
        await bench.apply()
        await bench.register(active=["u1"])
        operator = bench.operator()
        await operator.turn()
        bench.now += 10 * SECOND
        await operator.turn()
        bench.now += 10 * SECOND
        assert await writes_of_a_turn(operator) == []

    async def test_counters_are_written_at_most_every_five_seconds(self, bench: Bench) -> None:
        operator = await quiet(bench)
        await bench.register(inactive=["left"])
        assert await writes_of_a_turn(operator) == ["PATCH status"]
        written_at = bench.now
        await bench.register(inactive=["left-too"])
        bench.now += SECOND
        before = len(operator.client.writes)
        schedule = await operator.turn()
        assert operator.client.writes[before:] == []
        assert schedule.at == written_at + 5 * SECOND
        bench.now = written_at + 5 * SECOND
        assert await writes_of_a_turn(operator) == ["PATCH status"]
        assert (await bench.status())["totalUsers"] == 5

    async def test_an_acknowledgement_is_written_at_once_and_takes_the_counters_along(self, bench: Bench) -> None:
        operator = await quiet(bench)
        await bench.register(inactive=["left"])
        await operator.turn()
        await bench.register(inactive=["left-too"])
        await bench.edit(spec={"batchSize": 7})
        assert "PATCH status" in await writes_of_a_turn(operator)
        status = await bench.status()
        assert (status["observedGeneration"], status["totalUsers"]) == (2, 5)

    async def test_a_round_of_one_job_is_few_writes(self, bench: Bench) -> None:
        operator = await quiet(bench)
        before = len(operator.client.writes)
        bench.now += INTERVAL
        await bench.run(operator)
        kinds = [kind for kind in operator.client.writes[before:] if kind != "PATCH status"]
        assert kinds == [
            "POST batch file",
            "PUT ledger",
            "POST job",
            "PUT ledger",
            "PUT state",
            "DELETE batch file",
            "PUT ledger",
        ]


class TestRequests:
    async def test_a_named_request_is_queued_served_and_completed(self, bench: Bench) -> None:
        operator = await quiet(bench)
        await ask(bench, "u1,gone,nobody")
        await operator.turn()
        status = await bench.status()
        assert (status["lastHandledRequest"], status.get("lastCompletedRequest")) == ("t1", None)
        assert await bench.in_flight() == {"u1", "gone"}
        assert {job["metadata"]["labels"]["sync.moonx.farm/priority"] for job in await bench.jobs()} >= {"high"}
        await bench.run(operator)
        await operator.turn()
        assert (await bench.status())["lastCompletedRequest"] == "t1"
        assert bench.kubelet.synced == {"u1": 2, "u2": 1, "gone": 1}
        events = await bench.events()
        assert "3 users by id" in events["RequestQueued"]
        assert "nobody" in events["UnknownUsers"]
        assert "t1" in events["RequestCompleted"]

    @pytest.mark.parametrize(("scope", "users"), [("all", {"u1", "u2", "gone"}), ("active", {"u1", "u2"})])
    async def test_a_bulk_request(self, bench: Bench, scope: str, users: set[str]) -> None:
        operator = await quiet(bench)
        await ask(bench, scope)
        await operator.turn()
        assert await bench.in_flight() == users
        await bench.run(operator)
        await operator.turn()
        assert (await bench.status())["lastCompletedRequest"] == "t1"

    async def test_a_request_is_served_once(self, bench: Bench) -> None:
        operator = await quiet(bench)
        await ask(bench, "active")
        await bench.run(operator)
        await operator.turn()
        bench.now += MINUTE
        await operator.turn()
        assert (await bench.ledger()).jobs == ()
        await ask(bench, "active", "t2")
        await operator.turn()
        assert await bench.in_flight() == {"u1", "u2"}

    async def test_whoever_is_in_flight_runs_again_after(self, bench: Bench) -> None:
        await bench.apply()
        await bench.register(active=["u1"])
        operator = bench.operator()
        await operator.turn()
        await ask(bench, "u1")
        await operator.turn()
        assert (await bench.status())["lastHandledRequest"] == "t1"
        assert len(await bench.jobs()) == 1

        async def synced_twice() -> bool:
            await bench.kubelet.start()
            await bench.kubelet.end()
            return (await bench.status()).get("lastCompletedRequest") == "t1"

        await bench.turns_until(operator, synced_twice)
        assert bench.kubelet.synced == {"u1": 2}

    async def test_a_disabled_policy_keeps_the_request_waiting(self, bench: Bench) -> None:
        operator = await quiet(bench)
        await bench.edit(spec={"enabled": False})
        await ask(bench, "u1")
        await operator.turn()
        await operator.turn()
        status = await bench.status()
        assert (status["lastHandledRequest"], status.get("lastCompletedRequest")) == ("t1", None)
        assert (await bench.ledger()).jobs == ()
        await bench.edit(spec={"enabled": True})
        await operator.turn()
        assert await bench.in_flight() == {"u1"}

    async def test_a_request_that_names_only_strangers_is_over_at_once(self, bench: Bench) -> None:
        operator = await quiet(bench)
        await ask(bench, "nobody")
        await operator.turn()
        assert (await bench.status())["lastCompletedRequest"] == "t1"
        assert "check the ids" in (await bench.events())["UnknownUsers"]


async def test_what_two_conditions_say_alike_is_one_event(bench: Bench) -> None:
    await bench.apply()
    operator = bench.operator()
    await operator.turn()
    assert [reason for reason in await bench.events() if "NotReady" in reason] == ["StoreNotReady"]
    await bench.edit(spec={"marketHours": {"timeZone": "No/Where"}})
    await operator.turn()
    told = await bench.events()
    assert "UnknownTimeZone" in told
    assert "Stalled" not in told


async def test_turning_points_are_told_as_events_and_said_once(bench: Bench) -> None:
    operator = await quiet(bench)
    assert "2 active users" in (await bench.events())["Scheduling"] or "Reading" in (await bench.events())["Scheduling"]
    await bench.edit(spec={"enabled": False})
    for _ in range(2):
        await operator.turn()
        bench.now += 10 * SECOND
    assert operator.client.writes.count("POST event") == 2
    assert "no new batch starts" in (await bench.events())["Paused"]


async def test_no_wallet_is_in_anything_but_store_and_batch_files(bench: Bench) -> None:
    operator = await quiet(bench)
    await ask(bench, "u1,u2,gone")
    await operator.turn()
    pods = await bench.objects.pods()
    told = [await bench.status(), await bench.jobs(), pods, await bench.events(), await bench.ledger()]
    assert "0xwallet" not in repr(told)
