"""The routes about the server and the policies as a whole. Only those that tell nothing of users are open to all."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from periodic_sync.api.errors import ApiError
from periodic_sync.client.backend import Clock
from periodic_sync.server.figures import Figures
from periodic_sync.server.guard import Guard, policy_of, right
from periodic_sync.server.models import Health, QueueStats
from periodic_sync.server.page import page
from periodic_sync.server.problems import unavailable
from periodic_sync.server.shown import instant
from periodic_sync.server.user_routes import PROBLEMS, bearer
from periodic_sync.telemetry.registry import Expose

WhichPolicy = Annotated[str | None, Query(max_length=320, description="NAMESPACE/NAME; without it all that are served")]
_FEWER: dict[int | str, dict[str, Any]] = {status: PROBLEMS[status] for status in (404, 422, 503)}


class OpenRoutes:
    """reach: asks Kubernetes' API server anything at all; raises ApiError. expose: as `Registered.expose`."""

    def __init__(self, figures: Figures, clock: Clock, reach: Callable[[], Awaitable[object]], expose: Expose) -> None:
        self._figures, self._clock, self._reach, self._expose = figures, clock, reach, expose
        self._has_reached = False

    def router(self) -> APIRouter:
        routes = APIRouter(tags=["open to all"])
        routes.add_api_route("/health", self.health, methods=["GET"], responses=_FEWER)
        for path, answer in (("/livez", self.livez), ("/readyz", self.readyz)):
            routes.add_api_route(path, answer, methods=["GET"], response_class=PlainTextResponse, responses=_FEWER)
        return routes

    def guarded(self, guard: Guard) -> APIRouter:
        routes = APIRouter(
            route_class=guard.route_class(), dependencies=[bearer()], responses=PROBLEMS, tags=["figures"]
        )
        routes.add_api_route(
            "/queue-stats", self.queue_stats, methods=["GET"], openapi_extra=right("list", "syncpolicies")
        )
        routes.add_api_route(
            "/metrics",
            self.metrics,
            methods=["GET"],
            response_class=PlainTextResponse,
            openapi_extra=right("get", "/metrics"),
        )
        return routes

    async def health(self, policy: WhichPolicy = None) -> Health:
        """How the policies are, as the operator last reported: numbers and times, no users."""
        stats = await self._figures.scheduler(None if policy is None else policy_of(policy))
        return Health(status="ok", timestamp=instant(self._clock.now()), scheduler_stats=stats)

    async def queue_stats(self, policy: WhichPolicy = None) -> QueueStats:
        """How many users wait, are in batches, were synced and failed. With `policy` it takes `get` of that one."""
        return await self._figures.queue(None if policy is None else policy_of(policy))

    async def metrics(self, request: Request) -> Response:
        """How this server is, for Prometheus: docs/reference/metrics.md."""
        text, content_type = self._expose(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    async def livez(self) -> PlainTextResponse:
        """Whether the process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(self) -> PlainTextResponse:
        """Whether it has reached Kubernetes' API server since it started.

        It stays ready while that is away later: all replicas would go at once, and callers hear nothing of why.
        """
        if not self._has_reached:
            try:
                await self._reach()
            except ApiError as error:
                raise unavailable("NotReady", f"Kubernetes' API server was not reached yet: {error}") from None
            self._has_reached = True
        return PlainTextResponse("ok\n")


def docs_route(openapi: Callable[[], dict[str, Any]]) -> APIRouter:
    """A page without anything from elsewhere, since clusters may have no way out."""
    routes = APIRouter(include_in_schema=False)

    async def docs() -> HTMLResponse:
        return HTMLResponse(
            page(openapi()), headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        )

    routes.add_api_route("/docs", docs, methods=["GET"])
    return routes
