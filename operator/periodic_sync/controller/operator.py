"""The operator as a process: kopf watches, loops schedule, a probe is answered, and SIGTERM ends it in good order."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import kopf

from periodic_sync import __version__
from periodic_sync.controller import liveness, logs, watching
from periodic_sync.controller.policies import Policies
from periodic_sync.controller.store_watch import StoreWatch
from periodic_sync.controller.stores import open_store
from periodic_sync.controller.turn import PolicyTurns, Services
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from periodic_sync.kube.kopf_session import server_of, session_of

GRACE_SECONDS = 30.0
"""How long turns that run may take to end. Whatever is cut off is taken up by the next operator."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How `periodic-sync operator` was started. None: the default that its help names."""

    namespace: str | None = None
    kubeconfig: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    worker_image: str | None = None
    log_format: str = "json"
    log_level: str = "info"


async def run(options: Options) -> int:
    """Run until SIGTERM or SIGINT. Returns: the exit code, 0 only where a signal ended it."""
    logs.set_up(style=options.log_format, level=options.log_level)
    async with connected(options.kubeconfig) as client:
        store_watch = StoreWatch(client, namespace=options.namespace)
        services = Services(
            client=client,
            clock=lambda: time.time_ns() // 1_000_000,
            worker_image=options.worker_image or os.environ.get("WORKER_IMAGE", ""),
            reporter=os.environ.get("POD_NAME") or os.uname().nodename,
            open_store=partial(open_store, client),
            store_watch=store_watch,
        )
        policies = Policies(
            client, lambda policy, wake: PolicyTurns(policy, services, wake), namespace=options.namespace
        )
        probe = await liveness.serve(policies, host=options.host, port=options.port)
        try:
            return await _run_until_signal(client, policies, store_watch, options)
        finally:
            await probe.cleanup()


async def _run_until_signal(client: KubeClient, policies: Policies, store_watch: StoreWatch, options: Options) -> int:
    stop, ready = asyncio.Event(), asyncio.Event()
    # Before kopf starts: when kopf ends, it cancels every task that is younger than itself.
    listing = asyncio.create_task(policies.keep_listing(), name="list of policies")
    stores = asyncio.create_task(store_watch.run(), name="watch of the stores")
    watch = asyncio.create_task(
        kopf.operator(
            registry=watching.registry(policies, server_of(client.api), partial(session_of, client.api)),
            settings=watching.settings(),
            clusterwide=options.namespace is None,
            namespaces=[options.namespace] if options.namespace else [],
            stop_flag=stop,
            ready_flag=ready,
        ),
        name="kopf",
    )
    asked_to_stop = asyncio.Event()
    starting = asyncio.create_task(_take_over_signals(ready, asked_to_stop.set), name="signals")
    log.info("operator started", extra={"version": __version__, "namespace": options.namespace or "all"})
    waiting = asyncio.create_task(asked_to_stop.wait(), name="stop")
    done, _ = await asyncio.wait({listing, stores, watch, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if waiting in done:
        log.info("stopping")
    for ended in done - {waiting}:
        log.critical("ended without being asked to", extra={"task": ended.get_name(), "error": repr(_error(ended))})
    listing.cancel()
    stores.cancel()
    await policies.stop(within_seconds=GRACE_SECONDS)
    stop.set()
    starting.cancel()
    waiting.cancel()
    await asyncio.wait({watch, listing, stores}, timeout=5)
    log.info("stopped")
    return 0 if waiting in done else 1


async def _take_over_signals(ready: asyncio.Event, stop: Callable[[], None]) -> None:
    """kopf takes SIGTERM and SIGINT for itself when it starts; the loops must end before kopf does."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await ready.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _error(task: asyncio.Task[Any]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
