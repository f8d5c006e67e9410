"""Which users are chosen, and how those that were found are shown to programs."""

from dataclasses import dataclass, field
from typing import Any

from periodic_sync.api.names import Reason
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client.backend import Known
from periodic_sync.client.users import user_of
from periodic_sync.core.due import Decision, examine
from periodic_sync.core.explain import explain
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED
from periodic_sync.server.shown import instant, shown_user


@dataclass(frozen=True, slots=True)
class Selection:
    """Whoever fits one of these; without any, everybody."""

    reasons: frozenset[Reason] = frozenset()
    stale: bool = False
    failing: bool = False
    in_flight: bool = False
    inactive: bool = False

    @property
    def is_some(self) -> bool:
        return bool(self.reasons) or self.stale or self.failing or self.in_flight or self.inactive

    @property
    def is_in_flight_alone(self) -> bool:
        others = self.reasons - {Reason.IN_FLIGHT}
        return self.is_some and not (others or self.stale or self.failing or self.inactive)

    def fits(self, known: Known, tick: Tick) -> bool:
        """Raises: UnknownTimeZoneError."""
        if not self.is_some:
            return True
        record, state = known.record, known.state or NEVER_SYNCED
        if self.in_flight and record.user_id in tick.in_flight:
            return True
        if self.failing and (state.failures or state.unexplained):
            return True
        case = examine(record, state, tick)
        if (self.inactive and not case.is_active) or (self.stale and case.is_active and case.is_stale):
            return True
        return bool(self.reasons) and explain(record, state, tick).reason in self.reasons


@dataclass(slots=True)
class Found:
    """Users, and the tick by which they are judged."""

    policy: SyncPolicy
    tick: Tick
    users: list[tuple[Known, Decision]] = field(default_factory=list)
    cursor: str = ""
    """For the next page; empty: there is none."""
    has_more: bool = False
    """Others fit too."""

    def add(self, known: Known) -> None:
        """Raises: UnknownTimeZoneError."""
        self.users.append((known, explain(known.record, known.state or NEVER_SYNCED, self.tick)))

    def document(self, *, wallets: bool) -> dict[str, Any]:
        """As the HTTP API pages them, with each one's reason."""
        return {
            "users": [_user(known, decision, wallets=wallets) for known, decision in self.users],
            "cursor": self.cursor,
            "hasMore": bool(self.cursor) or self.has_more,
            "asOf": instant(self.tick.now),
        }


def _user(known: Known, decision: Decision, *, wallets: bool) -> dict[str, Any]:
    shown = shown_user(user_of(*known)).model_dump(mode="json", by_alias=True)
    if not wallets:
        del shown["wallet"], shown["changedTokens"]  # which are addresses too, and a wallet by mistake
    return shown | {
        "reason": decision.reason.value,
        "heldFrom": decision.held_from and decision.held_from.value,
        "priority": decision.priority and decision.priority.value,
        "dueAt": None if decision.due_at is None else instant(decision.due_at),
        "until": None if decision.until is None else instant(decision.until),
    }
