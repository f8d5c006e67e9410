"""What an operator remembers, from one of its requests to the next."""

from enum import IntEnum
from typing import Any, NamedTuple

from unit.model.functions import Endings, JobLook


class At(IntEnum):
    """Where an operator is: what its next request will be."""

    READY = 0
    """It has read the ledger, and may look, plan or write."""
    LOOK = 1
    MARK = 2
    POST = 3
    ABANDON = 4
    STORE = 5
    CLOSE = 6
    DELETE_FILE = 7
    DELETE_JOB = 8
    CLAIM = 9
    DISCARD = 10
    COUNT = 11


CURRENT = 0
"""In place of a ledger: the one there is now."""
SOME_STALE = -1


class Operator(NamedTuple):
    at: At = At.READY
    ledger: int = CURRENT
    """The one it remembers."""
    claim: int = 0
    """The claim it is busy with."""
    notes: tuple[Any, ...] = ()
    """What else it remembers of it. While it looks: what it has seen so far."""
    endings: Endings = ()
    """Results on their way to the store, then to the ledger."""
    then: At = At.READY
    """Where it goes on once these are in the store."""

    @property
    def seen_uid(self) -> int:
        """Of the Job that it has in mind. 0: of none."""
        for note in self.notes:
            if isinstance(note, JobLook):
                return note.uid
        return int(self.notes[0]) if self.at == At.DELETE_JOB else 0

    def after_storing(self) -> "Operator":
        if self.then == At.READY:
            return READY
        if self.then == At.DELETE_FILE:
            return Operator(At.DELETE_FILE, self.ledger, self.claim)
        return self._replace(at=self.then, then=At.READY)

    def without_post(self, claim: int) -> "Operator":
        """Its POST of that Job, if it was about to send one, is lost."""
        return READY if self.at == At.POST and self.claim == claim else self


READY = Operator()


class Interest(NamedTuple):
    """What in the world an operator still has in mind."""

    claim: int
    """The one it is busy with. 0: none."""
    uid: int
    """Of its Job."""
    remembered: frozenset[int]
    """Claims that are open in the ledger it remembers."""


def lost(me: Operator) -> Operator:
    """What is left of an operator's plans once the ledger it remembers is no longer the current one."""
    match me.at:
        case At.MARK | At.ABANDON | At.CLOSE | At.COUNT:
            return READY
        case At.CLAIM:
            return Operator(At.DISCARD, claim=me.claim)
        case At.POST:
            return Operator(At.POST, SOME_STALE, me.claim)
        case At.STORE if me.then != At.DELETE_FILE:
            return Operator(At.STORE, claim=me.claim, endings=me.endings)
        case _:
            return me
