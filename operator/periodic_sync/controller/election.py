"""The election as a task: it tries for the Lease, keeps it, tells when leading begins and ends, and gives it back."""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from periodic_sync.api.durations import SECOND
from periodic_sync.api.errors import AlreadyExistsError, ApiError, ConflictError, UnavailableError
from periodic_sync.controller.loop import Trouble
from periodic_sync.core.election import RENEW_DEADLINE, Act, LeaseRecord, Standing
from periodic_sync.kube.leases import Leases, LeaseVersion, micro_time

LOST_RACES = 3
"""So many in one try are no race any more; the next try may see what it is."""

REPEAT_SECONDS = 30.0
"""The same trouble is told again after so long."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Led(Protocol):
    """What only the leader does."""

    def lead(self, trouble: Trouble | None) -> None:
        """`trouble`: what kept this operator from leading until now; None: somebody else led."""
        ...

    async def rest(self) -> None:
        """Stop leading; over within what is left of the Lease."""
        ...


def new_identity(host: str) -> str:
    """A holder's name: the pod's, or the machine's, and what tells this process from the one before it."""
    return f"{host}_{secrets.token_hex(4)}"


class Elector:
    """One operator's part in the election. Only `run` touches the Lease, so that one request is out at a time."""

    def __init__(self, leases: Leases, identity: str, led: Led, clock: Callable[[], int]) -> None:
        """`clock`: milliseconds since the epoch, for the times that people read in the Lease; nothing depends on it."""
        self._clock = clock
        self._leases = leases
        self._led = led
        self._standing = Standing(identity)
        self._version: LeaseVersion | None = None
        self._must_read = True
        self._woken = asyncio.Event()
        self._stopping = False
        self._told_holder = ""
        self._trouble: Trouble | None = None
        self._told_error = ""
        self._told_at = 0.0
        self.is_leading = False
        self.last_try = time.monotonic()
        """The heartbeat, in monotonic seconds."""

    def _lease_changed(self) -> None:
        """Somebody wrote the Lease: whoever stands by looks at once, since it may be free."""
        if not self.is_leading:
            self._woken.set()

    def stop(self) -> None:
        """Give the Lease back, and let `run` end. What is led must have stopped before."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Until stopped."""
        log.info("standing for election", extra={"lease": self._name, "identity": self._standing.identity})
        watch = asyncio.create_task(self._leases.follow(self._lease_changed), name="watch of the Lease")
        try:
            await self._stand()
        finally:
            watch.cancel()
        await self._release()

    async def _stand(self) -> None:
        while not self._stopping:
            self._woken.clear()
            # First, since a process that was frozen wakes up here, its Lease long over.
            await self._follow("")
            why = await self._try()
            await self._follow(why)
            self.last_try = time.monotonic()
            await self._pause()

    async def _try(self) -> str:
        """Get or keep the Lease. Returns: why it could be had."""
        try:
            act = await self._claim()
        except ApiError as error:
            self._must_read = True
            self._tell_trouble(str(error))
            return ""
        if act is Act.WAIT or self.is_leading:
            self._trouble = None  # or else it is told by whoever leads now
        return act.value

    async def _claim(self) -> Act:
        """Raises: ApiError, also where the last race was lost."""
        for _ in range(LOST_RACES):
            if self._must_read:
                self._version = await self._in_time(self._leases.read())
                self._standing = self._standing.found(self._version.record if self._version else None, _now())
            act = self._standing.act(_now())
            self._must_read = act is Act.WAIT
            if act is Act.WAIT:
                return act
            try:
                await self._write(self._standing.claim(self._stamp()))
                return act
            except (ConflictError, AlreadyExistsError):
                self._must_read = True
        raise ConflictError(f"the Lease was written by others {LOST_RACES} times in a row")

    async def _write(self, record: LeaseRecord) -> None:
        sent_at = _now()
        before = self._version
        write = self._leases.create(record) if before is None else self._leases.swap(before, record)
        self._version = await self._in_time(write)
        self._standing = self._standing.wrote(record, sent_at)

    async def _in_time(self, request: Awaitable[T]) -> T:
        milliseconds = self._standing.request_timeout(_now())
        try:
            async with asyncio.timeout(milliseconds / SECOND):
                return await request
        except TimeoutError as error:
            raise UnavailableError(f"no answer from the API server within {milliseconds / SECOND:.1f} s") from error

    async def _follow(self, why: str) -> None:
        """Begin or end to lead, as the Lease has it. `why`: it could be had."""
        leads = self._standing.leads(_now())
        if leads and not self.is_leading:
            self.is_leading = True
            log.info("leading", extra={"lease": self._name, "identity": self._standing.identity, "why": why})
            self._led.lead(self._trouble)
            self._trouble = None
        elif self.is_leading and not leads:
            log.warning("no longer leading", extra={"lease": self._name, "why": self._why_not()})
            self.is_leading = False
            self._standing = self._standing.stepped_down()
            await self._led.rest()
        if not leads and self._standing.holder != self._told_holder:
            log.info("standing by", extra={"lease": self._name, "leader": self._standing.holder or "nobody"})
        self._told_holder = self._standing.holder

    def _why_not(self) -> str:
        if self._standing.renewed_at is None:
            return f"{self._standing.holder} holds the Lease"
        return f"the Lease could not be renewed for {RENEW_DEADLINE // SECOND} s"

    async def _pause(self) -> None:
        milliseconds = self._standing.pause(_now(), random.random())
        with suppress(TimeoutError):
            async with asyncio.timeout(milliseconds / SECOND):
                await self._woken.wait()

    async def _release(self) -> None:
        """By emptying its holder, so that the next one need not wait until it is over."""
        self._standing = self._standing.stepped_down()
        try:
            if self._must_read:
                self._version = await self._in_time(self._leases.read())
                self._standing = self._standing.found(self._version.record if self._version else None, _now())
            record = self._standing.release(self._stamp())
            if record is not None and self._version is not None:
                await self._in_time(self._leases.swap(self._version, record))
                log.info("the Lease is released", extra={"lease": self._name})
        except ApiError as error:
            log.warning("the Lease could not be released", extra={"lease": self._name, "error": str(error)})
        self.is_leading = False

    def _tell_trouble(self, error: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._trouble is None:
            self._trouble, self._told_error = Trouble(error, now), ""
        if error != self._told_error or now - self._told_at > REPEAT_SECONDS:
            self._told_error, self._told_at = error, now
            log.warning("the Lease is out of reach, trying again", extra={"lease": self._name, "error": error})

    def _stamp(self) -> str:
        return micro_time(self._clock())

    @property
    def _name(self) -> str:
        return f"{self._leases.namespace}/{self._leases.name}"


def _now() -> int:
    """Milliseconds of the event loop's clock, which is monotonic."""
    return int(asyncio.get_running_loop().time() * SECOND)
