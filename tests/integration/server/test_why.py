"""Each reason code for a user who was put into that state, on both stores: an operator's turns are played, and the API
looks at what they left."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubelet import SUCCESS, End, naming
from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.api.names import Reason
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.resources import CONFIG_MAPS, SYNC_POLICIES
from periodic_sync.stores.redis.keys import Keys
from redis_support import Server
from server_support import Caller
from turns_support import NAME, ROUND_THE_CLOCK, STORE, Bench, Operator

from .conftest import Place
from .test_users import WALLET

ONE_AT_A_TIME = {"batchSize": 1, "jobs": {"maxConcurrentBatches": 1}}


def now() -> int:
    return int(time.time() * 1000)


@dataclass
class Played:
    """A policy, its operator that works when it is told to, and somebody who may ask why."""

    place: Place
    bench: Bench
    operator: Operator
    call: Caller

    async def register(self, *user_ids: str, ago: int = 0) -> None:
        """Active so long ago (ms)."""
        at = datetime.fromtimestamp((now() - ago) / 1000, UTC).isoformat()
        for user_id in user_ids:
            assert (await self.call("PUT", f"users/{user_id}", {"wallet": WALLET, "lastActive": at})).status == 204

    async def sync(self, *, ago: int = 0) -> None:
        """The operator works until nothing is in flight, as if it were so long ago (ms)."""
        self.bench.now = now() - ago
        await self.bench.run(self.operator)

    async def turn(self) -> None:
        self.bench.now = now()
        await self.operator.turn()

    async def fail(self, end: End) -> None:
        self.bench.kubelet.worker = lambda users: end
        await self.sync()
        self.bench.kubelet.worker = lambda users: SUCCESS

    async def ask(self, users: str) -> None:
        """By annotation, as a person does."""
        asked = {"sync.moonx.farm/sync-users": users, "sync.moonx.farm/requested-at": str(now())}
        await self.bench.edit(metadata={"annotations": asked})

    async def why(self, user_id: str = "ada") -> dict[str, Any]:
        found: dict[str, Any] = (await self.call("GET", f"users/{user_id}/why")).json
        return found

    async def reason(self, user_id: str = "ada") -> tuple[Reason, str | None]:
        """And the Due code that it would have, were it not held."""
        told = await self.why(user_id)
        assert told["userId"] == user_id
        assert told["message"].endswith(".") or told["reason"] == Reason.STORE_NOT_READY
        return Reason(told["reason"]), told["heldFrom"]


@pytest.fixture
async def played(both: Place) -> AsyncIterator[Played]:
    bench = Bench(both.client, both.namespace)
    body = await bench.edit(spec={**ROUND_THE_CLOCK, "thresholds": {"stale": "1h"}})
    bench.policy = PolicyRef(both.namespace, NAME, body["metadata"]["uid"])
    operator = bench.operator()
    yield Played(both, bench, operator, both.caller("manager"))
    await operator.turns.stopped()


def test_no_reason_code_is_left_out() -> None:
    tests = Path(__file__).read_text()
    assert [reason for reason in Reason if f"Reason.{reason.name}" not in tests] == []


async def test_in_flight_with_when_it_is_due_next_and_then_not_due_until_then(played: Played) -> None:
    await played.register("ada")
    await played.turn()
    assert await played.reason() == (Reason.IN_FLIGHT, None)
    next_due = (await played.why())["dueAt"]
    await played.sync()
    assert await played.reason() == (Reason.NOT_DUE, None)
    told = await played.why()
    assert told["dueAt"] == told["until"] == next_due
    assert "m" in told["message"]


async def test_policy_disabled(played: Played) -> None:
    await played.register("ada")
    await played.turn()
    await played.bench.edit(spec={"enabled": False})
    assert await played.reason() == (Reason.POLICY_DISABLED, None)


async def test_store_not_ready_as_the_operator_finds_it(played: Played, redis: Server) -> None:
    await played.register("ada")
    await played.sync()
    policy = await played.place.client.get(SYNC_POLICIES, played.place.namespace, NAME)
    if "redis" in policy["spec"]["store"]:
        keys = Keys(policy["spec"]["store"]["redis"]["keyPrefix"])
        await redis.command("HSET", keys.meta, "owner", "elsewhere/shop/others")
        told = "belong to SyncPolicy shop/others"
    else:
        await played.place.client.delete(CONFIG_MAPS, played.place.namespace, STORE)
        told = f"ConfigMap {played.place.namespace}/{STORE}, the store of this policy, does not exist"
    await played.turn()
    assert await played.reason() == (Reason.STORE_NOT_READY, None)
    assert told in (await played.why())["message"]


async def test_due_requested_by_the_api(played: Played) -> None:
    await played.register("ada")
    await played.sync()
    assert (await played.call("POST", "users/ada/sync")).status == 202
    assert await played.reason() == (Reason.DUE_REQUESTED, None)
    await played.sync()
    assert await played.reason() == (Reason.NOT_DUE, None)


@pytest.mark.parametrize(("users", "reason"), [("ada,bob", Reason.DUE_REQUESTED), ("all", Reason.DUE_BULK)])
async def test_due_requested_and_due_bulk_by_annotation_held_and_not(
    played: Played, users: str, reason: Reason
) -> None:
    await played.register("ada", "bob")
    await played.sync()
    await played.bench.edit(spec=ONE_AT_A_TIME)
    await played.ask(users)
    await played.turn()
    states = {user_id: await played.reason(user_id) for user_id in ("ada", "bob")}
    assert sorted(states.values()) == [(Reason.IN_FLIGHT, None), (Reason.WAITING_FOR_CAPACITY, reason)]
    [waiting] = [user_id for user_id, state in states.items() if state[0] is Reason.WAITING_FOR_CAPACITY]
    await played.bench.edit(spec={"jobs": {"maxConcurrentBatches": 2}})  # and no turn since
    assert await played.reason(waiting) == (reason, None)


async def test_inactive(played: Played) -> None:
    await played.register("ada", ago=2 * DAY)
    await played.turn()
    assert await played.reason() == (Reason.INACTIVE, None)


async def test_backing_off_until_it_is_tried_again(played: Played) -> None:
    await played.register("ada", "bob")
    await played.fail(naming("ada"))
    assert await played.reason() == (Reason.BACKING_OFF, None)
    assert await played.reason("bob") == (Reason.NOT_DUE, None)
    until = datetime.fromisoformat((await played.why())["until"]).timestamp() * 1000
    assert 0 < until - now() <= 30 * SECOND


async def test_due_stale_for_one_never_synced_and_for_one_synced_too_long_ago(played: Played) -> None:
    await played.register("ada", ago=3 * HOUR)
    await played.sync(ago=3 * HOUR)
    await played.register("bob")
    assert await played.reason("ada") == await played.reason("bob") == (Reason.DUE_STALE, None)
    since = datetime.fromisoformat((await played.why("ada"))["dueAt"]).timestamp() * 1000
    assert abs(now() - 3 * HOUR + 10 * MINUTE - since) < MINUTE


async def test_due_regular(played: Played) -> None:
    await played.register("ada", ago=11 * MINUTE)
    await played.sync(ago=11 * MINUTE)
    assert await played.reason() == (Reason.DUE_REGULAR, None)
    assert (await played.why())["priority"] == "medium"


async def test_worker_failing_until_the_next_probe(played: Played) -> None:
    users = ("ada", "bob", "eve")
    await played.register(*users)
    await played.bench.edit(spec={"batchSize": 1, "jobs": {"maxConcurrentBatches": 3}})
    await played.fail(naming(*users))
    await played.register("dan")
    assert await played.reason("dan") == (Reason.WORKER_FAILING, Reason.DUE_STALE)
    assert await played.reason("ada") == (Reason.BACKING_OFF, None)


async def test_rate_limited_until_the_minute_is_over(played: Played) -> None:
    await played.register("ada", "bob")
    await played.bench.edit(spec={"jobs": {"usersPerMinute": 1}})
    await played.turn()
    states = {await played.reason("ada"), await played.reason("bob")}
    assert states == {(Reason.IN_FLIGHT, None), (Reason.RATE_LIMITED, Reason.DUE_STALE)}
    [until] = [told["until"] for told in (await played.why("ada"), await played.why("bob")) if told["heldFrom"]]
    assert 0 < datetime.fromisoformat(until).timestamp() * 1000 - now() <= MINUTE


async def test_waiting_for_capacity_with_what_it_is_due_for(played: Played) -> None:
    await played.register("ada", "bob", ago=11 * MINUTE)
    await played.sync(ago=11 * MINUTE)
    await played.bench.edit(spec=ONE_AT_A_TIME)
    await played.turn()
    states = {await played.reason("ada"), await played.reason("bob")}
    assert states == {(Reason.IN_FLIGHT, None), (Reason.WAITING_FOR_CAPACITY, Reason.DUE_REGULAR)}
