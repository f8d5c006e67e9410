"""The policies there are, each with a loop of its own. Events make loops begin at once; a list of our own, every so
often, finds those whose event was lost."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from periodic_sync.api.errors import ApiError
from periodic_sync.controller.loop import PolicyLoop, Scheduled
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import SYNC_POLICIES

RESYNC_SECONDS = 30.0

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
    ) -> None:
        """`begin(policy, wake)` makes what has the turns. `namespace`: the only one that is served; None: all."""
        self._client = client
        self._begin = begin
        self._namespace = namespace
        self._running: dict[str, _Running] = {}
        self._jobs: dict[str, tuple[object, ...]] = {}
        self._stopping = False
        self.last_listed = time.monotonic()
        """When the list of policies was last read."""

    @property
    def loops(self) -> list[PolicyLoop]:
        return [running.loop for running in self._running.values()]

    def seen(self, policy: PolicyRef) -> None:
        """There is such a policy, and something about it may have changed."""
        running = self._running.get(policy.uid)
        if running is not None:
            running.loop.wake()
        elif not self._stopping:
            self._start(policy)

    def job_changed(self, policy_uid: str, job_uid: str, essence: tuple[object, ...], *, is_gone: bool) -> None:
        """Wake the policy's loop if the Job changed in a way that matters: `essence` differs from the last one."""
        if self._jobs.get(job_uid) == essence and not is_gone:
            return
        if is_gone:
            self._jobs.pop(job_uid, None)
        else:
            self._jobs[job_uid] = essence
        if policy_uid in self._running:
            self._running[policy_uid].loop.wake()

    async def keep_listing(self) -> None:
        """Find policies whose event was lost, until cancelled."""
        while True:
            try:
                for item in await self._client.list(SYNC_POLICIES, self._namespace, metadata_only=True):
                    policy = PolicyRef(*(item["metadata"][key] for key in ("namespace", "name", "uid")))
                    if policy.uid not in self._running:
                        self.seen(policy)
                self.last_listed = time.monotonic()
            except ApiError as error:
                log.warning("the list of SyncPolicies can't be read", extra={"error": str(error)})
            await asyncio.sleep(RESYNC_SECONDS)

    async def stop(self, *, within_seconds: float) -> None:
        """Let the turns that run end, for at most that long; begin no other."""
        self._stopping = True
        for running in self._running.values():
            running.loop.stop()
        tasks = [running.task for running in self._running.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start(self, policy: PolicyRef) -> None:
        scheduled = self._begin(policy, lambda: self._wake(policy.uid))
        loop = PolicyLoop(f"{policy.namespace}/{policy.name}", scheduled)
        task = asyncio.create_task(self._run(policy, loop, scheduled), name=f"policy {loop.name}")
        self._running[policy.uid] = _Running(loop, task)

    def _wake(self, uid: str) -> None:
        if uid in self._running:
            self._running[uid].loop.wake()

    async def _run(self, policy: PolicyRef, loop: PolicyLoop, scheduled: Scheduled) -> None:
        log.info("initialised", extra={"policy": loop.name, "uid": policy.uid})
        try:
            await loop.run()
        finally:
            await scheduled.stopped()
            self._running.pop(policy.uid, None)
            log.info("policy is no longer scheduled", extra={"policy": loop.name, "uid": policy.uid})
