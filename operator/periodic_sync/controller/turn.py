"""A turn: everything there is to do for one policy now, in the order that the protocol needs.

Read the policy, then the ledger; act on the spec; tend the open Jobs; read the users; plan; claim; tidy; report. The
ledger is read before the users, since results are stored before the ledger closes their batch: what the ledger calls
closed is then sure to be among what is read.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from periodic_sync.api.durations import SECOND
from periodic_sync.api.errors import NotFoundError
from periodic_sync.api.names import STORE_LABEL, Role
from periodic_sync.api.policy import InvalidPolicyError, SyncPolicy
from periodic_sync.api.spec import Store as StoreSpec
from periodic_sync.controller.creating import JobMaker
from periodic_sync.controller.flights import Flights
from periodic_sync.controller.housekeeping import tidy
from periodic_sync.controller.loop import PolicyGoneError, Schedule
from periodic_sync.controller.open_ledger import OpenLedger
from periodic_sync.controller.rebuilding import LOOK_AGAIN, rebuild_ledger
from periodic_sync.controller.reporting import Reporter
from periodic_sync.controller.scheduling import Scheduling, counts
from periodic_sync.controller.storytelling import Storyteller
from periodic_sync.controller.users import Users
from periodic_sync.core import transitions
from periodic_sync.core.calendar import UnknownTimeZoneError, find_zone
from periodic_sync.core.ledger import Intervals, Ledger, Phase
from periodic_sync.core.objects import PolicyRef, ledger_name, metadata
from periodic_sync.core.plan import Plan
from periodic_sync.core.status import Findings, Obstacle, Status
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.events import PolicyEvents
from periodic_sync.kube.ledgers import Ledgers, LedgerUnreadableError
from periodic_sync.kube.policy_objects import PolicyObjects
from periodic_sync.kube.resources import CONFIG_MAPS, SYNC_POLICIES
from periodic_sync.kube.watch import wake_on_change
from periodic_sync.stores.base import Store


@dataclass(frozen=True, slots=True)
class Services:
    """What turns are given. `clock`: milliseconds since the epoch."""

    client: KubeClient
    clock: Callable[[], int]
    worker_image: str
    reporter: str
    """The operator's own name, such as its pod's."""
    open_store: Callable[[PolicyRef, StoreSpec], Store]


class PolicyTurns:
    """One policy's turns. Between them it keeps only what need not be read twice; the truth is in the API server."""

    def __init__(self, policy: PolicyRef, services: Services, wake: Callable[[], None]) -> None:
        """`wake`: asks for a turn, because something changed that the turns read."""
        self._policy = policy
        self._services = services
        self._objects = PolicyObjects(services.client, policy.namespace, policy.name, policy.uid)
        name = ledger_name(policy.name, policy.uid)
        self._ledgers = Ledgers(services.client, metadata(policy, name, role=Role.LEDGER))
        self._events = PolicyEvents(services.client, policy, services.reporter, services.clock)
        self._reporter = Reporter(services.client, policy, self._events, services.clock)
        self._flights = Flights(self._objects, policy)
        self._scheduling = Scheduling(self._flights, self._events, Storyteller(policy))
        self._wake = wake
        self._store: tuple[StoreSpec, Store] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def turn(self) -> Schedule:
        """Raises: PolicyGoneError; ConflictError, SupersededError: begin anew; ApiError: wait."""
        body = await self._read()
        now, status = self._services.clock(), body.get("status") or {}
        generation = body["metadata"].get("generation", 0)
        try:
            policy = SyncPolicy.parse(body)
        except InvalidPolicyError as error:
            found = Findings(now, generation, True, store="", stalled=Obstacle("InvalidSpec", str(error)))
            return Schedule(now, await self._reporter.report(status, found))
        found = Findings(now, generation, policy.spec.enabled, store=store_name(policy.spec.store))
        try:
            found, wake_at = await self._work(policy, status, found)
        except LedgerUnreadableError as error:
            found, wake_at = replace(found, rebuilding=Obstacle("RebuildingLedger", str(error))), None
        return Schedule(now, earliest(wake_at, await self._reporter.report(status, found)))

    async def stopped(self) -> None:
        """No turn follows."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def recovered(self, error: str, seconds: float) -> None:
        """Say why nothing was scheduled for a while, now that it can be said."""
        await self._events.warning("SchedulingInterrupted", f"Nothing was scheduled for {seconds:.0f} s: {error}")

    async def _read(self) -> Object:
        """The policy as it is now. Raises: PolicyGoneError where it was deleted, or made again."""
        try:
            body = await self._services.client.get(SYNC_POLICIES, self._policy.namespace, self._policy.name)
        except NotFoundError as error:
            raise PolicyGoneError from error
        if body["metadata"]["uid"] != self._policy.uid or body["metadata"].get("deletionTimestamp"):
            raise PolicyGoneError
        return body

    async def _work(self, policy: SyncPolicy, status: Status, found: Findings) -> tuple[Findings, int | None]:
        """Returns: what was found, and when time alone calls for another turn."""
        now = found.now
        version = await self._ledgers.read()
        if version is None:
            made = await rebuild_ledger(self._objects, self._ledgers, self._policy, status, now=now)
            if isinstance(made, Obstacle):
                return replace(found, rebuilding=made), now + LOOK_AGAIN
            version = made
        ledger = OpenLedger(self._ledgers, version)
        ledger.stage(follow(ledger.ledger, policy, now=now))
        await ledger.commit()
        maker, stalled = await self._maker(policy)
        users = Users(self._open_store(policy.spec.store))
        await users.read(now)
        sight = await self._flights.tend(ledger, users, maker, now=now)
        if ledger.writes:
            await users.read(now)
        stalled = unknown_zone(policy) or stalled
        scheduled: Plan | None = None
        if users.snapshot is not None and unknown_zone(policy) is None:
            is_blocked = any(not job.finished for job in sight.foreign_jobs.values())
            scheduled = await self._scheduling.run(policy, ledger, users, maker, is_blocked=is_blocked, now=now)
        await ledger.commit()
        await tidy(self._objects, self._ledgers, ledger, sight, policy.spec.jobs.history)
        await users.tidy(now)
        found = replace(found, ledger=ledger.ledger, stalled=stalled, worker_obstacle=self._flights.waiting)
        return with_users(found, users, scheduled), earliest(
            scheduled.wake_at if scheduled else None, follow_up(ledger.ledger, now=now, may_create=maker is not None)
        )

    async def _maker(self, policy: SyncPolicy) -> tuple[JobMaker | None, Obstacle | None]:
        """What Jobs are made with; or what a person has to mend before any can be made."""
        name, template = policy.spec.worker.pod_template.name, None
        if name:
            try:
                template = await self._objects.pod_template(name)
            except NotFoundError:
                return None, Obstacle(
                    "PodTemplateNotFound",
                    f"There is no PodTemplate {name} in namespace {self._policy.namespace}: create it, or correct "
                    "spec.worker.podTemplate.name",
                )
        if not policy.spec.worker.image and not self._services.worker_image:
            return None, Obstacle(
                "WorkerImageUnknown",
                "The operator was started without WORKER_IMAGE, so the built-in worker has no image: set it in the "
                "operator's Deployment, or set spec.worker.image",
            )
        return JobMaker(self._objects, self._policy, policy.spec, self._services.worker_image, template), None

    def _open_store(self, spec: StoreSpec) -> Store:
        """The same object from turn to turn, since it remembers what it has read."""
        if self._store is None or self._store[0] != spec:
            self._store = spec, self._services.open_store(self._policy, spec)
            if self._watching is not None:
                self._watching.cancel()
            self._watching = asyncio.create_task(self._watch(spec))
        return self._store[1]

    async def _watch(self, spec: StoreSpec) -> None:
        """Wake when an application writes to the store: whoever comes due by it is synced within the second."""
        if spec.config_map is None:
            return
        name, client, namespace = spec.config_map.name, self._services.client, self._policy.namespace
        await asyncio.gather(
            wake_on_change(client, CONFIG_MAPS, namespace, self._wake, fields=f"metadata.name={name}"),
            wake_on_change(client, CONFIG_MAPS, namespace, self._wake, labels=f"{STORE_LABEL}={name}"),
        )


def follow(ledger: Ledger, policy: SyncPolicy, *, now: int) -> Ledger:
    """Raises: SupersededError where the ledger has acted on a newer generation."""
    intervals = policy.spec.intervals
    return transitions.follow_spec(
        ledger,
        generation=policy.generation,
        enabled=policy.spec.enabled,
        intervals=Intervals(intervals.market_hours, intervals.off_hours, policy.spec.market_hours),
        now=now,
    )


def unknown_zone(policy: SyncPolicy) -> Obstacle | None:
    try:
        find_zone(policy.spec.market_hours.time_zone)
    except UnknownTimeZoneError as error:
        return Obstacle("UnknownTimeZone", f"spec.marketHours.timeZone: {error}")
    return None


def with_users(found: Findings, users: Users, scheduled: Plan | None) -> Findings:
    if users.snapshot is not None:
        found = replace(found, skipped=users.snapshot.skipped, store_note=users.note())
    if scheduled is not None:
        found = replace(found, counts=counts(scheduled), is_market_hours=scheduled.is_market_open)
    return replace(found, store_obstacle=users.obstacle)


def follow_up(ledger: Ledger, *, now: int, may_create: bool) -> int | None:
    """When to look again at Jobs of which no event will tell: those that may not have been created, or are given up."""
    waiting = any(job.phase is Phase.ABANDONED or (may_create and job.phase is Phase.CLAIMED) for job in ledger.jobs)
    return now + SECOND if waiting else None


def earliest(*instants: int | None) -> int | None:
    return min((instant for instant in instants if instant is not None), default=None)


def store_name(spec: StoreSpec) -> str:
    if spec.config_map is not None:
        return f"ConfigMap/{spec.config_map.name}"
    return f"Redis/{spec.redis.url_secret_ref.name}" if spec.redis is not None else ""
