"""The HTTP API as a process: everything put together, served until SIGTERM, and ended in good order."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from aiohttp import web
from prometheus_client import disable_created_metrics

from periodic_sync import __version__
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client import opening
from periodic_sync.client.backend import Backend, Clock, SystemClock
from periodic_sync.inspection.looks import KubeLooks
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from periodic_sync.server import scrapes
from periodic_sync.server.app import Limits, Parts, create_app
from periodic_sync.server.events.hubs import Hubs
from periodic_sync.server.events.opening import open_sources
from periodic_sync.server.events.socket import MOST_SAID, EventSocket
from periodic_sync.server.measured import MeasuredBackend
from periodic_sync.server.policies import Policies
from periodic_sync.server.protocol import LimitedProtocol
from periodic_sync.server.reviews import SubjectAccessReviews, TokenReviews
from periodic_sync.server.tls import Certificates
from periodic_sync.telemetry.api import ApiMetrics

GRACE_SECONDS = 20
"""How long requests that are under way may take once the end was asked for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How `periodic-sync server` was started. certificate, key: None only with plain HTTP. metrics_port: 0 for none."""

    host: str
    port: int
    audience: str
    namespace: str | None = None
    kubeconfig: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    connections: int = 1000
    metrics_port: int = 0
    limits: Limits = field(default_factory=Limits)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM is no failure, which uvicorn would make of it by sending it to itself again in the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        log.info("server started", extra={"version": __version__, "port": self.config.port})

    def _stop(self) -> None:
        self.should_exit = True


async def run(options: Options) -> int:
    """Serve until SIGTERM or SIGINT. Returns: the exit code.

    Raises: SystemExit with what to do where the certificate can't be used.
    """
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    disable_created_metrics()  # type: ignore[no-untyped-call]  # each counter would tell its time of creation, to nobody
    certificates = _certificates(options)
    clock = SystemClock()
    async with connected(options.kubeconfig) as client:
        parts = parts_on(client, options, clock)
        server = _Server(_config(create_app(parts), options, certificates))
        parts.telemetry.look_at(
            stores=lambda: parts.policies.open_stores, connections=lambda: len(server.server_state.connections)
        )
        listener = await _scrapes(parts.telemetry, options)
        gc.collect()
        gc.freeze()  # what is here stays: looking through it again and again would hold up requests
        renewing = asyncio.create_task(certificates.keep_reloading()) if certificates else None
        try:
            await server.serve()
        finally:
            if renewing is not None:
                renewing.cancel()
            await parts.hubs.close()
            await parts.policies.close()
            if listener is not None:
                await listener.cleanup()
            log.info("stopped")
    return 0


def parts_on(client: KubeClient, options: Options, clock: Clock) -> Parts:
    """Everything on one API server."""
    looks = KubeLooks(client, options.namespace, clock.monotonic)
    telemetry = ApiMetrics()

    async def open_backend(policy: SyncPolicy, its_clock: Clock) -> Backend:
        store = "configmap" if policy.spec.store.config_map is not None else "redis"
        backend = await opening.of_policy(client, policy, its_clock, partial(telemetry.written, store))
        return MeasuredBackend(backend, store, telemetry, its_clock.monotonic)

    policies = Policies(looks.read_policy, open_backend, clock)
    return Parts(
        policies=policies,
        looks=looks,
        lists=looks,
        authenticator=TokenReviews(client, options.audience),
        authorizer=SubjectAccessReviews(client),
        clock=clock,
        telemetry=telemetry,
        hubs=Hubs(lambda policy: open_sources(client, policy, clock), clock, telemetry.events_came),
        namespace=options.namespace,
        limits=options.limits,
    )


async def _scrapes(telemetry: ApiMetrics, options: Options) -> web.AppRunner | None:
    if not options.metrics_port:
        return None
    return await scrapes.serve(telemetry.expose, host=options.host, port=options.metrics_port)


def _certificates(options: Options) -> Certificates | None:
    if options.certificate is None or options.key is None:
        return None
    try:
        return Certificates(options.certificate, options.key)
    except (OSError, ssl.SSLError) as error:
        raise SystemExit(
            f"error: the certificate {options.certificate} with the key {options.key} can't be used ({error}): "
            "give a PEM certificate and its key"
        ) from None


def _config(app: Any, options: Options, certificates: Certificates | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        http=LimitedProtocol,
        ws=EventSocket,
        ws_max_size=MOST_SAID,
        ws_per_message_deflate=False,  # a dictionary for each reader, and each message compressed for each of them
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=options.connections,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_context_factory=(lambda config, default: certificates.context) if certificates else None,
    )
