"""The operator as a process: kopf watches, the leader's loops schedule, a probe is answered, and SIGTERM ends it in
good order."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import kopf
from prometheus_client import disable_created_metrics

from periodic_sync import __version__
from periodic_sync.controller import event_loop, liveness, logs, watching
from periodic_sync.controller.election import Elector, new_identity
from periodic_sync.controller.policies import Policies
from periodic_sync.controller.store_watch import StoreWatch
from periodic_sync.controller.stores import open_store
from periodic_sync.controller.turn import PolicyTurns, Services
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from periodic_sync.kube.kopf_session import server_of, session_of
from periodic_sync.kube.leases import Leases
from periodic_sync.telemetry.recorder import Metrics

GRACE_SECONDS = 30.0
"""How long turns that run may take to end. Whatever is cut off is taken up by the next operator."""

LEASE_NAME = "periodic-sync"
RELEASE_SECONDS = 10.0
"""How long giving back the Lease may take. One that is not given back is over by itself."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How `periodic-sync operator` was started. None: the default that its help names."""

    namespace: str | None = None
    kubeconfig: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    worker_image: str | None = None
    leader_election: bool = True
    lease_namespace: str | None = None
    log_format: str = "json"
    log_level: str = "info"


async def run(options: Options) -> int:
    """Run until SIGTERM or SIGINT. Returns: the exit code, 0 only where a signal ended it."""
    logs.set_up(style=options.log_format, level=options.log_level)
    host = os.environ.get("POD_NAME") or os.uname().nodename
    lease = lease_of(options, os.environ.get("POD_NAMESPACE", "")) if options.leader_election else None
    disable_created_metrics()  # type: ignore[no-untyped-call]  # each counter would tell its time of creation, to nobody
    metrics = Metrics()
    async with connected(options.kubeconfig, metrics.request_ended) as client:
        store_watch = StoreWatch(client, namespace=options.namespace)
        services = Services(
            client=client,
            clock=_clock,
            worker_image=options.worker_image or os.environ.get("WORKER_IMAGE", ""),
            reporter=host,
            open_store=partial(open_store, client),
            store_watch=store_watch,
            telemetry=metrics,
        )
        policies = Policies(
            client,
            lambda policy, wake: PolicyTurns(policy, services, wake),
            namespace=options.namespace,
            telemetry=metrics,
        )
        elector = Elector(Leases(client, *lease), new_identity(host), policies, _clock) if lease else None
        probe = await liveness.serve(policies, elector, expose=metrics.expose, host=options.host, port=options.port)
        try:
            return await _Process(client, policies, store_watch, elector, metrics, options).run()
        finally:
            await probe.cleanup()


def _clock() -> int:
    return time.time_ns() // 1_000_000


def lease_of(options: Options, own_namespace: str) -> tuple[str, str]:
    """Namespace and name of the Lease. `own_namespace`: the pod's, or "".

    Operators that serve one namespace each don't stand in for each other, so each of these has a Lease of its own.
    Raises: SystemExit with what to do where there is no namespace for it.
    """
    namespace = options.lease_namespace or own_namespace or options.namespace
    if not namespace:
        raise SystemExit(
            "error: no namespace is known for the Lease of the leader election: name one with --lease-namespace or "
            "in POD_NAMESPACE, or switch the election off with --no-leader-election"
        )
    return namespace, f"{LEASE_NAME}-{options.namespace}" if options.namespace else LEASE_NAME


@dataclass(frozen=True, slots=True)
class _Process:
    """What runs side by side."""

    client: KubeClient
    policies: Policies
    store_watch: StoreWatch
    elector: Elector | None
    metrics: Metrics
    options: Options

    async def run(self) -> int:
        """Until a signal, or until a part ends that should not. Returns: the exit code."""
        stop, ready, asked_to_stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
        # Before kopf starts: when kopf ends, it cancels every task that is younger than itself.
        parts = [
            asyncio.create_task(self.policies.keep_listing(), name="list of policies"),
            asyncio.create_task(self.store_watch.run(), name="watch of the stores"),
            asyncio.create_task(event_loop.watch(self.metrics.woke_late), name="watch of the event loop"),
        ]
        election = asyncio.create_task(self._lead(), name="election")
        watch = asyncio.create_task(self._watch(stop, ready), name="kopf")
        starting = asyncio.create_task(_take_over_signals(ready, asked_to_stop.set), name="signals")
        log.info("operator started", extra={"version": __version__, "namespace": self.options.namespace or "all"})
        waiting = asyncio.create_task(asked_to_stop.wait(), name="stop")
        done, _ = await asyncio.wait({*parts, election, watch, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if waiting in done:
            log.info("stopping")
        _tell_ended(done - {waiting})
        for part in parts:
            part.cancel()
        await self.policies.stop(within_seconds=GRACE_SECONDS)
        await self._give_way(election)
        stop.set()
        starting.cancel()
        waiting.cancel()
        await asyncio.wait({watch, *parts}, timeout=5)
        log.info("stopped")
        return 0 if waiting in done else 1

    async def _lead(self) -> None:
        """Lead when the Lease says so, or always."""
        if self.elector is None:
            log.info("leading", extra={"why": "the leader election is switched off"})
            self.policies.lead()
            await asyncio.Event().wait()
        else:
            await self.elector.run()

    async def _give_way(self, election: "asyncio.Task[None]") -> None:
        """The last turn has ended: the next leader need not wait."""
        if self.elector is None:
            election.cancel()
        else:
            self.elector.stop()
        await asyncio.wait({election}, timeout=RELEASE_SECONDS)

    async def _watch(self, stop: asyncio.Event, ready: asyncio.Event) -> None:
        namespace = self.options.namespace
        await kopf.operator(
            registry=watching.registry(self.policies, server_of(self.client.api), partial(session_of, self.client.api)),
            settings=watching.settings(),
            clusterwide=namespace is None,
            namespaces=[namespace] if namespace else [],
            stop_flag=stop,
            ready_flag=ready,
        )


def _tell_ended(tasks: Collection["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        error = None if task.cancelled() else task.exception()
        log.critical("ended without being asked to", extra={"task": task.get_name(), "error": repr(error)})


async def _take_over_signals(ready: asyncio.Event, stop: Callable[[], None]) -> None:
    """kopf takes SIGTERM and SIGINT for itself when it starts; the loops must end before kopf does."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await ready.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
