"""A policy's ledger and states as they were at one resource version, and what happens from there on. No I/O."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from periodic_sync.core.event_marks import Position
from periodic_sync.core.events import Event, of_ledgers, of_states
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef, ledger_name
from periodic_sync.core.reading import controller
from periodic_sync.core.users import UserState
from periodic_sync.kube.ledgers import ledger_in
from periodic_sync.stores.base import Owner, StoreNotReady
from periodic_sync.stores.state_objects import StateObjects
from periodic_sync.stores.state_plan import JOURNAL, Part

Object = Mapping[str, Any]

log = logging.getLogger(__name__)


class Versions:
    """Objects that can't be read count as not there: the operator tells of them."""

    def __init__(self, policy: PolicyRef) -> None:
        self._policy = policy
        self._objects = StateObjects(policy.namespace, Owner(policy.name, policy.uid))
        self._is_state = self._objects.selection().is_ours
        self._ledger_name = ledger_name(policy.name, policy.uid)
        self._ledger: Ledger | None = None
        self._states: dict[str, Mapping[str, UserState]] = {}

    def load(self, bodies: Iterable[Object]) -> None:
        """What was there at one moment."""
        self._ledger, self._states = None, {}
        for body in bodies:
            self.take("ADDED", body)

    def take(self, change: str, body: Object) -> tuple[Event, ...]:
        """One event of a watch, in order. change: ADDED, MODIFIED or DELETED."""
        metadata = body["metadata"]
        if controller(metadata).get("uid") != self._policy.uid:
            return ()
        there = change != "DELETED"
        if metadata["name"] == self._ledger_name:
            return self._take_ledger(_ledger(body) if there else None)
        if self._is_state(dict(metadata)):
            return self._take_states(self._objects.part(metadata["name"]), self._part(body) if there else None)
        return ()

    def _take_ledger(self, ledger: Ledger | None) -> tuple[Event, ...]:
        before, self._ledger = self._ledger, ledger
        return of_ledgers(before, ledger) if ledger is not None else ()

    def _take_states(self, part: str, users: Mapping[str, UserState] | None) -> tuple[Event, ...]:
        # What is new comes in by the journal alone; the others take over what was in it.
        events: tuple[Event, ...] = ()
        if part == JOURNAL and users is not None:
            last = self._states.get(JOURNAL, {})
            fresh = {user_id: state for user_id, state in users.items() if last.get(user_id) != state}
            events = of_states(self._states.values(), fresh)
        if users is None:
            self._states.pop(part, None)
        else:
            self._states[part] = users
        return events

    def _part(self, body: Object) -> Mapping[str, UserState] | None:
        try:
            found = self._objects.read(dict(body))
        except StoreNotReady as error:
            log.debug("state passed over", extra={"error": str(error)})
            return None
        return found.users if isinstance(found, Part) else None


def position_of(body: Object) -> Position:
    """Raises: ValueError where resource versions are no numbers."""
    return (int(body["metadata"]["resourceVersion"]),)


def _ledger(body: Object) -> Ledger | None:
    try:
        return ledger_in(body)
    except ValueError:
        return None
