"""Time inside a run: the clock, the request to stop, and the pace at which calls may start."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from periodic_sync.worker.backoff import LONGEST_PAUSE, TimeLimit

LATENESS = 0.01  # seconds by which a sleep may end late on a busy node; rates above 100 a second would suffer most


@dataclass(frozen=True)
class Clock:
    """Where time and chance come from, so that tests may bring their own. All in seconds."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


class NotCalledError(Exception):
    """There will be no call now. Its text is the reason to give for the user."""


class Stop:
    """The request to end early, made once by a signal. Calls that run may finish; nothing waits any longer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = asyncio.Event()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def request(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Return once the stop is requested."""
        await self._event.wait()

    async def pause(self, seconds: float) -> None:
        """Wait that long, or until the stop is requested."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()


class Pacer:
    """Decides when the next call of this pod may start: evenly paced, and never while the service asked for a pause.

    Calls start in the order in which they asked for their turn, first attempts and further ones alike.
    """

    def __init__(self, requests_per_second: float | None, limit: TimeLimit, clock: Clock, stop: Stop) -> None:
        self._interval = 1.0 / requests_per_second if requests_per_second else 0.0
        self._limit = limit
        self._clock = clock
        self._stop = stop
        self._next = float("-inf")
        self._held_until = float("-inf")
        self._closed = ""
        self._turns = asyncio.Lock()  # FIFO: whoever waits for their moment keeps the others in order behind them

    async def turn(self) -> None:
        """Wait until a call may start.

        Raises: NotCalledError when that moment won't come within this run.
        """
        async with self._turns:
            while True:
                if self._stop.requested:
                    raise NotCalledError("interrupted")
                if self._closed:
                    raise NotCalledError(self._closed)
                now = self._clock.monotonic()
                moment = max(self._next, self._held_until)
                if max(moment, now) >= self._limit.cutoff:
                    raise NotCalledError("deadline")
                if moment <= now:
                    break
                await self._stop.pause(moment - now)
            # Waking up a little late must not lower the rate, so the next moment counts from the planned one; after a
            # longer time without calls it counts from now, as time saved up would become a burst.
            planned = self._next if now - self._next < max(self._interval, LATENESS) else now
            self._next = planned + self._interval

    def is_worth_waiting(self, seconds: float) -> bool:
        """Whether a call that long from now could still be made."""
        return seconds <= LONGEST_PAUSE and self._clock.monotonic() + seconds < self._limit.cutoff

    def hold(self, seconds: float) -> None:
        """Let no call start for that long. If the run can't outwait it, no call starts any more."""
        self._held_until = max(self._held_until, self._clock.monotonic() + seconds)
        if not self.is_worth_waiting(seconds):
            self._closed = f"not called: the service asked for a pause of {seconds:.0f}s"
