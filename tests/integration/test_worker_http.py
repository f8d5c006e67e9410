"""The worker against a real HTTP server. Its clock is the test's, so that no test waits and none depends on speed."""

import asyncio
import json
from collections.abc import AsyncIterator
from email.utils import formatdate

import pytest
from aiohttp import web

from periodic_sync.worker.backoff import TimeLimit
from periodic_sync.worker.batch import Batch, User
from periodic_sync.worker.log import Log
from periodic_sync.worker.main import open_session
from periodic_sync.worker.results import Failure
from periodic_sync.worker.run import Run
from periodic_sync.worker.settings import HttpSettings, Settings
from worker_support import Answer, Bench, Time, hang, hang_up, running_service, status


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    time = Time()
    async with running_service(lambda: time.now) as service:
        yield Bench(service, time)


async def test_every_user_is_called_once_with_the_default_body(bench: Bench) -> None:
    assert await bench.sync("u1", "u@2", token="s3cret", concurrency=1) == {}
    first, second = bench.service.calls
    assert (first.user, second.user) == ("u1", "u@2")
    assert first.method == "POST"
    assert first.body == {"userId": "u1", "wallet": "0xWALLET", "priority": "high", "tokens": []}
    assert first.headers["Authorization"] == "Bearer s3cret"
    assert first.headers["Content-Type"] == "application/json"


async def test_headers_of_the_policy_replace_the_defaults_and_may_repeat(bench: Bench) -> None:
    headers = [{"name": "content-type", "value": "text/x"}, {"name": "X-Team", "value": "wallets"}]
    assert await bench.sync("u1", headers=headers) == {}
    sent = bench.service.calls[0].headers
    assert (sent["Content-Type"], sent["X-Team"]) == ("text/x", "wallets")


async def test_the_url_arrives_as_it_was_encoded(bench: Bench) -> None:
    bench.service.url += "?w={wallet}"
    assert await bench.sync("u@1:x", wallet="a/b+c %2F~é") == {}
    assert bench.service.calls[0].path == "/users/u%401%3Ax/sync?w=a%2Fb%2Bc%20%252F~%C3%A9"


async def test_a_get_has_no_body(bench: Bench) -> None:
    assert await bench.sync("u1", method="GET") == {}
    assert (bench.service.calls[0].body, bench.service.calls[0].headers.get("Content-Type")) == (None, None)


@pytest.mark.parametrize(
    ("answers", "calls", "reason"),
    [
        ([204], 1, None),
        ([500, 502, 200], 3, None),
        ([408, 425, 429], 3, "HTTP 429 Too Many Requests"),
        ([503, 503, 503, 200], 3, "HTTP 503 Service Unavailable"),
        ([404], 1, "HTTP 404 Not Found"),
        ([410], 1, "HTTP 410 Gone"),
        ([500, 422], 2, "HTTP 422 Unprocessable"),
        ([hang_up, 200], 2, None),
        ([hang_up, hang_up, hang_up], 3, "the service closed the connection"),
        ([status(302, Location="/users/elsewhere/sync")], 1, "HTTP 302: redirects are not followed"),
    ],
)
async def test_what_is_tried_again_and_what_is_not(
    bench: Bench, answers: list[Answer | int], calls: int, reason: str | None
) -> None:
    bench.service.script("u1", *answers)
    failed = await bench.sync("u1", "u2", attempts=3, concurrency=1)
    assert failed.get("u1", "").startswith(reason or "")
    assert set(failed) == ({"u1"} if reason else set())
    assert bench.service.users == ["u1"] * calls + ["u2"]


async def test_attempts_are_spaced_by_exponential_back_off_with_jitter(bench: Bench) -> None:
    bench.service.script("u1", 500, 500, 500)
    assert await bench.sync("u1", attempts=4) == {}
    assert bench.time.sleeps == [0.25, 0.5, 1.0]  # half of 0.5, 1 and 2 s, as the test's dice say 0.5


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("header", ["7", formatdate(107, usegmt=True)], ids=["seconds", "date"])
async def test_retry_after_holds_back_this_user_and_all_others(bench: Bench, code: int, header: str) -> None:
    bench.service.script("u1", status(code, Retry_After=header))
    assert list(await bench.sync("u1", "u2", attempts=1, concurrency=1)) == ["u1"]
    assert [(call.user, call.at) for call in bench.service.calls] == [("u1", 100.0), ("u2", 107.0)]


async def test_the_user_itself_comes_back_after_retry_after_and_some_jitter(bench: Bench) -> None:
    bench.service.script("u1", status(429, Retry_After="7"))
    assert await bench.sync("u1", concurrency=1) == {}
    assert [call.at for call in bench.service.calls] == [100.0, 107.25]


async def test_retry_after_of_a_500_is_about_that_user_alone(bench: Bench) -> None:
    bench.service.script("u1", status(500, Retry_After="7"))
    assert list(await bench.sync("u1", "u2", attempts=1, concurrency=1)) == ["u1"]
    assert [call.at for call in bench.service.calls] == [100.0, 100.0]


async def test_a_pause_beyond_the_deadline_fails_all_at_once_instead_of_waiting(bench: Bench) -> None:
    bench.service.script("u1", status(429, Retry_After="3600"))
    failed = await bench.sync("u1", "u2", "u3", concurrency=1, limit=TimeLimit(690, 700))
    assert failed == {
        "u1": "HTTP 429 Too Many Requests",
        "u2": "not called: the service asked for a pause of 3600s",
        "u3": "not called: the service asked for a pause of 3600s",
    }
    assert bench.service.users == ["u1"]


async def test_the_pace_covers_further_attempts_too(bench: Bench) -> None:
    bench.service.script("u1", 500, 500)
    assert await bench.sync("u1", "u2", concurrency=1, requestsPerSecond=0.5) == {}
    assert [(call.user, call.at) for call in bench.service.calls] == [
        ("u1", 100.0),
        ("u1", 102.0),
        ("u1", 104.0),
        ("u2", 106.0),
    ]


async def test_as_many_calls_run_at_once_as_concurrency_says(bench: Bench) -> None:
    running = most = 0
    full = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        await full.wait()
        running -= 1
        return web.Response()

    ids = [f"u{number}" for number in range(12)]
    for id in ids:
        bench.service.script(id, answer)
    assert await bench.sync(*ids, concurrency=3) == {}
    assert most == 3
    assert sorted(bench.service.users) == sorted(ids)


async def test_a_call_that_takes_too_long_is_a_failure(bench: Bench) -> None:
    bench.service.script("u1", hang, hang)
    assert await bench.sync("u1", timeout="50ms", attempts=2) == {"u1": "timeout after 0.05s"}


async def test_an_answer_that_never_ends_is_a_failure(bench: Bench) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        return await hang(request)

    bench.service.script("u1", half)
    assert await bench.sync("u1", timeout="50ms", attempts=1) == {"u1": "timeout after 0.05s"}


async def test_a_large_answer_is_not_read_to_its_end(bench: Bench) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    bench.service.script("u1", endless)
    assert await bench.sync("u1") == {}


async def test_nobody_listening_is_a_failure_without_an_address_in_it(bench: Bench, unused_tcp_port: int) -> None:
    bench.service.url = f"http://127.0.0.1:{unused_tcp_port}/users/{{userId}}/sync"
    assert await bench.sync("u1", attempts=2) == {"u1": "no connection: Connection refused"}
    assert len(bench.time.sleeps) == 1


async def test_one_user_who_cannot_be_rendered_does_not_stop_the_rest(bench: Bench) -> None:
    failed = await bench.sync("..", "u2")
    assert failed == {"..": "user id or wallet is only dots, which a URL path can't carry"}
    assert bench.service.users == ["u2"]


async def test_cookies_of_one_user_are_not_sent_for_the_next(bench: Bench) -> None:
    bench.service.script("u1", status(200, Set_Cookie="session=u1; Path=/"))
    bench.service.url = bench.service.url.replace("127.0.0.1", "localhost")  # cookies of bare addresses are never kept
    assert await bench.sync("u1", "u2", concurrency=1) == {}
    assert "Cookie" not in bench.service.calls[1].headers


async def test_log_lines_name_the_user_and_never_the_wallet(bench: Bench) -> None:
    for id in ("u1", "0xwallet"):
        bench.service.script(id, 404)
    bench.service.url += "?wallet={wallet}"
    await bench.sync("u1", "0xwallet", concurrency=1)
    assert "0xwallet" not in bench.log.getvalue().lower()
    lines = [json.loads(line) for line in bench.log.getvalue().splitlines()]
    assert [(line["user"], line["reason"], line["attempts"]) for line in lines] == [
        ("u1", "HTTP 404 Not Found", 1),
        ("users[1]", "HTTP 404 Not Found", 1),
    ]
    assert all(line["batch"] == "b1" and line["time"] == "1970-01-01T00:01:40.000Z" for line in lines)


async def test_failures_know_whether_they_may_be_named(bench: Bench) -> None:
    bench.service.script("0xwallet", 404)
    users = (User(id="0xwallet", wallet="0xWALLET"),)
    settings = Settings(HttpSettings(url=bench.service.url))
    async with open_session(settings) as session:
        run = Run(
            Batch(version=1, users=users),
            settings.http,
            session,
            limit=TimeLimit(),
            clock=bench.clock,
            stop=bench.stop,
            log=Log(bench.clock.wall, bench.log),
        )
        assert await run.sync() == {0: Failure(None, "HTTP 404 Not Found")}
