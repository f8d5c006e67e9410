"""Limits, and outages: nothing is let through, and nothing is acknowledged that is not stored."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from periodic_sync.cli.main import main
from redis_support import make_certificates, redis_server
from server_support import serving
from turns_support import until
from wire import wired

from .conftest import Place, on_redis
from .test_users import WALLET


async def test_an_api_server_that_is_away_lets_nobody_through(place: Place, account: Path, tmp_path: Path) -> None:
    async with wired(account, tmp_path) as (wire, through), serving(through, tmp_path / "log") as server:
        call = place.caller("manager", on=server)
        assert (await call("PUT", "users/ada", {"wallet": WALLET})).status == 204
        wire.hang_up()
        for role in ("writer", "nobody"):  # not asked about before
            reply = await place.caller(role, on=server)("POST", "users/ada/activity")
            assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "KubernetesUnavailable", "5")
        known = await call("PUT", "users/bob", {"wallet": WALLET})
        assert (known.status, known.headers["retry-after"]) == (503, "5")
        assert (await server.caller("")("GET", "/readyz")).status == 200
    assert (await place.caller("manager")("GET", "users/bob")).code == "UnknownUser"


async def test_a_redis_that_is_away_is_told_and_activity_is_not_acknowledged(place: Place) -> None:
    async with redis_server() as redis:
        await on_redis(place, redis)
        call = place.caller("manager")
        assert (await call("PUT", "users/ada", {"wallet": WALLET})).status == 204
        redis.kill()
        for method, path in (("POST", "users/ada/activity"), ("GET", "users/ada"), ("GET", "users")):
            reply = await call(method, path)
            assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "StoreUnavailable", "5")
        why = await call("GET", "users/ada/why")
        assert (why.status, why.json["reason"]) == (200, "StoreNotReady")
        await redis.start()

        async def is_back() -> bool:
            return (await call("PUT", "users/ada", {"wallet": WALLET})).status == 204

        await until(is_back)


async def test_a_secret_that_the_api_may_not_read_is_told_with_what_to_do(place: Place) -> None:
    async with redis_server() as redis:
        await on_redis(place, redis)
        place.kubectl("delete", "rolebinding", "reads")
        reply = await place.caller("manager")("GET", "users")
        assert reply.code == "StoreUnavailable"
        assert f"{place.namespace}/redis may not be read" in reply.json["detail"]


async def test_limits_are_told_as_such(place: Place, account: Path, tmp_path: Path) -> None:
    options = ("--requests-per-second", "0.01", "--max-body-bytes", "1000")
    async with serving(account, tmp_path / "log", *options) as server:
        call = place.caller("manager", on=server)
        large = {"users": [{"id": f"user-{number}"} for number in range(100)]}
        assert (await call("POST", "activity", large)).code == "BodyTooLarge"
        reply = await call("GET", "users")
        assert (reply.status, reply.code) == (429, "TooManyRequests")
        assert 0 < int(reply.headers["retry-after"]) <= 100
        assert (await place.caller("reader", on=server)("GET", "users")).status == 200


async def test_a_body_of_unknown_length_is_cut_off_too(place: Place) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 65536

    call = place.caller("manager")
    headers = {"Authorization": f"Bearer {call.token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(f"{call.base}{place.path}/activity", data=endless(), headers=headers) as answer:
                assert answer.status == 413
        except aiohttp.ClientError:
            pass  # it was closed while it was still being sent


async def test_only_the_namespace_that_is_served_is_there(place: Place, account: Path, tmp_path: Path) -> None:
    async with serving(account, tmp_path / "log", "--namespace", "default") as server:
        call = place.caller("manager", on=server)
        assert (await call("GET", "users")).code == "NoSuchPolicy"
        assert (await call("GET", "/health")).json["schedulerStats"]["totalUsers"] == 0


async def test_it_speaks_tls_and_ends_when_asked(account: Path, tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    options = ("--tls-cert-file", str(made.certificate), "--tls-key-file", str(made.key))
    async with serving(account, tmp_path / "log", *options) as server:
        context = ssl.create_default_context(cafile=str(made.authority))

        async def answers() -> bool:
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.get(f"https://127.0.0.1:{server.port}/readyz", ssl=context) as answer,
                ):
                    return answer.status == 200
            except aiohttp.ClientConnectorError:
                return False

        await until(answers)
        assert await server.end() == 0


async def test_plain_http_is_not_spoken_by_mistake(account: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "--kubeconfig", str(account)]) == 2
    assert "--tls-cert-file" in capsys.readouterr().err
