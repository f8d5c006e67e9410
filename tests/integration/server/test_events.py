"""Live events: the server as a process, a real API server, a real Redis, and readers over WebSocket."""

import asyncio
import base64
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from events_support import Operator, names, reading, refused, without_ids
from periodic_sync.api.names import Priority
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.outcomes import Ending
from periodic_sync.core.users import UserRecord
from periodic_sync.kube.resources import SYNC_POLICIES
from periodic_sync.server.events.entering import SUBPROTOCOL, TOKEN_SUBPROTOCOL
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.records import RedisRecords
from periodic_sync.stores.redis.store import RedisStore
from periodic_sync.stores.redis.urls import parse_url
from redis_support import Server, redis_server
from server_support import ServerProcess, serving
from store_contract import NOW, WALLET, outcome
from turns_support import until
from wire import wired

from .conftest import POLICY, Place, on_redis

PATIENCE = 90
CLAIMED = "2026-01-31T09:30:00.000Z"


async def operator_of(place: Place, redis: Server | None = None) -> tuple[Operator, Connection | None]:
    body = await place.client.get(SYNC_POLICIES, place.namespace, POLICY)
    policy = PolicyRef(place.namespace, POLICY, SyncPolicy.parse(body).uid)
    if redis is None:
        return Operator(place.client, policy), None

    async def who() -> str:
        return f"/{place.namespace}/{POLICY}"

    connection = Connection(parse_url(redis.url))
    users = [UserRecord(f"u{number}", WALLET, NOW) for number in range(20)]
    await RedisRecords(connection, prefix="p:").register(users)
    return Operator(place.client, policy, RedisStore(connection, prefix="p:", owner=who)), connection


@pytest.fixture
async def operator(both: Place, redis: Server) -> AsyncIterator[Operator]:
    body = await both.client.get(SYNC_POLICIES, both.namespace, POLICY)
    is_redis = body["spec"]["store"].get("redis") is not None
    made, connection = await operator_of(both, redis if is_redis else None)
    yield made
    if connection is not None:
        await connection.close()


async def work(operator: Operator) -> int:
    """A little of everything. Returns: how many events that is."""
    await operator.change(generation=1, enabled=True)
    await operator.claim("job", NOW, Priority.HIGH, Priority.LOW)
    await operator.apply([outcome("u1"), outcome("u2", Ending.FAILED), outcome("u3", Ending.RETURNED)])
    await operator.change(jobs=())
    await operator.apply([outcome("u2", claim=NOW + 1)])
    return 6


TOLD = [
    {"type": "policy.changed", "generation": 1, "enabled": True},
    {"type": "batch.scheduled", "job": "job", "batch": "job-0", "index": 0, "priority": "high", "at": CLAIMED},
    {"type": "batch.scheduled", "job": "job", "batch": "job-1", "index": 1, "priority": "low", "at": CLAIMED},
    {"type": "user.synced", "user": "u1", "at": CLAIMED, "claim": NOW},
    {"type": "user.failed", "user": "u2", "failures": 1, "unexplained": 0, "retryAt": "2026-01-31T09:30:31.000Z"},
    {"type": "user.synced", "user": "u2", "at": "2026-01-31T09:30:00.001Z", "claim": NOW + 1},
]


async def test_readers_are_told_what_happens(both: Place, operator: Operator) -> None:
    token = both.tokens["watcher"]
    async with reading(both.server.base, both.path, token) as one:
        count = await work(operator)
        told = without_ids(await one.next(count))
    assert sorted(told, key=str) == sorted(TOLD, key=str)
    batches, users = ([it for it in told if it["type"].startswith(kind)] for kind in ("batch", "user"))
    assert batches == TOLD[1:3]
    assert users == TOLD[3:]


async def test_every_id_leads_on_from_its_event_on_any_replica(
    both: Place, operator: Operator, account: Path, tmp_path: Path
) -> None:
    token = both.tokens["watcher"]
    async with serving(account, tmp_path / "log") as other:
        async with reading(both.server.base, both.path, token) as one, reading(other.base, both.path, token) as two:
            begin = one.bookmarks[0]["id"]
            count = await work(operator)
            seen, there = await one.next(count), await two.next(count)
        assert sorted(names(seen)) == sorted(names(there))
        assert sorted(zip(names(seen), map(str, without_ids(seen)), strict=True)) == sorted(
            zip(names(there), map(str, without_ids(there)), strict=True)
        )
    async with serving(account, tmp_path / "log-of-another") as new:
        for number, after in enumerate([begin, *(event["id"] for event in seen)]):
            for base in (both.server.base, new.base):
                async with reading(base, both.path, token, after=after) as again:
                    rest = await again.next(count - number)
                    assert sorted(names(rest)) == sorted(names(seen[number:])), after
        async with (
            reading(both.server.base, both.path, token, after=seen[-1]["id"]) as one,
            reading(new.base, both.path, token, after=begin) as two,
        ):
            await two.next(count)
            await operator.apply([outcome("u9", claim=NOW + 10)])
            [event] = await one.next(1)
            assert event["user"] == "u9"
            assert names(await two.next(1)) == names([event])


async def test_a_token_may_come_as_browsers_send_it(place: Place) -> None:
    for role, padded in (("watcher", False), ("reader", False), ("manager", True)):
        encoded = base64.urlsafe_b64encode(place.tokens[role].encode()).decode().rstrip("" if padded else "=")
        offered = [SUBPROTOCOL, TOKEN_SUBPROTOCOL + encoded]
        if "=" in encoded:
            continue  # no subprotocol's name may have that
        async with reading(place.server.base, place.path, "", subprotocols=offered) as reader:
            assert reader.connection.subprotocol == SUBPROTOCOL
    encoded = base64.urlsafe_b64encode(place.tokens["watcher"].encode()).decode().rstrip("=")
    alone = [TOKEN_SUBPROTOCOL + encoded]
    assert await refused(place.server.base, place.path, "", subprotocols=alone) == (400, "NoSubprotocol")
    nobody = base64.urlsafe_b64encode(b"nobody").decode().rstrip("=")
    for text in (nobody, "!", "a"):
        offered = [SUBPROTOCOL, TOKEN_SUBPROTOCOL + text]
        assert await refused(place.server.base, place.path, "", subprotocols=offered) == (401, "TokenNotAccepted")
    assert not any(token in place.server.log.read_text() for token in (encoded, place.tokens["watcher"]))


async def test_whoever_may_not_read_is_told_why_as_on_any_route(place: Place) -> None:
    base, watcher = place.server.base, place.tokens["watcher"]
    other = await place.token("watcher", "https://kubernetes.default.svc")
    for token, code in (("", "NoToken"), ("nonsense", "TokenNotAccepted"), (other, "TokenNotAccepted")):
        assert await refused(base, place.path, token) == (401, code)
    for role in ("nobody", "writer"):
        assert await refused(base, place.path, place.tokens[role]) == (403, "Forbidden")
    assert await refused(base, "/v1/namespaces/default/policies/portfolios", watcher) == (403, "Forbidden")
    assert await refused(base, "/v1/namespaces/NONE/policies/portfolios", watcher) == (404, "NoSuchPolicy")
    none = place.path.replace(POLICY, "none")
    assert await refused(base, none, watcher) == (404, "NoSuchPolicy")
    reply = await place.caller("watcher")("GET", "events")
    assert (reply.status, reply.code, reply.headers["upgrade"]) == (426, "UpgradeRequired", "websocket")
    for nonsense in ("1", "k1~k2", "k" * 300):
        with pytest.raises(InvalidStatus) as caught:
            async with reading(base, place.path, watcher, after=nonsense):
                pass
        assert caught.value.response.status_code == 422


async def test_only_the_namespace_that_is_served_has_events(place: Place, account: Path, tmp_path: Path) -> None:
    async with serving(account, tmp_path / "log", "--namespace", "default") as server:
        assert await refused(server.base, place.path, place.tokens["watcher"]) == (404, "NoSuchPolicy")


async def test_readers_are_limited_in_all_and_for_each_account(place: Place, account: Path, tmp_path: Path) -> None:
    options = ("--max-event-readers", "2", "--max-event-readers-per-account", "1")
    async with serving(account, tmp_path / "log", *options) as server:
        async with reading(server.base, place.path, place.tokens["watcher"]):
            assert await refused(server.base, place.path, place.tokens["watcher"]) == (429, "TooManyReaders")
            async with reading(server.base, place.path, place.tokens["reader"]):
                assert await refused(server.base, place.path, place.tokens["manager"]) == (503, "TooManyReaders")

        async def is_free() -> bool:
            try:
                async with reading(server.base, place.path, place.tokens["watcher"]):
                    return True
            except InvalidStatus:
                return False

        await until(is_free)


async def test_whoever_says_something_has_to_go(place: Place) -> None:
    for said, code in (("hello", 1003), (b"hello", 1003), ("x" * 2000, 1009)):
        async with reading(place.server.base, place.path, place.tokens["watcher"]) as reader:
            await (await reader.connection.ping())
            await reader.connection.send(said)
            assert (await reader.until_closed())[0] == code


async def test_the_end_of_the_server_is_told_at_once_also_to_those_who_do_not_listen(
    place: Place, account: Path, tmp_path: Path
) -> None:
    async with (
        serving(account, tmp_path / "log") as server,
        reading(server.base, place.path, place.tokens["watcher"]) as reader,
    ):
        deaf = await deaf_reader(server, place)
        began = time.monotonic()
        assert await server.end() == 0
        assert time.monotonic() - began < 10
        assert (await reader.until_closed())[0] == 1012
        deaf.close()


GAPS = {
    "ConfigMap": (("k0", 1), ("k99999999999", 1), ("r1-0", 1)),
    "Redis": (("k0~r1-0", 2), ("k99999999999~r1-0", 2), ("k99999999999", 2), ("r1-0", 2)),
}
"""Ids that nothing can be had after, and how many gaps that makes."""


async def test_a_reader_who_resumes_from_where_nothing_is_known_is_told_of_gaps_and_reads_on(
    both: Place, operator: Operator
) -> None:
    for number, (after, gaps) in enumerate(GAPS["ConfigMap" if operator.redis is None else "Redis"]):
        async with reading(both.server.base, both.path, both.tokens["watcher"], after=after) as reader:
            await reader.next(gaps - len(reader.seen))  # a source that the id does not name is told of at once
            assert [event["type"] for event in reader.seen] == ["gap"] * gaps, after
            await operator.apply([outcome("u5", claim=NOW + number)])
            [event] = await reader.next(1)
            assert (event["type"], event["claim"]) == ("user.synced", NOW + number)


async def test_a_redis_that_restarts_without_its_data_is_a_gap(place: Place) -> None:
    async with redis_server() as redis:
        await on_redis(place, redis)
        operator, connection = await operator_of(place, redis)
        assert connection is not None
        async with reading(place.server.base, place.path, place.tokens["watcher"]) as reader:
            await operator.apply([outcome("u1")])
            assert [event["type"] for event in await reader.next(1)] == ["user.synced"]
            redis.kill()
            await redis.start()
            assert [event["type"] for event in await reader.next(1)] == ["gap"]
            await RedisRecords(connection, prefix="p:").register([UserRecord("u1", WALLET, NOW)])
            await operator.apply([outcome("u1", claim=NOW + 1)])
            [event] = await reader.next(1)
            assert (event["type"], event["claim"]) == ("user.synced", NOW + 1)
        await connection.close()


async def test_what_happens_while_the_api_server_is_away_is_told_when_it_is_back(
    place: Place, account: Path, tmp_path: Path
) -> None:
    operator, _ = await operator_of(place)
    async with (
        wired(account, tmp_path) as (wire, through),
        serving(through, tmp_path / "log") as server,
        reading(server.base, place.path, place.tokens["watcher"]) as reader,
    ):
        await operator.change(generation=1, enabled=True)
        await reader.next(1)
        wire.hang_up()
        await operator.apply([outcome("u1")])
        await operator.change(generation=2, enabled=False)
        assert await refused(server.base, place.path, place.tokens["reader"]) == (503, "KubernetesUnavailable")
        await wire.listen()
        told = without_ids(await reader.next(2))
        assert [event["type"] for event in told] == ["user.synced", "policy.changed"]


async def test_neither_wallets_nor_tokens_nor_ids_are_in_events_and_log(both: Place, operator: Operator) -> None:
    async with reading(both.server.base, both.path, both.tokens["watcher"]) as reader:
        await both.caller("manager")("PUT", "users/canary-user", {"wallet": "0xCANARYWALLET"})
        await operator.apply([outcome("canary-user")])
        told = str(await reader.next(1))
    log = both.server.log.read_text()
    assert "canary-user" in told
    assert "0xCANARYWALLET" not in told + log
    assert "canary-user" not in log
    assert both.tokens["watcher"] not in log


async def deaf_reader(server: ServerProcess, place: Place) -> socket.socket:
    """A connection that upgrades and then reads nothing any more."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", server.port))
    lines = (
        f"GET {place.path}/events HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + base64.b64encode(b"0123456789abcdef").decode(),
        f"Authorization: Bearer {place.tokens['watcher']}",
    )
    await loop.sock_sendall(raw, ("\r\n".join(lines) + "\r\n\r\n").encode())
    assert (await loop.sock_recv(raw, 12)).endswith(b" 101")
    return raw


async def test_a_reader_who_reads_nothing_is_dropped_and_the_others_get_everything(place: Place) -> None:
    operator, _ = await operator_of(place)
    await operator.change(generation=1, enabled=True)
    users, claim = [f"a-user-with-a-long-id-{number:078}" for number in range(4_000)], NOW
    dropped = '"status": "4408"'
    before = place.server.log.read_text().count(dropped)

    def is_dropped() -> bool:
        return place.server.log.read_text().count(dropped) > before

    async with reading(place.server.base, place.path, place.tokens["watcher"]) as reader:
        deaf = await deaf_reader(place.server, place)
        async with asyncio.timeout(PATIENCE):
            while not is_dropped():  # what the kernel keeps for a peer that reads nothing differs
                claim += 1
                await operator.apply([outcome(user, claim=claim) for user in users])
                told = await reader.next(len(users))
                assert {event["claim"] for event in told} == {claim}
                assert {event["user"] for event in told} == set(users)
    deaf.close()
