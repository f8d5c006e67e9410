"""The policies there are, each with a loop of its own while this operator leads. Events make loops begin at once; a
list of our own, when leading begins and every so often, finds those whose event was lost."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from periodic_sync.api.errors import ApiError
from periodic_sync.controller.loop import PolicyLoop, Scheduled, Trouble
from periodic_sync.core.objects import LONGEST_POLICY_NAME, PolicyRef
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import SYNC_POLICIES
from periodic_sync.telemetry.protocol import SILENT, PolicyTelemetry, Telemetry

RESYNC_SECONDS = 30.0
LIST_AGAIN_SECONDS = 2.0
"""After a list that failed: until there is one, a new leader may know nothing."""

REST_SECONDS = 2.0
"""How long turns may go on when leading is over. What is left of the Lease by then is twice that."""

CLOSE_SECONDS = 1.0
"""How long whatever is cut off may take to close what it has open, such as a connection that is dead."""

MOST_REMEMBERED = 50_000
"""Objects whose last change is remembered. kopf doesn't report every deletion, so they are all forgotten in between."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Running:
    loop: PolicyLoop
    task: asyncio.Task[None]


class Policies:
    """All loops, by the policy's UID: a policy made again under its old name is another policy."""

    def __init__(
        self,
        client: KubeClient,
        begin: Callable[[PolicyRef, Callable[[], None]], Scheduled],
        *,
        namespace: str | None = None,
        telemetry: Telemetry = SILENT,
    ) -> None:
        """`begin(policy, wake)` makes what has the turns. `namespace`: the only one that is served; None: all."""
        self._client = client
        self._begin = begin
        self._namespace = namespace
        self._telemetry = telemetry
        self._running: dict[str, _Running] = {}
        self._essences: dict[str, tuple[object, ...]] = {}
        self._leading = asyncio.Event()
        self._list_now = asyncio.Event()
        self._trouble: Trouble | None = None
        self._stopping = False

    @property
    def loops(self) -> list[PolicyLoop]:
        return [running.loop for running in self._running.values()]

    def seen(self, policy: PolicyRef, essence: tuple[object, ...]) -> None:
        """There is such a policy. `essence`: what of it matters to its turns; without a change nobody is woken."""
        if policy.uid not in self._running:
            self._start(policy)
        elif self._has_changed(policy.uid, essence):
            self._wake(policy.uid)

    def job_seen(self, policy_uid: str, job_uid: str, essence: tuple[object, ...]) -> None:
        """There is, or was, such a Job of that policy. `essence`: as for policies."""
        if self._has_changed(job_uid, essence):
            self._wake(policy_uid)

    def _has_changed(self, uid: str, essence: tuple[object, ...]) -> bool:
        if self._essences.get(uid) == essence:
            return False
        if len(self._essences) >= MOST_REMEMBERED:
            self._essences.clear()
        self._essences[uid] = essence
        return True

    async def keep_listing(self) -> None:
        """Find policies whose event was lost, until cancelled."""
        while True:
            await self._leading.wait()
            self._list_now.clear()
            pause = RESYNC_SECONDS if await self._list() else LIST_AGAIN_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._list_now.wait()

    async def _list(self) -> bool:
        """Returns: whether the list could be read."""
        try:
            items = await self._client.list(SYNC_POLICIES, self._namespace, metadata_only=True)
        except ApiError as error:
            log.warning("the list of SyncPolicies can't be read", extra={"error": str(error)})
            return False
        for item in items:
            policy = PolicyRef(*(item["metadata"][key] for key in ("namespace", "name", "uid")))
            if policy.uid not in self._running:
                self._start(policy)
        self._trouble = None
        return True

    def lead(self, trouble: Trouble | None = None) -> None:
        """From now on policies are scheduled: all there are, by a list, and those that are seen.

        `trouble`: what kept everybody from it until now.
        """
        self._trouble = trouble
        self._telemetry.leads(True)
        self._leading.set()
        self._list_now.set()

    async def rest(self) -> None:
        """From now on somebody else schedules. Turns that don't end within `REST_SECONDS` are cut off."""
        self._leading.clear()
        self._telemetry.leads(False)
        await self._end_loops(within_seconds=REST_SECONDS)

    async def stop(self, *, within_seconds: float) -> None:
        """Let the turns that run end, for at most that long; begin no other."""
        self._stopping = True
        await self._end_loops(within_seconds=within_seconds)
        self._telemetry.leads(False)

    async def _end_loops(self, *, within_seconds: float) -> None:
        for running in self._running.values():
            running.loop.stop()
        tasks = [running.task for running in self._running.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CLOSE_SECONDS)

    def _start(self, policy: PolicyRef) -> None:
        if self._stopping or not self._leading.is_set():
            return
        if len(policy.name) > LONGEST_POLICY_NAME:
            # The CRD refuses such a name; one of an older CRD must not stop the others.
            log.error("the policy's name is too long", extra={"policy": policy.name, "at_most": LONGEST_POLICY_NAME})
            return
        scheduled = self._begin(policy, lambda: self._wake(policy.uid))
        telemetry = self._telemetry.policy(policy)
        loop = PolicyLoop(f"{policy.namespace}/{policy.name}", scheduled, self._trouble, telemetry)
        task = asyncio.create_task(self._run(policy, loop, scheduled, telemetry), name=f"policy {loop.name}")
        self._running[policy.uid] = _Running(loop, task)

    def _wake(self, uid: str) -> None:
        if uid in self._running:
            self._running[uid].loop.wake()

    async def _run(self, policy: PolicyRef, loop: PolicyLoop, scheduled: Scheduled, telemetry: PolicyTelemetry) -> None:
        log.info("initialised", extra={"policy": loop.name, "uid": policy.uid})
        try:
            await loop.run()
        finally:
            telemetry.close()
            await scheduled.stopped()
            self._running.pop(policy.uid, None)
            log.info("policy is no longer scheduled", extra={"policy": loop.name, "uid": policy.uid})
