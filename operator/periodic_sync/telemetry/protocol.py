"""What is told as it happens, whoever listens. Nothing here knows how it is kept or shown."""

from enum import StrEnum
from typing import Protocol

from periodic_sync.core.landed import BatchEnd
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.status import Findings


class TurnOutcome(StrEnum):
    """How a turn ended."""

    OK = "ok"
    CONFLICT = "conflict"
    """Somebody else wrote first: the next one begins at once."""
    TROUBLE = "trouble"
    """The API server or the store failed it: the next one waits."""
    FAULT = "fault"
    """The operator itself did; its log says more."""


class StoreOperation(StrEnum):
    """What a store is asked."""

    READ = "read"
    STATES = "states"
    ACTIVE = "active"
    POPULATION = "population"
    APPLY = "apply"
    TIDY = "tidy"


class PolicyTelemetry(Protocol):
    """One policy, for as long as it is scheduled here."""

    def turn_ended(self, outcome: TurnOutcome, seconds: float) -> None: ...

    def found(self, found: Findings) -> None:
        """What a turn found."""
        ...

    def batch_ended(self, end: BatchEnd) -> None:
        """Once its results are stored and the ledger has closed it, so that no batch is told twice."""
        ...

    def store_asked(self, store: str, operation: StoreOperation, seconds: float, is_answered: bool) -> None:
        """`store`: its kind. `is_answered`: it did what it was asked, and was not out of reach or unfit."""
        ...

    def close(self) -> None:
        """It is no longer scheduled here, and so nothing is known of it any more. What comes later is passed over."""
        ...


class Telemetry(Protocol):
    """The operator as a process."""

    def leads(self, is_leading: bool) -> None: ...

    def policy(self, policy: PolicyRef) -> PolicyTelemetry:
        """The same one for the same policy until that is closed."""
        ...


class _Silent:
    """Where nobody listens."""

    def leads(self, is_leading: bool) -> None: ...

    def policy(self, policy: PolicyRef) -> "_Silent":
        return self

    def turn_ended(self, outcome: TurnOutcome, seconds: float) -> None: ...

    def found(self, found: Findings) -> None: ...

    def batch_ended(self, end: BatchEnd) -> None: ...

    def store_asked(self, store: str, operation: StoreOperation, seconds: float, is_answered: bool) -> None: ...

    def close(self) -> None: ...


SILENT = _Silent()
