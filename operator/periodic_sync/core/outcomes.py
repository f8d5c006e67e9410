"""What the end of a batch does to what is known of its users: success, failure, blame and back-off.

A claim's number alone orders results. A result applies only where its number is higher than the user's last, so that
applying one twice, or late, changes nothing.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from enum import StrEnum

from periodic_sync.api.durations import HOUR, SECOND
from periodic_sync.core.users import UserState

FIRST_BACK_OFF = 30 * SECOND
LONGEST_BACK_OFF = HOUR

RETURNS_TO_FAIL = 3
"""Returns without blame in a row that count as a failure: something about this user keeps killing its pods."""

ISOLATED = 10
"""The most that `unexplained` grows to: with it a batch of 1,000, the largest there is, is down to one user."""


class Ending(StrEnum):
    """How a batch ended for one of its users."""

    SYNCED = "synced"
    FAILED = "failed"
    """The worker named this user as failed."""
    UNEXPLAINED = "unexplained"
    """The worker failed without saying whom."""
    RETURNED = "returned"
    """The batch ended without the worker's doing: evicted, deleted, disrupted, never started."""
    UNBLAMED = "unblamed"
    """Not synced by a probe of a worker that fails for everyone: nobody is blamed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one batch for one user. Instants in milliseconds."""

    user_id: str
    ending: Ending
    claim: int
    claimed_at: int
    ended_at: int
    batch_size: int
    """Users in that batch."""
    request: int | None = None
    """The record's `syncRequestedAt` as it was when claimed."""


def apply(state: UserState, outcome: Outcome) -> UserState:
    """Fold one outcome into a user's state; a claim that is not newer than the last one applied changes nothing."""
    if outcome.claim <= state.last_claim:
        return state
    if outcome.ending is Ending.SYNCED:
        return UserState(
            last_synced=outcome.claimed_at,
            last_claim=outcome.claim,
            last_outcome=outcome.claim,
            failed_at=state.failed_at,
            request_served=max(state.request_served, outcome.request or 0),
        )
    claimed = replace(state, last_claim=outcome.claim)
    match outcome.ending:
        case Ending.FAILED:
            # The worker lived to name this user, so it endangers nobody else's batch: no isolation any more.
            return replace(_failed(claimed, outcome), unexplained=0)
        case Ending.UNEXPLAINED:
            return _unexplained(claimed, outcome)
        case Ending.RETURNED:
            return _returned(claimed, outcome)
        case Ending.UNBLAMED:
            return claimed


def _served(state: UserState, outcome: Outcome) -> UserState:
    """A result, good or bad, answers the requests made before its claim."""
    return replace(
        state,
        last_outcome=outcome.claim,
        request_served=max(state.request_served, outcome.request or 0),
    )


def _failed(state: UserState, outcome: Outcome) -> UserState:
    return replace(
        _served(state, outcome),
        failures=state.failures + 1,
        failed_at=outcome.ended_at,
        returns=0,
    )


def _unexplained(state: UserState, outcome: Outcome) -> UserState:
    if outcome.batch_size == 1:
        # Found: from here on it is tried alone, until it succeeds or the worker says what is wrong.
        return replace(_failed(state, outcome), unexplained=ISOLATED)
    return replace(
        _served(state, outcome),
        unexplained=min(state.unexplained + 1, ISOLATED),
        returns=0,
    )


def _returned(state: UserState, outcome: Outcome) -> UserState:
    if state.returns + 1 >= RETURNS_TO_FAIL:
        return _failed(state, outcome)
    return replace(state, returns=state.returns + 1)


def back_off(failures: int) -> int:
    """How long a user waits after that many failures in a row, in milliseconds: 0, 30 s, 1 min, … at most 1 h."""
    if failures <= 0:
        return 0
    return min(FIRST_BACK_OFF << min(failures - 1, 30), LONGEST_BACK_OFF)


def batch_limit(batch_size: int, unexplained: int) -> int:
    """At most how many users a batch may have in which each has failed unexplained that often: halved each time."""
    return -(-batch_size // (1 << min(max(unexplained, 0), ISOLATED)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of how a whole batch ended. Made by the four names below."""

    failed: Set[str] = frozenset()
    explained: bool = True
    returned: bool = False


SUCCEEDED = Verdict()
FAILED_UNEXPLAINED = Verdict(explained=False)
RETURNED = Verdict(returned=True)


def failed_users(user_ids: Iterable[str]) -> Verdict:
    """The worker named these users as failed; the others are synced."""
    return Verdict(failed=frozenset(user_ids))


def blame(
    requests: Mapping[str, int | None],
    verdict: Verdict,
    *,
    claim: int,
    claimed_at: int,
    ended_at: int,
    probe: bool = False,
) -> tuple[Outcome, ...]:
    """Turn the verdict on a batch into one outcome for each of its users, in the batch's order.

    `requests`: every user of the batch with its `syncRequestedAt` as claimed (None: it had none).
    A verdict that names only users who are not in the batch names nobody, and is unexplained.
    """
    if verdict.failed and not any(user_id in verdict.failed for user_id in requests):
        verdict = FAILED_UNEXPLAINED
    return tuple(
        Outcome(user_id, _ending(user_id, verdict, probe), claim, claimed_at, ended_at, len(requests), request)
        for user_id, request in requests.items()
    )


def _ending(user_id: str, verdict: Verdict, probe: bool) -> Ending:
    if verdict.explained and not verdict.returned and user_id not in verdict.failed:
        return Ending.SYNCED
    if probe:
        return Ending.UNBLAMED
    if verdict.returned:
        return Ending.RETURNED
    return Ending.FAILED if verdict.explained else Ending.UNEXPLAINED


def counts_for_breaker(states: Iterable[UserState], *, active_in_batch: int, active: int) -> bool:
    """Whether a batch without a single success says something about the worker, not only about its users.

    `states`: of its users, before this result. `active_in_batch` of `active` active users of the policy were in it.
    One user who failed before, alone in a batch among others, is more likely to blame than the worker.
    """
    seen = list(states)
    return len(seen) >= 2 or any(state.failures == 0 for state in seen) or active_in_batch >= active
