"""Who waits to be synced, by priority, and how far the one that waits longest is behind."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from periodic_sync.api.names import Priority, Reason
from periodic_sync.core.due import decide, examine
from periodic_sync.core.plan import DUE, Population, due_by_priority
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import UserRecord, UserState

BY_THE_CLOCK = frozenset({Reason.DUE_STALE, Reason.DUE_REGULAR})


class Overdue(NamedTuple):
    """Somebody who is due by the clock and not in flight, and since when (ms)."""

    user_id: str
    since: int


@dataclass(slots=True)
class Waiting:
    """Users who are due and not in flight, whatever they wait for."""

    by_priority: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    never_synced: int = 0
    """Of these, as far as they were looked at: since when they are due nobody can tell."""
    longest: Overdue | None = None
    """Of those who were synced before."""

    def note(self, record: UserRecord, state: UserState, tick: Tick) -> None:
        """Count one user."""
        decision = decide(record, state, tick)
        if decision.reason in DUE and decision.priority is not None:
            self.by_priority[decision.priority] += 1
            self.look(record, state, tick, decision.reason)

    def look(self, record: UserRecord, state: UserState, tick: Tick, reason: Reason) -> None:
        """Without counting it by priority. reason: the Due code."""
        last = state.last_synced
        if last is None:
            self.never_synced += 1
        elif reason in BY_THE_CLOCK:
            due_at = examine(record, state, tick).due_at
            if last < due_at and (self.longest is None or due_at < self.longest.since):
                self.longest = Overdue(record.user_id, due_at)


def of_all(users: Iterable[tuple[UserRecord, UserState]], tick: Tick) -> Waiting:
    """Raises: UnknownTimeZoneError, as the others."""
    waiting = Waiting()
    for record, state in users:
        waiting.note(record, state, tick)
    return waiting


def of_population(population: Population, tick: Tick) -> Waiting:
    """By the census where there is one: those at hand are then the most urgent alone."""
    if population.census is None:
        return of_all(population.users, tick)
    # As the operator counts them: of a bulk request a census does not tell apart who is due anyway.
    waiting = Waiting(due_by_priority(population.census.due, population.census.by_reason))
    for record, state in population.users:
        reason = decide(record, state, tick).reason
        if reason in DUE:
            waiting.look(record, state, tick, reason)
    return waiting
