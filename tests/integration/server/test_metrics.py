"""What the HTTP API counts of itself, and where that can be read."""

import asyncio
import secrets
from pathlib import Path

import aiohttp
import pytest

from events_support import reading, refused
from operator_process import free_port
from redis_support import Server
from scraping import Scrape
from server_support import ServerProcess, serving
from store_contract import outcome
from turns_support import until
from wire import wired

from .conftest import Place, on_redis
from .test_events import operator_of
from .test_users import WALLET

USER = "/v1/namespaces/{namespace}/policies/{policy}/users/{user_id}"
NAME = "periodic_sync_api"


async def scrape(port: int) -> Scrape:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as got:
        assert got.status == 200
        assert got.headers["content-type"].startswith("text/plain; version=")
        return Scrape(await got.text())


async def busy(place: Place, server: ServerProcess, user: str) -> None:
    """Some of everything."""
    call = place.caller("manager", on=server)
    assert (await call("PUT", f"users/{user}", {"wallet": WALLET})).status == 204
    posts = await asyncio.gather(*(call("POST", f"users/{user}/activity") for _ in range(20)))
    assert {reply.status for reply in posts} == {204}
    assert (await call("POST", "users/nobody/activity")).status == 404
    assert (await call("GET", f"/no/such/{user}")).status == 404
    assert (await place.caller("", on=server)("GET", "users")).status == 401
    assert (await place.caller("nobody", on=server)("GET", "users")).status == 403
    assert (await server.caller("nonsense", place.path)("GET", "users")).status == 401


@pytest.mark.parametrize("store", ["configmap", "redis"])
async def test_requests_refusals_reviews_and_the_store_are_counted_and_nobody_is_named(
    place: Place, account: Path, redis: Server, tmp_path: Path, store: str
) -> None:
    if store == "redis":
        await redis.command("FLUSHALL")
        await on_redis(place, redis)
    port, user = free_port(), f"user-{secrets.token_hex(4)}"
    async with serving(account, tmp_path / "log", "--metrics-port", str(port)) as server:
        await busy(place, server, user)
        told = await scrape(port)
    assert told.value(f"{NAME}_requests_total", route=f"{USER}/activity", method="POST", status="204") == 20
    assert told.value(f"{NAME}_requests_total", route=f"{USER}/activity", status="404") == 1
    assert told.value(f"{NAME}_requests_total", route=USER, method="PUT", status="204") == 1
    assert told.value(f"{NAME}_requests_total", route="none", status="404") == 1
    assert told.value(f"{NAME}_request_duration_seconds_count", route=f"{USER}/activity") == 21
    assert told.nonzero(f"{NAME}_refused_requests_total", "reason") == {
        "NoToken": 1,
        "Forbidden": 1,
        "TokenNotAccepted": 1,
    }
    asked = told.nonzero(f"{NAME}_review_duration_seconds_count", "kind", answered="yes")
    assert asked == {"token": 3, "access": 3}
    known = told.nonzero(f"{NAME}_reviews_known_total", "kind")
    assert known == {"token": 21, "access": 20}
    assert told.value(f"{NAME}_store_operation_duration_seconds_count", store=store, operation="activity") == 21
    assert told.value(f"{NAME}_open_stores") == 1
    assert told.value(f"{NAME}_requests_in_flight") == 0
    assert told.value(f"{NAME}_connections") is not None
    assert told.value("process_resident_memory_bytes")
    changes = told.value(f"{NAME}_changes_per_write_sum", store=store)
    writes = told.value(f"{NAME}_changes_per_write_count", store=store)
    assert changes is not None
    assert writes is not None
    assert 0 < writes <= changes
    for secret in (user, WALLET, place.namespace, *place.tokens.values()):
        assert secret not in told.text


async def test_a_kubernetes_that_gives_no_answer_is_counted_as_such(
    place: Place, account: Path, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        wired(account, tmp_path) as (wire, through),
        serving(through, tmp_path / "log", "--metrics-port", str(port)) as server,
    ):
        wire.hang_up()
        assert (await place.caller("writer", on=server)("POST", "users/ada/activity")).status == 503
        told = await scrape(port)
        assert told.value(f"{NAME}_review_duration_seconds_count", kind="token", answered="no") == 1
        assert told.value(f"{NAME}_requests_total", status="503") == 1


async def test_readers_of_events_are_counted_and_nobody_is_named(place: Place, account: Path, tmp_path: Path) -> None:
    operator, _ = await operator_of(place)
    port, user, watcher = free_port(), f"user-{secrets.token_hex(4)}", place.tokens["watcher"]
    async with serving(account, tmp_path / "log", "--metrics-port", str(port)) as server:
        assert await refused(server.base, place.path, place.tokens["nobody"]) == (403, "Forbidden")
        async with (
            reading(server.base, place.path, watcher) as one,
            reading(server.base, place.path, watcher, after="k0") as other,
        ):
            assert [event["type"] for event in await other.next(1)] == ["gap"]
            await operator.change(generation=1, enabled=True)
            await operator.apply([outcome(user)])
            await asyncio.gather(one.next(2), other.next(2))
            read = await scrape(port)
            await other.connection.send("hello")
            assert (await other.until_closed())[0] == 1003

        async def has_ended() -> bool:
            return (await scrape(port)).value(f"{NAME}_event_readers") == 0

        await until(has_ended)
        ended = await scrape(port)
    assert read.value(f"{NAME}_event_readers") == 2
    assert read.value(f"{NAME}_event_hubs") == 1
    assert read.nonzero(f"{NAME}_events_total", "type") == {"policy.changed": 1, "user.synced": 1}
    assert read.value(f"{NAME}_event_messages_total") == 7
    assert read.value(f"{NAME}_event_catch_ups_total") == 1
    assert read.nonzero(f"{NAME}_event_readers_ended_total", "code") == {"403": 1}
    assert ended.nonzero(f"{NAME}_event_readers_ended_total", "code") == {"403": 1, "1003": 1, "gone": 1}
    for secret in (user, place.namespace, watcher):
        assert secret not in read.text + ended.text


async def test_the_port_for_scrapes_has_nothing_else_and_is_not_there_by_itself(
    place: Place, account: Path, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        serving(account, tmp_path / "log", "--metrics-port", str(port)),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{place.path}/users") as got,
    ):
        assert got.status == 404
    assert (await place.caller("")("GET", "/metrics")).code == "NoToken"
