"""How a run of the worker ends early, at its deadline or at a signal, against a real HTTP server."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from periodic_sync.worker.backoff import TimeLimit
from periodic_sync.worker.pace import Clock, Stop
from worker_support import Bench, Time, hang, running_service


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    time = Time()
    async with running_service(lambda: time.now) as service:
        yield Bench(service, time)


async def test_at_the_cutoff_the_rest_fail_as_deadline(bench: Bench) -> None:
    async def slow(_: web.Request) -> web.StreamResponse:
        bench.time.now += 60
        return web.Response()

    bench.service.script("u1", slow)
    failed = await bench.sync("u1", "u2", "u3", concurrency=1, limit=TimeLimit(150, 200))
    assert failed == {"u2": "deadline", "u3": "deadline"}
    assert bench.service.users == ["u1"]


async def test_no_attempt_is_waited_for_that_would_come_after_the_cutoff(bench: Bench) -> None:
    bench.service.script("u1", 500)
    assert await bench.sync("u1", limit=TimeLimit(100.2, 200)) == {"u1": "HTTP 500 Internal Server Error"}
    assert bench.time.sleeps == []


async def test_a_call_that_the_deadline_cuts_short_fails_as_deadline(bench: Bench) -> None:
    bench.service.script("u1", hang)
    async with asyncio.timeout(60):
        assert await bench.sync("u1", limit=TimeLimit(100.01, 100.05), timeout="10m") == {"u1": "deadline"}


async def test_after_a_stop_running_calls_finish_and_the_rest_are_interrupted(bench: Bench) -> None:
    async def stopped_meanwhile(_: web.Request) -> web.StreamResponse:
        bench.stop.request()
        return web.Response()

    bench.service.script("u1", stopped_meanwhile)
    assert await bench.sync("u1", "u2", concurrency=1) == {"u2": "interrupted"}
    assert bench.service.users == ["u1"]


async def test_after_a_stop_hanging_calls_are_cancelled_in_the_end(bench: Bench) -> None:
    async def stopped_for_ever(request: web.Request) -> web.StreamResponse:
        bench.stop.request()
        return await hang(request)

    bench.service.script("u1", stopped_for_ever)
    assert await bench.sync("u1", "u2", concurrency=1, drain_seconds=0) == {"u1": "interrupted", "u2": "interrupted"}


async def test_a_stop_ends_a_back_off_with_the_reason_known_so_far(bench: Bench) -> None:
    async def sleep(_: float) -> None:
        bench.stop.request()
        await asyncio.Event().wait()

    bench.clock = Clock(lambda: 100.0, lambda: 100.0, sleep)
    bench.stop = Stop(bench.clock)
    bench.service.script("u1", 500)
    assert await bench.sync("u1") == {"u1": "HTTP 500 Internal Server Error"}
    assert bench.service.users == ["u1"]
