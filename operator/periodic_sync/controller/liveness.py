"""Is scheduling still progressing? What the liveness probe asks, and what restarts the operator when it is not. The
metrics are served beside it."""

import asyncio
import time

from aiohttp import web

from periodic_sync.controller.election import Elector
from periodic_sync.controller.policies import Policies
from periodic_sync.telemetry.registry import Expose

LONGEST_TURN_SECONDS = 900.0
"""A turn has many requests of at most 10 s each, thousands of Jobs 16 at a time; one that takes this long hangs."""

LONGEST_REST_SECONDS = 120.0
"""Turns follow each other within seconds, also while the API server is away."""


def stuck(policies: Policies, elector: Elector | None, *, now: float) -> list[str]:
    """A sentence for each loop that no longer progresses. `now`: monotonic seconds.

    An API server that can't be reached is no reason: restarting the operator would not bring it back. Nor is standing
    by, which is all that a second operator does.
    """
    found = []
    for loop in policies.loops:
        if loop.turn_began is not None:
            if now - loop.turn_began > LONGEST_TURN_SECONDS:
                found.append(f"{loop.name}: a turn has been running for {now - loop.turn_began:.0f} s")
        elif now - loop.last_ended > LONGEST_REST_SECONDS:
            found.append(f"{loop.name}: no turn for {now - loop.last_ended:.0f} s")
    if elector is not None and now - elector.last_try > LONGEST_REST_SECONDS:
        found.append(f"election: no try for {now - elector.last_try:.0f} s")
    return found


async def serve(
    policies: Policies, elector: Elector | None, *, host: str, port: int, expose: Expose | None = None
) -> web.AppRunner:
    """Answer until the runner is cleaned up: `GET /healthz` with 200 `ok`, or 500 with what is stuck; `GET /metrics`
    with what `expose` says."""

    async def healthz(_: web.Request) -> web.Response:
        found = stuck(policies, elector, now=time.monotonic())
        return web.Response(status=500 if found else 200, text="\n".join(found or ["ok"]) + "\n")

    async def metrics(request: web.Request) -> web.Response:
        assert expose is not None
        # In a thread, since with many policies the text takes longer to write than a turn may be held up.
        text, content_type = await asyncio.to_thread(expose, request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    if expose is not None:
        app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
