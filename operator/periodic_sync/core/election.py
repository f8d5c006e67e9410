"""Who leads: what one operator knows of the Lease, and what follows from that.

Whether a Lease is over is told by the operator's own monotonic clock, from when it last saw the record change: what
another machine's clock wrote into the record says nothing. A clock that stands still with its machine (a frozen virtual
machine) makes an operator believe in its Lease for too long; its next renewal then fails by compare-and-swap.

Nothing but work is saved by this. Two who lead at once are kept apart by the ledger, like any two operators.
All numbers are milliseconds, instants of the monotonic clock.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from periodic_sync.api.durations import SECOND

LEASE = 12 * SECOND
"""A Lease that nobody has renewed for so long may be taken. A successor leads within 20 s of a crash: this, the
pause of whoever saw the last renewal late, and one request that gets no answer."""

RENEW_DEADLINE = 8 * SECOND
"""A leader that has not renewed for so long stops. What is left of the Lease is for its turns to end, and for clocks
that run at different speeds."""

RETRY = 2 * SECOND
LONGEST_JITTER = 0.2
"""Pauses are longer by up to this share, so that several operators don't ask in step."""

REQUEST_TIMEOUT = 3 * SECOND
"""Short, so that a connection that is dead leaves time for two more tries before the deadline."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says. `holder`: "" where it was released. The times are the writer's own: kept, compared for
    being equal, and never read."""

    holder: str
    acquired: str
    renewed: str
    transitions: int
    """How often the holder has changed."""


class Act(StrEnum):
    """What to do about the Lease now; the text says why, for the log."""

    CREATE = "there was no Lease"
    RENEW = "the Lease is its own"
    TAKE_FREE = "the Lease was free"
    TAKE_OVER = "its holder no longer renewed it"
    WAIT = "somebody else holds it"


@dataclass(frozen=True, slots=True)
class Standing:
    """What one operator knows. `record`: the Lease as last read or written; None: there was none."""

    identity: str
    record: LeaseRecord | None = None
    changed_at: int = 0
    """When somebody else's record was first seen as it is."""
    renewed_at: int | None = None
    """When the last renewal that succeeded was sent; None: this operator does not lead."""

    def found(self, record: LeaseRecord | None, now: int) -> "Standing":
        """The Lease was read."""
        changed_at = self.changed_at if record == self.record else now
        # One that was released or deleted under its leader is nobody else's yet, so the leader may renew it.
        is_lost = record is not None and record.holder not in ("", self.identity)
        return replace(self, record=record, changed_at=changed_at, renewed_at=None if is_lost else self.renewed_at)

    def wrote(self, record: LeaseRecord, sent_at: int) -> "Standing":
        """A claim or a renewal succeeded. It counts from when it was sent: others may have seen it as early."""
        return replace(self, record=record, renewed_at=sent_at)

    def stepped_down(self) -> "Standing":
        return replace(self, renewed_at=None)

    def leads(self, now: int) -> bool:
        return self.renewed_at is not None and now - self.renewed_at < RENEW_DEADLINE

    @property
    def holder(self) -> str:
        """Who holds the Lease as far as is known; "": nobody."""
        return self.record.holder if self.record else ""

    def act(self, now: int) -> Act:
        """What to do, given that the record is as the Lease is now."""
        if self.record is None:
            return Act.CREATE
        if self.record.holder == self.identity:
            return Act.RENEW
        if not self.record.holder:
            return Act.TAKE_FREE
        return Act.TAKE_OVER if now - self.changed_at >= LEASE else Act.WAIT

    def claim(self, stamp: str) -> LeaseRecord:
        """The record that makes, or keeps, this operator the holder. `stamp`: the time that is written into it."""
        if self.record is None:
            return LeaseRecord(self.identity, stamp, stamp, 0)
        if self.record.holder == self.identity:
            return replace(self.record, renewed=stamp)
        return LeaseRecord(self.identity, stamp, stamp, self.record.transitions + 1)

    def release(self, stamp: str) -> LeaseRecord | None:
        """The record that lets the next one lead at once; None where there is nothing to give up."""
        if self.record is None or self.record.holder != self.identity:
            return None
        return replace(self.record, holder="", renewed=stamp)

    def pause(self, now: int, chance: float) -> int:
        """How long until the next try. `chance`: from 0 to 1."""
        pause = round(RETRY * (1 + LONGEST_JITTER * chance))
        if self.renewed_at is not None:
            return _between(0, self.renewed_at + RENEW_DEADLINE - now, pause)
        if self.record is not None and self.act(now) is Act.WAIT:
            return _between(0, self.changed_at + LEASE - now, pause)
        return pause

    def request_timeout(self, now: int) -> int:
        """How long one request may take: a leader must be back to stop in time."""
        if self.renewed_at is None:
            return REQUEST_TIMEOUT
        return _between(0, self.renewed_at + RENEW_DEADLINE - now, REQUEST_TIMEOUT)


def _between(least: int, wanted: int, most: int) -> int:
    return max(least, min(wanted, most))
