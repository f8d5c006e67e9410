"""The users of one policy during one turn: what the store says, or why it says nothing."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from periodic_sync.api.reasons import ConditionReason
from periodic_sync.core.outcomes import Outcome
from periodic_sync.core.plan import Population
from periodic_sync.core.status import Obstacle
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import UserState
from periodic_sync.stores.base import Report, Store, StoreNotReady, was_emptied
from periodic_sync.telemetry.protocol import StoreOperation

Told = Callable[[StoreOperation, float, bool], None]
"""What the store was asked, for how long (seconds), and whether it did that."""

T = TypeVar("T")


class Users:
    """A store that is not ready makes an obstacle of itself here, and stops nothing that can go on without it.

    What it is asked then is answered with None. Every method may raise ApiError.
    """

    def __init__(self, store: Store, told: Told = lambda operation, seconds, is_answered: None) -> None:
        self._store = store
        self._told = told
        self.report: Report | None = None
        """None: it was not read, or has failed since."""
        self.obstacle: Obstacle | None = None

    @property
    def highest_claim(self) -> int:
        return self.report.highest_claim if self.report else 0

    async def read(self, now: int, *, known: str = "") -> None:
        """known: which store the ledger remembers."""
        self.report = await self._ask(StoreOperation.READ, self._store.read(now))
        if self.report is not None and was_emptied(known, self.report.identity):
            self._stop(
                "The store holds nothing, though it held users before: it was restarted without its data, or emptied. "
                "Nothing is synced until its data is restored, or applications have registered users again"
            )

    async def states(self, user_ids: Collection[str]) -> Mapping[str, UserState] | None:
        """What is known of these."""
        return await self._ask(StoreOperation.STATES, self._store.states(user_ids)) if self.report else None

    async def active(self, since: int) -> int | None:
        return await self._ask(StoreOperation.ACTIVE, self._store.active(since)) if self.report else None

    async def population(self, tick: Tick) -> Population | None:
        """Raises: UnknownTimeZoneError."""
        return await self._ask(StoreOperation.POPULATION, self._store.population(tick)) if self.report else None

    async def apply(self, outcomes: Sequence[Outcome]) -> bool:
        """Returns: whether the store has them."""
        return await self._ask(StoreOperation.APPLY, _done(self._store.apply(outcomes))) is not None

    async def tidy(self, now: int) -> None:
        if self.report is not None:
            await self._ask(StoreOperation.TIDY, self._store.tidy(now))

    def note(self) -> str:
        """What a person should know of a store that works all the same."""
        if self.report is None:
            return ""
        problems = self.report.problems
        skipped = f"{self.report.skipped} entries skipped, wholly or in part: " if problems else ""
        return ". ".join((*self.report.warnings, *([skipped + "; ".join(problems)] if problems else [])))

    async def _ask(self, operation: StoreOperation, answer: Awaitable[T]) -> T | None:
        began = time.monotonic()
        is_answered = False
        try:
            answered = await answer
            is_answered = True
            return answered
        except StoreNotReady as error:
            self._stop(str(error))
            return None
        finally:
            self._told(operation, time.monotonic() - began, is_answered)

    def _stop(self, why: str) -> None:
        self.report, self.obstacle = None, Obstacle(ConditionReason.NOT_READY, why)


async def _done(work: Awaitable[None]) -> bool:
    await work
    return True
