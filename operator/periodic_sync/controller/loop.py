"""The loop of one policy: turns, each woken by an event or by the next due time, and at least one every tick.

A turn reads everything anew, so that an event lost costs a tick and nothing else. Whatever goes wrong in a turn is
waited out here: one policy's trouble never stops another's loop, nor its own for good.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Protocol

from periodic_sync.api.durations import SECOND
from periodic_sync.api.errors import ApiError, ConflictError
from periodic_sync.core.pace import TICK
from periodic_sync.core.transitions import SupersededError
from periodic_sync.telemetry.protocol import SILENT, PolicyTelemetry, TurnOutcome

SHORTEST_REST_SECONDS = 0.05
"""Events come in crowds; a turn that begins a moment later sees them all."""

LONGEST_REST_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0
WORTH_AN_EVENT_SECONDS = 5.0
CONFLICTS_IN_A_ROW = 20
"""Lost races are retried at once; that many in a row are no race any more."""

log = logging.getLogger(__name__)


class PolicyGoneError(Exception):
    """The policy was deleted, or made again under another UID: its loop ends."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a turn wants next. `at`: the next moment that matters, in ms since the epoch; None: only the tick."""

    now: int
    at: int | None


class Scheduled(Protocol):
    """One policy, as its loop knows it."""

    async def turn(self) -> Schedule:
        """Do all there is to do now.

        Raises: PolicyGoneError; ConflictError, SupersededError: begin anew; ApiError: wait.
        """
        ...

    async def recovered(self, error: str, seconds: float) -> None:
        """Turns succeed again, after `error` had stopped them for that long."""
        ...

    async def stopped(self) -> None:
        """No further turn follows."""
        ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """What has kept turns from succeeding, and since when (monotonic seconds).

    Its first error: one that follows may come of the first, or of its end, as the 403 of an API server that has only
    just come back and not yet read its roles.
    """

    error: str
    since: float


class PolicyLoop:
    """Runs one policy's turns until stopped, or until the policy is gone."""

    def __init__(
        self, name: str, policy: Scheduled, trouble: Trouble | None = None, telemetry: PolicyTelemetry = SILENT
    ) -> None:
        """`trouble`: what has kept this policy from being scheduled until now."""
        self.name = name
        self._policy = policy
        self._telemetry = telemetry
        self._outcome = TurnOutcome.OK
        self._woken = asyncio.Event()
        self._stopping = False
        self._pause = FIRST_PAUSE_SECONDS
        self._conflicts = 0
        self._trouble = trouble
        self.turn_began: float | None = None
        """Monotonic seconds; None between turns."""
        self.last_ended = time.monotonic()
        """When a turn last ended, well or not: the heartbeat."""

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        """End after the turn that runs."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            began = self.turn_began = time.monotonic()
            try:
                until = await self._one_turn(began)
            except PolicyGoneError:
                return
            finally:
                self.last_ended = time.monotonic()
                self.turn_began = None
            took = self.last_ended - began
            self._telemetry.turn_ended(self._outcome, took)
            log.debug("turn ended", extra={"policy": self.name, "milliseconds": round(took * 1000, 1)})
            if until is None:
                continue
            # Resting as long as the turn took keeps half of a core free, however many events come.
            await self._rest(max(SHORTEST_REST_SECONDS, min(took, LONGEST_REST_SECONDS)))
            await self._sleep_until(until)

    async def _one_turn(self, began: float) -> float | None:
        """Returns: when the next turn is, in monotonic seconds, unless woken; None: at once."""
        self._outcome = TurnOutcome.OK
        try:
            schedule = await self._policy.turn()
            await self._tell_recovery()
        except PolicyGoneError:
            raise
        except (ConflictError, SupersededError) as conflict:
            self._conflicts += 1
            self._outcome = TurnOutcome.CONFLICT
            if self._conflicts < CONFLICTS_IN_A_ROW:
                log.debug("lost a race", extra={"policy": self.name, "error": str(conflict)})
                return None
            return self._after_trouble(f"lost {self._conflicts} races in a row: {conflict}")
        except ApiError as error:
            self._outcome = TurnOutcome.TROUBLE
            return self._after_trouble(str(error))
        except Exception as error:
            self._outcome = TurnOutcome.FAULT
            log.exception("turn failed", extra={"policy": self.name})
            return self._after_trouble(f"a fault of the operator itself, see its log: {error!r}")
        self._pause, self._conflicts = FIRST_PAUSE_SECONDS, 0
        # The turn looked at the clock when it began, so what is left counts from there.
        wanted = TICK if schedule.at is None else min(TICK, schedule.at - schedule.now)
        return began + wanted / SECOND

    def _after_trouble(self, error: str) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        if self._trouble is None:
            self._trouble = Trouble(error, time.monotonic())
        log.warning(
            "nothing is scheduled for now, trying again",
            extra={"policy": self.name, "error": error, "in_seconds": pause},
        )
        return time.monotonic() + pause

    async def _tell_recovery(self) -> None:
        if self._trouble is None:
            return
        error, seconds = self._trouble.error, time.monotonic() - self._trouble.since
        self._trouble = None
        log.warning("scheduling goes on", extra={"policy": self.name, "after_seconds": round(seconds), "error": error})
        if seconds >= WORTH_AN_EVENT_SECONDS:
            await self._policy.recovered(error, seconds)

    async def _rest(self, seconds: float) -> None:
        if not self._stopping:
            await asyncio.sleep(seconds)

    async def _sleep_until(self, moment: float) -> None:
        """Until woken, at most until that moment (monotonic seconds)."""
        try:
            async with asyncio.timeout(max(0.0, moment - time.monotonic())):
                await self._woken.wait()
        except TimeoutError:
            return
