"""What must hold, whatever happens: the invariants of the design, as far as this model reaches."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from periodic_sync.core.ledger import Ledger, Phase, Totals
from periodic_sync.core.outcomes import Ending
from periodic_sync.core.transitions import Tally
from periodic_sync.core.users import UserState

if TYPE_CHECKING:
    from unit.model.world import Claim, World


class ViolationError(Exception):
    """Something happened that must never be."""


def check_pods(world: "World") -> None:
    """No user in two running pods; no pod of a claim that came after the acknowledgement of `enabled: false`.

    Only where somebody deleted a Job while a second POST of it was on its way may both of its pods run for a moment:
    the same batch twice, as the pods of the first outlive it. Never two batches.
    """
    busy: dict[int, int] = {}
    for number, claim in enumerate(world.claims, 1):
        for index in claim.runs():
            if claim.is_late:
                raise ViolationError(f"Job {number} runs, though it was claimed after the policy was seen disabled.")
            for user in claim.batches[index]:
                other = busy.get(user)
                if other is not None and not other == number == world.deleted_by_hand:
                    raise ViolationError(f"User {user} is worked on by pods of Job {other} and Job {number} at once.")
                busy[user] = number


def check_acknowledgement(ledger: Ledger) -> None:
    """What was claimed before `enabled: false` is created or abandoned before that is acknowledged."""
    for job in ledger.jobs:
        if job.phase is Phase.CLAIMED:
            raise ViolationError(f"enabled: false is acknowledged while {job.name} is still to be created.")


def check_create(ledger: Ledger, name: str, *, acknowledged: bool) -> None:
    """Nobody decides to create a Job of which an index is closed: its users may be in flight elsewhere."""
    job = ledger.job(name)
    if job and len(job.open) < len(job.sizes):
        raise ViolationError(f"{name} is about to be created again, though an index of it is closed.")
    if acknowledged:
        raise ViolationError(f"{name} is about to be created, though enabled: false is acknowledged.")


def check_result(claim: "Claim", number: int, index: int, ending: Ending, before: UserState) -> None:
    """A result that changes what is known of a user does so once, and a success is one."""
    if before.last_claim >= number:
        raise ViolationError(f"A result of claim {number} is applied after one of claim {before.last_claim}.")
    if ending is Ending.SYNCED and not claim.has_worked(index):
        raise ViolationError(f"Index {index} of claim {number} is a success in the store, but no pod of it succeeded.")


def check_tally(claim: "Claim", number: int, index: int, ending: Ending, user: UserState, *, is_exact: bool) -> None:
    """The ledger counts no success that was none and, unless evidence was lost, exactly what the store says."""
    stored = _stored(user, number)
    if ending is Ending.SYNCED and not claim.has_worked(index):
        raise ViolationError(f"Index {index} of claim {number} counts as {ending}, but no pod of it succeeded.")
    if ending is not stored and is_exact:
        raise ViolationError(f"Index {index} of claim {number} counts as {ending}, but the store says {stored}.")


def check_totals(before: Ledger, after: Ledger, tallies: Iterable[Tally]) -> None:
    """A close adds what it closes to the totals, once."""
    added = tuple(map(int.__sub__, _sums(after.totals), _sums(before.totals)))
    tallies = tuple(tallies)
    wanted = sum(tally.synced for tally in tallies), sum(tally.failed for tally in tallies)
    if added != wanted:
        raise ViolationError(f"A close adds {added} users synced and failed to the totals instead of {wanted}.")


def _sums(totals: Totals) -> tuple[int, int]:
    return sum(totals.synced.values()), sum(totals.failed.values())


def _stored(user: UserState, claim: int) -> Ending | None:
    """What the store says of a user's part in a claim. None: nothing."""
    if user.last_claim != claim:
        return None
    if user.last_outcome != claim:
        return Ending.RETURNED
    return Ending.SYNCED if user.last_synced == claim else Ending.FAILED
