"""The users of one policy during one turn: what the store says, or why it says nothing."""

from collections.abc import Mapping, Sequence

from periodic_sync.core.outcomes import Outcome
from periodic_sync.core.plan import User
from periodic_sync.core.status import Obstacle
from periodic_sync.core.users import NEVER_SYNCED, UserState
from periodic_sync.stores.base import Snapshot, Store, StoreNotReady


class Users:
    """A store that is not ready makes an obstacle of itself here, and stops nothing that can go on without it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.snapshot: Snapshot | None = None
        self.obstacle: Obstacle | None = None

    @property
    def states(self) -> Mapping[str, UserState]:
        return self.snapshot.states if self.snapshot else {}

    @property
    def highest_claim(self) -> int:
        return self.snapshot.highest_claim if self.snapshot else 0

    def all(self) -> list[User]:
        """Every valid record, with what is known of the user."""
        if self.snapshot is None:
            return []
        states = self.snapshot.states
        return [(record, states.get(user_id, NEVER_SYNCED)) for user_id, record in self.snapshot.records.items()]

    async def read(self, now: int) -> None:
        """Raises: ApiError."""
        try:
            self.snapshot = await self._store.read(now)
        except StoreNotReady as error:
            self._stop(error)

    async def apply(self, outcomes: Sequence[Outcome]) -> bool:
        """Returns: whether the store has them. Raises: ApiError."""
        try:
            await self._store.apply(outcomes)
        except StoreNotReady as error:
            self._stop(error)
            return False
        return True

    async def tidy(self, now: int) -> None:
        """Raises: ApiError."""
        if self.snapshot is None:
            return
        try:
            await self._store.tidy(now)
        except StoreNotReady as error:
            self._stop(error)

    def note(self) -> str:
        """What a person should know of a store that works all the same."""
        if self.snapshot is None:
            return ""
        problems = self.snapshot.problems
        skipped = f"{self.snapshot.skipped} entries skipped, wholly or in part: " if problems else ""
        return ". ".join((*self.snapshot.warnings, *([skipped + "; ".join(problems)] if problems else [])))

    def _stop(self, error: StoreNotReady) -> None:
        self.snapshot, self.obstacle = None, Obstacle("NotReady", str(error))
