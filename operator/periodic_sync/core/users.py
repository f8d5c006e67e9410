"""What is known of a user: the record that applications write, and the state that belongs to the operator alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NO_TOKENS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One valid entry of a store, as an application wrote it. Instants and durations in milliseconds."""

    user_id: str
    wallet: str = field(repr=False)
    last_active: int
    interval: int | None = None
    """The user's own interval in place of both of the policy's, before `userMinimum` is applied."""
    time_zone: str | None = None
    """An IANA name that exists: this user's market hours instead of the policy's zone."""
    sync_requested_at: int | None = None
    changed_tokens: Mapping[str, int] = field(default_factory=lambda: NO_TOKENS)
    """Token address to the instant of its change; a hint that never makes anyone due."""


@dataclass(frozen=True, slots=True)
class UserState:
    """What the operator knows of one user. Claim numbers order results and requests, whatever the clocks do."""

    last_synced: int | None = None
    """When the last batch that synced this user was claimed."""
    last_claim: int = 0
    """Number of the last claim whose result was applied: a result of an equal or lower one changes nothing."""
    last_outcome: int = 0
    """Number of the last claim that synced or failed this user (a return without blame is no outcome)."""
    failures: int = 0
    """Failures in a row that count as the user's own."""
    failed_at: int = 0
    """When the last of them was seen: back-off runs from here."""
    unexplained: int = 0
    """Batches in a row that failed without saying who failed."""
    returns: int = 0
    """Batches in a row that ended without blame (evicted, deleted, disrupted)."""
    request_served: int = 0
    """The `syncRequestedAt` last served."""


NEVER_SYNCED = UserState()
