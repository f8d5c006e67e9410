"""A turn: everything there is to do for one policy now, in the order that the protocol needs.

Read the ledger, then the policy; act on the spec; tend the open Jobs; read the users; plan; claim; tidy; report. The
ledger comes before the policy, so that a swap never puts an older spec or request in the place of a newer one; and
before the users, since results are stored before the ledger closes their batch: what it calls closed is among what is
read.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from periodic_sync.api.errors import ApiError, ConflictError, ForbiddenError, InvalidError, NotFoundError, TooLargeError
from periodic_sync.api.names import Role
from periodic_sync.api.policy import InvalidPolicyError, SyncPolicy
from periodic_sync.api.reasons import ConditionReason, EventReason
from periodic_sync.api.spec import Store as StoreSpec
from periodic_sync.controller.creating import JobMaker
from periodic_sync.controller.findings import (
    Draft,
    blocked_by,
    is_enabled,
    note_users,
    store_kind,
    store_name,
    unknown_zone,
)
from periodic_sync.controller.flights import Flights
from periodic_sync.controller.housekeeping import tidy
from periodic_sync.controller.loop import PolicyGoneError, Schedule
from periodic_sync.controller.open_ledger import OpenLedger
from periodic_sync.controller.rebuilding import LOOK_AGAIN, rebuild_ledger
from periodic_sync.controller.reporting import Reporter
from periodic_sync.controller.scheduling import Scheduling, counts
from periodic_sync.controller.sight import Sight
from periodic_sync.controller.store_watch import StoreWatch
from periodic_sync.controller.storytelling import Storyteller
from periodic_sync.controller.users import Users
from periodic_sync.core import transitions
from periodic_sync.core.ledger import Intervals
from periodic_sync.core.objects import PolicyRef, ledger_name, metadata
from periodic_sync.core.plan import Plan
from periodic_sync.core.status import Findings, Obstacle
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.events import PolicyEvents
from periodic_sync.kube.ledgers import Ledgers, LedgerUnreadableError, Version
from periodic_sync.kube.policy_objects import PolicyObjects
from periodic_sync.kube.resources import SYNC_POLICIES
from periodic_sync.stores.base import Store
from periodic_sync.stores.unsupported import UnsupportedStore
from periodic_sync.telemetry.protocol import SILENT, Telemetry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """What turns are given. `clock`: milliseconds since the epoch."""

    client: KubeClient
    clock: Callable[[], int]
    worker_image: str
    reporter: str
    """The operator's own name, such as its pod's."""
    open_store: Callable[[PolicyRef, StoreSpec], Store]
    store_watch: StoreWatch
    telemetry: Telemetry = SILENT


class PolicyTurns:
    """One policy's turns. Between them it keeps only what need not be read twice; the truth is in the API server."""

    def __init__(self, policy: PolicyRef, services: Services, wake: Callable[[], None]) -> None:
        """`wake`: asks for a turn, because something changed that the turns read."""
        self._policy = policy
        self._services = services
        self._telemetry = services.telemetry.policy(policy)
        self._objects = PolicyObjects(services.client, policy.namespace, policy.name, policy.uid)
        name = ledger_name(policy.name, policy.uid)
        self._ledgers = Ledgers(services.client, metadata(policy, name, role=Role.LEDGER))
        self._events = PolicyEvents(services.client, policy, services.reporter, services.clock)
        self._reporter = Reporter(services.client, policy, self._events, services.clock)
        self._flights = Flights(self._objects, policy, self._telemetry)
        self._story = Storyteller(policy)
        self._scheduling = Scheduling(self._flights, self._events, self._story, services.clock)
        self._wake = wake
        self._store: tuple[StoreSpec, Store] | None = None

    async def turn(self) -> Schedule:
        """Raises: PolicyGoneError; ConflictError, SupersededError: begin anew; ApiError: wait."""
        version, body = await self._read()
        if version is None:
            version, body = await self._made_ledger(body)
        now = self._services.clock()
        draft = Draft(Findings(now, body["metadata"].get("generation", 0), is_enabled(body)))
        try:
            wake_at = await self._work(body, draft, version)
        except (ForbiddenError, InvalidError, TooLargeError) as error:
            draft.note(
                stalled=Obstacle(
                    ConditionReason.REQUEST_REFUSED, f"The API server refuses what the operator asks: {error}"
                )
            )
            self._telemetry.found(draft.found)
            await self._reporter.report(body, draft.found)
            raise
        self._telemetry.found(draft.found)
        return Schedule(now, earliest(wake_at, await self._reporter.report(body, draft.found)))

    async def stopped(self) -> None:
        """No turn follows."""
        self._services.store_watch.forget(self._policy.uid)
        if self._store is not None:
            await self._store[1].close()

    async def recovered(self, error: str, seconds: float) -> None:
        """Say why nothing was scheduled for a while, now that it can be said."""
        await self._events.warning(
            EventReason.SCHEDULING_INTERRUPTED, f"Nothing was scheduled for {seconds:.0f} s: {error}"
        )

    async def _read(self) -> tuple[Version | Obstacle | None, Object]:
        """The ledger, then the policy: what the next swap writes of the policy is then as new as what it replaces."""
        try:
            version: Version | Obstacle | None = await self._ledgers.read()
        except LedgerUnreadableError as error:
            version = Obstacle(ConditionReason.REBUILDING_LEDGER, str(error))
        return version, await self._read_policy()

    async def _made_ledger(self, body: Object) -> tuple[Version | Obstacle, Object]:
        """Make the ledger where there is none, and read all anew: the policy was read before that ledger."""
        now, status = self._services.clock(), body.get("status") or {}
        obstacle = await rebuild_ledger(self._objects, self._ledgers, self._policy, status, now=now)
        if obstacle is not None:
            return obstacle, body
        version, body = await self._read()
        if version is None:
            raise ConflictError("the ledger was deleted as soon as it was made")
        return version, body

    async def _read_policy(self) -> Object:
        """The policy as it is now. Raises: PolicyGoneError where it was deleted, or made again."""
        try:
            body = await self._services.client.get(SYNC_POLICIES, self._policy.namespace, self._policy.name)
        except NotFoundError as error:
            raise PolicyGoneError from error
        if body["metadata"]["uid"] != self._policy.uid or body["metadata"].get("deletionTimestamp"):
            raise PolicyGoneError
        return body

    async def _work(self, body: Object, draft: Draft, version: Version | Obstacle) -> int | None:
        """Returns: when time alone calls for another turn."""
        now = draft.found.now
        if isinstance(version, Obstacle):
            draft.note(rebuilding=version)
            return now + LOOK_AGAIN
        ledger = OpenLedger(self._ledgers, version)
        try:
            policy = SyncPolicy.parse(body)
        except InvalidPolicyError as error:
            draft.note(stalled=Obstacle(ConditionReason.INVALID_SPEC, str(error)))
            await self._follow(ledger, draft, ledger.ledger.intervals or Intervals(0, 0))
            await self._flights.tend(ledger, Users(UnsupportedStore(str(error))), None, now=now)
            await ledger.commit()
            draft.note(ledger=ledger.ledger)
            return None
        draft.note(store=store_name(policy.spec.store))
        intervals = policy.spec.intervals
        await self._follow(
            ledger, draft, Intervals(intervals.market_hours, intervals.off_hours, policy.spec.market_hours)
        )
        return await self._schedule(policy, ledger, draft)

    async def _follow(self, ledger: OpenLedger, draft: Draft, intervals: Intervals) -> None:
        """Put the spec's generation into the ledger. Raises: SupersededError where that has acted on a newer one."""
        found = draft.found
        followed = transitions.follow_spec(
            ledger.ledger, generation=found.generation, enabled=found.enabled, intervals=intervals, now=found.now
        )
        ledger.stage(followed)
        await ledger.commit()
        draft.note(ledger=ledger.ledger)

    async def _schedule(self, policy: SyncPolicy, ledger: OpenLedger, draft: Draft) -> int | None:
        now = draft.found.now
        maker, no_maker = await self._maker(policy)
        no_zone = unknown_zone(policy)
        draft.note(stalled=no_zone or no_maker)
        told = partial(self._telemetry.store_asked, store_kind(policy.spec.store))
        users = Users(await self._open_store(policy.spec.store), told)
        await users.read(now, known=ledger.ledger.store)
        if users.report is not None:
            ledger.stage(transitions.know_store(ledger.ledger, users.report.identity))
        sight = await self._flights.tend(ledger, users, maker, now=now)
        note_users(draft, users)
        draft.note(ledger=ledger.ledger, worker_obstacle=self._flights.obstacle, rebuilding=blocked_by(sight))
        scheduled: Plan | None = None
        if users.report is not None and no_zone is None:
            is_blocked = draft.found.rebuilding is not None
            scheduled = await self._scheduling.run(policy, ledger, users, maker, is_blocked=is_blocked, now=now)
        if scheduled is not None:
            draft.note(counts=counts(scheduled), is_market_hours=scheduled.is_market_open, interval=scheduled.interval)
        await ledger.commit()
        draft.note(ledger=ledger.ledger)
        await self._tidy(policy, ledger, sight, users, now)
        note_users(draft, users)
        self._story.tell_store(users.obstacle, now)
        wake_at = scheduled.wake_at if scheduled else None
        return earliest(wake_at, self._flights.look_again_at(ledger.ledger, may_create=maker is not None, now=now))

    async def _tidy(self, policy: SyncPolicy, ledger: OpenLedger, sight: Sight, users: Users, now: int) -> None:
        """What is of no use any more goes. Trouble with that is told, and holds up nothing."""
        try:
            await tidy(self._objects, self._ledgers, ledger, sight, policy.spec.jobs.history)
            await users.tidy(now)
        except ConflictError:
            raise
        except ApiError as error:
            log.warning("tidying up failed", extra={"policy": self._policy.name, "error": str(error)})

    async def _maker(self, policy: SyncPolicy) -> tuple[JobMaker | None, Obstacle | None]:
        """What Jobs are made with; or what a person has to mend before any can be made."""
        name, template = policy.spec.worker.pod_template.name, None
        if name:
            try:
                template = await self._objects.pod_template(name)
            except NotFoundError:
                return None, Obstacle(
                    ConditionReason.POD_TEMPLATE_NOT_FOUND,
                    f"There is no PodTemplate {name} in namespace {self._policy.namespace}: create it, or correct "
                    "spec.worker.podTemplate.name",
                )
        if not policy.spec.worker.image and not self._services.worker_image:
            return None, Obstacle(
                ConditionReason.WORKER_IMAGE_UNKNOWN,
                "The operator was started without WORKER_IMAGE, so the built-in worker has no image: set it in the "
                "operator's Deployment, or set spec.worker.image",
            )
        return JobMaker(self._objects, self._policy, policy.spec, self._services.worker_image, template), None

    async def _open_store(self, spec: StoreSpec) -> Store:
        """The same object from turn to turn, since it remembers what it has read."""
        if self._store is None or self._store[0] != spec:
            if self._store is not None:
                await self._store[1].close()
            self._store = spec, self._services.open_store(self._policy, spec)
            name = spec.config_map.name if spec.config_map else ""
            self._services.store_watch.follow(self._policy, name, self._wake)
            self._store[1].follow(self._wake)
        return self._store[1]


def earliest(*instants: int | None) -> int | None:
    return min((instant for instant in instants if instant is not None), default=None)
