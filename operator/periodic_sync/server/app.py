"""The application, made of what it is given: nothing here is global."""

from dataclasses import dataclass

from fastapi import FastAPI
from starlette.types import ASGIApp

from periodic_sync import __version__
from periodic_sync.client.backend import Clock
from periodic_sync.inspection.why import Looks
from periodic_sync.server.access import Access, Authenticator, Authorizer
from periodic_sync.server.events.entering import Readers
from periodic_sync.server.events.hubs import Hubs
from periodic_sync.server.events.route import EventRoute
from periodic_sync.server.fast import FastActivity
from periodic_sync.server.figures import Figures, Lists
from periodic_sync.server.guard import Guard
from periodic_sync.server.middleware import AccessLog, Deadline
from periodic_sync.server.open_routes import OpenRoutes, docs_route
from periodic_sync.server.policies import Policies
from periodic_sync.server.problems import add_handlers
from periodic_sync.server.user_routes import PREFIX, USER, UserRoutes
from periodic_sync.server.why import Explainer
from periodic_sync.telemetry.api import ApiMetrics


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, bytes, requests with one token, and readers of events in all and of one account."""

    per_second: float = 1000.0
    burst: float = 2000.0
    body_bytes: int = 256 * 1024
    body_seconds: float = 10.0
    request_seconds: float = 30.0
    readers: int = 500
    readers_of_one: int = 50


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application needs of the world. namespace: the only one served; None: all."""

    policies: Policies
    looks: Looks
    lists: Lists
    authenticator: Authenticator
    authorizer: Authorizer
    clock: Clock
    telemetry: ApiMetrics
    hubs: Hubs
    namespace: str | None = None
    limits: Limits = Limits()


def create_app(parts: Parts) -> ASGIApp:
    """Nothing is asked of anybody yet."""
    limits, clock = parts.limits, parts.clock
    access = Access(
        parts.authenticator,
        parts.authorizer,
        clock.monotonic,
        parts.telemetry,
        per_second=limits.per_second,
        burst=limits.burst,
    )
    guard = Guard(access, namespace=parts.namespace, most_bytes=limits.body_bytes, seconds=limits.body_seconds)
    explainer = Explainer(parts.policies, parts.looks, clock)
    app = FastAPI(title="Periodic Sync", version=__version__, docs_url=None, redoc_url=None)
    opened = OpenRoutes(Figures(parts.lists, clock.monotonic), clock, parts.lists.policies, parts.telemetry.expose)
    app.include_router(UserRoutes(parts.policies, explainer, guard, clock).router())
    app.include_router(opened.guarded(guard))
    app.include_router(opened.router())
    app.include_router(docs_route(app.openapi))
    readers = Readers(limits.readers, limits.readers_of_one)
    app.include_router(EventRoute(guard, parts.policies, parts.hubs, readers, clock, parts.telemetry).router())
    parts.telemetry.look_at_events(readers=lambda: readers.total, hubs=lambda: parts.hubs.open_hubs)
    add_handlers(app)
    fast = FastActivity(app, guard, parts.policies, f"{PREFIX}{USER}/activity")
    return AccessLog(Deadline(fast, seconds=limits.request_seconds), parts.telemetry)
