"""Metrics on a port of their own, in plain HTTP and open to whoever reaches it, as the operator's are."""

from aiohttp import web

from periodic_sync.telemetry.registry import Expose


async def serve(expose: Expose, *, host: str, port: int) -> web.AppRunner:
    """Answer `GET /metrics` until the runner is cleaned up."""

    async def metrics(request: web.Request) -> web.Response:
        text, content_type = expose(request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
