"""Works through a batch: `concurrency` users at once, in the batch's order, each with its attempts."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import aiohttp

from periodic_sync.worker.backoff import TimeLimit, backoff_seconds
from periodic_sync.worker.batch import Batch, User
from periodic_sync.worker.call import Request, Verdict, call
from periodic_sync.worker.calls import OK, REFUSED, RETRYABLE, Calls
from periodic_sync.worker.log import Log
from periodic_sync.worker.pace import Clock, NotCalledError, Pacer, Stop
from periodic_sync.worker.results import Failure
from periodic_sync.worker.settings import HttpSettings
from periodic_sync.worker.template import RenderError, body_for, render_url, values_for

DRAIN_SECONDS = 20.0  # for running calls after SIGTERM; with time to write results that fits Kubernetes' usual 30 s


@dataclass(frozen=True)
class Outcome:
    """How it ended for one user: `reason` is empty when synced."""

    reason: str
    attempts: int


class Run:
    """One batch being synced. Make it inside the event loop, then await `sync()` once."""

    def __init__(
        self,
        batch: Batch,
        http: HttpSettings,
        session: aiohttp.ClientSession,
        *,
        limit: TimeLimit,
        clock: Clock,
        stop: Stop,
        log: Log,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._batch = batch
        self._http = http
        self._session = session
        self._limit = limit
        self._clock = clock
        self._stop = stop
        self._log = log
        self._drain_seconds = drain_seconds
        self._pacer = Pacer(http.requests_per_second, limit, clock, stop)
        self._outcomes: dict[int, Outcome] = {}
        self.calls = Calls()

    async def sync(self) -> dict[int, Failure]:
        """Sync everyone there is time for.

        Returns: those who failed, by position in the batch; who was not reached failed as "deadline" or "interrupted".
        """
        queue = iter(enumerate(self._batch.users))
        slots = min(self._http.concurrency, len(self._batch.users))
        await self._finish([asyncio.create_task(self._slot(queue)) for _ in range(slots)])
        for position in range(len(self._batch.users)):
            if position not in self._outcomes:  # its slot was cancelled
                self._record(position, Outcome("interrupted", 0))
        return {
            position: Failure(self._batch.users[position].public_id, outcome.reason)
            for position, outcome in self._outcomes.items()
            if outcome.reason
        }

    async def _finish(self, slots: list[asyncio.Task[None]]) -> None:
        """Wait for the slots; after a stop only as long as running calls are given, then cancel them."""
        stopping = asyncio.create_task(self._stop.wait())
        working: set[asyncio.Task[None]] = set(slots)
        while working and not stopping.done():
            await asyncio.wait({*working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            working = {slot for slot in working if not slot.done()}
        if working:
            await asyncio.wait(working, timeout=self._drain_seconds)
        for task in (*slots, stopping):
            task.cancel()
        await asyncio.gather(*slots, stopping, return_exceptions=True)

    async def _slot(self, queue: Iterator[tuple[int, User]]) -> None:
        """Take users one after the other. A user's waits keep the slot: a service in trouble gets fewer calls.

        Past the cutoff, and after a stop, the pacer refuses calls, so that the rest of the queue fails at once.
        """
        for position, user in queue:
            try:
                outcome = await self._sync_user(user)
            except Exception as error:  # a mistake of ours costs this user, not the rest of the batch
                outcome = Outcome(f"error in the worker: {type(error).__name__}", 0)
            self._record(position, outcome)

    async def _sync_user(self, user: User) -> Outcome:
        request = self._request(user)
        if isinstance(request, Outcome):
            return request
        reason = ""
        for attempt in range(1, self._http.attempts + 1):
            try:
                await self._pacer.turn()
            except NotCalledError as error:
                return Outcome(reason or str(error), attempt - 1)
            began = self._clock.monotonic()
            verdict = await self._call(request)
            self.calls.add(_kind_of(verdict), self._clock.monotonic() - began, is_retry=attempt > 1)
            reason = verdict.reason
            if verdict.holds_everyone and verdict.retry_after is not None:
                self._pacer.hold(verdict.retry_after)
            if not verdict.retried or attempt == self._http.attempts:
                return Outcome(reason, attempt)
            # The jitter goes on top of Retry-After, or all who were told the same moment would come back at it.
            delay = backoff_seconds(attempt, self._clock.random) + (verdict.retry_after or 0.0)
            if not self._pacer.is_worth_waiting(delay):
                return Outcome(reason, attempt)
            await self._stop.pause(delay)
        raise AssertionError("attempts is at least 1")

    def _request(self, user: User) -> Request | Outcome:
        http = self._http
        try:
            url = render_url(http.url, values_for(self._batch, user))
        except RenderError as error:
            return Outcome(str(error), 0)
        return Request(http.method, url, body_for(http.method, http.body, self._batch, user))

    async def _call(self, request: Request) -> Verdict:
        left = self._limit.end - self._clock.monotonic()
        verdict = await call(self._session, request, min(self._http.timeout, left), self._clock.wall)
        cut_short = left < self._http.timeout and verdict.reason.startswith("timeout")
        return replace(verdict, reason="deadline") if cut_short else verdict

    def _record(self, position: int, outcome: Outcome) -> None:
        self._outcomes[position] = outcome
        if outcome.reason:
            user = self._batch.users[position].public_id or f"users[{position}]"
            self._log.warning("user failed", user=user, reason=outcome.reason, attempts=outcome.attempts)


def _kind_of(verdict: Verdict) -> str:
    if not verdict.reason:
        return OK
    return RETRYABLE if verdict.retried else REFUSED
