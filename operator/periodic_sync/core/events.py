"""What happens to a policy, told from what changed: two versions of its ledger, or of what is known of a user.

An event is made of what was written and nothing else, so that whoever reads the same versions tells the same events.
No wallet, and no text of a worker, is in any of them. docs/reference/live-events.md describes them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from periodic_sync.api.names import Priority
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.outcomes import back_off
from periodic_sync.core.users import NEVER_SYNCED, UserState


@dataclass(frozen=True, slots=True)
class BatchScheduled:
    """A batch was claimed: its users are in flight. One for each index of a Job. at: milliseconds."""

    TYPE: ClassVar = "batch.scheduled"
    job: str
    batch: str
    """As in the worker's batch file."""
    index: int
    priority: Priority
    at: int


@dataclass(frozen=True, slots=True)
class UserSynced:
    """A batch synced this user. at: when it was claimed, which is the user's `lastSynced` (ms)."""

    TYPE: ClassVar = "user.synced"
    user: str
    at: int
    claim: int


@dataclass(frozen=True, slots=True)
class UserFailed:
    """A batch failed for this user, or failed without naming anybody. retry_at: ms; None: at once."""

    TYPE: ClassVar = "user.failed"
    user: str
    failures: int
    unexplained: int
    retry_at: int | None


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """The operator acts on another generation of the spec."""

    TYPE: ClassVar = "policy.changed"
    generation: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Something may have been missed: whoever needs to know reads it anew."""

    TYPE: ClassVar = "gap"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Nothing happened; everything up to its id has been told."""

    TYPE: ClassVar = "bookmark"


Event = BatchScheduled | UserSynced | UserFailed | PolicyChanged | Gap | Bookmark
TYPES: tuple[type[Event], ...] = (BatchScheduled, UserSynced, UserFailed, PolicyChanged, Gap, Bookmark)


def of_ledgers(before: Ledger | None, after: Ledger) -> tuple[Event, ...]:
    """before: None where there was none. The open Jobs of a ledger that is new were claimed long ago."""
    events: list[Event] = []
    acted_on = (after.generation, after.enabled)
    if acted_on != ((before.generation, before.enabled) if before else (0, False)):
        events.append(PolicyChanged(*acted_on))
    known = {job.name for job in (before or after).jobs}
    for job in after.jobs:
        if job.name not in known:
            events += (
                BatchScheduled(job.name, f"{job.name}-{index}", index, priority, job.claimed_at)
                for index, priority in enumerate(job.priorities)
            )
    return tuple(events)


def of_state(user_id: str, before: UserState, after: UserState) -> Event | None:
    """None where nothing ended for the user, or a batch was returned without blame."""
    if after.last_claim <= before.last_claim or after.last_outcome <= before.last_outcome:
        return None
    if after.failures or after.unexplained:
        retry_at = after.failed_at + back_off(after.failures) if after.failures else None
        return UserFailed(user_id, after.failures, after.unexplained, retry_at)
    return UserSynced(user_id, after.last_synced or 0, after.last_outcome)


def of_states(before: Iterable[Mapping[str, UserState]], after: Mapping[str, UserState]) -> tuple[Event, ...]:
    """before: what was known, of one user perhaps several times, of which the latest claim counts."""
    maps = tuple(before)
    events = (
        of_state(
            user_id, max((known.get(user_id, NEVER_SYNCED) for known in maps), key=_claim, default=NEVER_SYNCED), state
        )
        for user_id, state in after.items()
    )
    return tuple(event for event in events if event is not None)


def _claim(state: UserState) -> int:
    return state.last_claim
