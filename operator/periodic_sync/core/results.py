"""The verdict on one ended index of a Job, by the worker's contract, and what it adds to the ledger.

Where the contract leaves room, the reading is the one that syncs a user once too often rather than once too seldom: a
message is believed as a whole or not at all, and what ended for reasons that are not the worker's is tried again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from periodic_sync.api.wallets import hide_wallets, holds_wallet
from periodic_sync.core.batch_files import Batch, BatchFile, BatchUser
from periodic_sync.core.calls import Calls, read_calls
from periodic_sync.core.indexes import parse_indexes
from periodic_sync.core.outcomes import (
    FAILED_UNEXPLAINED,
    RETURNED,
    SUCCEEDED,
    Ending,
    Outcome,
    Verdict,
    blame,
    counts_for_breaker,
    failed_users,
)
from periodic_sync.core.reading import one_line
from periodic_sync.core.transitions import Tally
from periodic_sync.core.users import NEVER_SYNCED, UserState
from periodic_sync.core.views import Exit, PodView

MESSAGE_VERSION = 1

LONGEST_MESSAGE = 65_536
"""A kubelet passes on at most 12 KiB; what is longer comes from nobody who keeps to the contract."""

NO_REASON = "no reason given"


class End(StrEnum):
    """How an index ended, as far as its Job tells."""

    COMPLETED = "completed"
    FAILED = "failed"
    GONE = "gone"
    """The Job is gone, or finished without a word about this index: nobody will ever tell."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a batch ended, and why that is the verdict."""

    verdict: Verdict
    why: str
    """Half a sentence for logs, such as `exit code 3 and no termination message`."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """What the worker said of the users that it named, one line each. Neither these nor the names show wallets."""


class UnreadableMessageError(ValueError):
    """The termination message doesn't say who failed; the text says what is wrong with it, and quotes nothing."""


def end_of(index: int, *, completed: frozenset[int], failed: frozenset[int]) -> End:
    """How an index that is over ended, by its Job's two lists."""
    if index in completed:
        return End.COMPLETED
    return End.FAILED if index in failed else End.GONE


def judge(users: Sequence[BatchUser], end: End, pods: Iterable[PodView]) -> Judgement:
    """Say how the batch of one index ended. A pure function of values; it never raises.

    users: of the batch, in order. pods: those of the index, in any order, read after the index was seen to have ended.
    They are looked at only where it failed.
    """
    if end is End.COMPLETED:
        return Judgement(SUCCEEDED, "completed")
    if end is End.GONE:
        return Judgement(RETURNED, "gone before its result was read")
    pod = _telling(pods)
    if pod is None:
        return Judgement(RETURNED, "no pod is left to tell")
    if pod.disrupted or pod.deleting:
        return Judgement(RETURNED, "its pod was evicted, preempted or deleted")
    if pod.worker_exit is None:
        return Judgement(RETURNED, "its worker was never seen to end")
    if pod.deadline_exceeded:
        return Judgement(FAILED_UNEXPLAINED, "it ran longer than jobs.deadline")
    return _judge_exit(users, pod.worker_exit)


def _telling(pods: Iterable[PodView]) -> PodView | None:
    """The pod whose end counts. There is one, save after trouble with the control plane: then the last exit counts."""

    def weight(pod: PodView) -> tuple[bool, int, str]:
        tells = pod.worker_exit is not None and not pod.disrupted and not pod.deleting
        return tells, (pod.worker_exit.finished_at or 0) if pod.worker_exit else 0, pod.name

    return max(pods, key=weight, default=None)


def calls_of(pods: Iterable[PodView]) -> Calls | None:
    """How the calls of an index went, as its pod tells it; None where it doesn't."""
    pod = _telling(pods)
    return read_calls(pod.worker_exit.message) if pod is not None and pod.worker_exit is not None else None


def _judge_exit(users: Sequence[BatchUser], end: Exit) -> Judgement:
    if end.code == 0 and not end.by_signal:
        return Judgement(SUCCEEDED, "its worker succeeded, though its pod did not")
    how = f"exit code {end.code}" + (f" ({one_line(end.reason)})" if end.reason not in ("", "Error") else "")
    if end.by_signal:
        return Judgement(FAILED_UNEXPLAINED, f"its worker was killed: {how}")
    try:
        named = read_message(end.message, users)
    except UnreadableMessageError as error:
        return Judgement(FAILED_UNEXPLAINED, f"{how} and {error}")
    why = f"{how}, {len(named)} of {len(users)} users named as failed"
    return Judgement(failed_users(named), why, _with_shown_names(named, users))


def read_message(message: str, users: Sequence[BatchUser]) -> dict[str, str]:
    """Whom a termination message names as failed: id to reason, in the batch's order.

    Ids and positions that are not in the batch are passed over.
    Raises: UnreadableMessageError where it isn't of the contract's form, or names nobody of the batch.
    """
    said = _parse(message)
    failed, positions = said.get("failed") or {}, said.get("failedIndexes") or ""  # some languages write null for empty
    if not isinstance(failed, dict) or not isinstance(positions, str):
        raise UnreadableMessageError("a termination message in which failed is no object or failedIndexes no string")
    try:
        indexes = parse_indexes(positions, len(users))
    except ValueError as error:
        raise UnreadableMessageError(f"a termination message with wrong failedIndexes: {error}") from None
    named = {
        user.user_id: _text_of(failed.get(user.user_id))
        for at, user in enumerate(users)
        if at in indexes or user.user_id in failed
    }
    if not named:
        raise UnreadableMessageError("a termination message that names nobody of the batch")
    return _fit_for_logs(named, users)


def _parse(message: str) -> dict[str, object]:
    if not message.strip():
        raise UnreadableMessageError("no termination message")
    if len(message) > LONGEST_MESSAGE:
        raise UnreadableMessageError("a termination message that is far too long")
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        raise UnreadableMessageError("a termination message that is not JSON, or was cut off at 4 KiB") from None
    version = said.get("version") if isinstance(said, dict) else None
    if not isinstance(said, dict) or isinstance(version, bool) or version != MESSAGE_VERSION:
        raise UnreadableMessageError(f"a termination message that is not of version {MESSAGE_VERSION}")
    return said


def _text_of(reason: object) -> str:
    if reason is None:
        return ""
    return reason if isinstance(reason, str) else json.dumps(reason)


def _fit_for_logs(named: Mapping[str, str], users: Sequence[BatchUser]) -> dict[str, str]:
    """Reasons as one line each, and without wallets: those of the batch, and whatever else looks like one."""
    hidden = hide_wallets(named.values(), {user.wallet for user in users})
    return {user_id: one_line(reason) or NO_REASON for user_id, reason in zip(named, hidden, strict=True)}


def _with_shown_names(named: Mapping[str, str], users: Sequence[BatchUser]) -> dict[str, str]:
    """Users whose id gives a wallet away are told by their position, as the built-in worker tells them."""
    return {
        f"users[{at}]" if holds_wallet(user.user_id, user.wallet) else user.user_id: named[user.user_id]
        for at, user in enumerate(users)
        if user.user_id in named
    }


def outcomes(file: BatchFile, index: int, verdict: Verdict, *, ended_at: int) -> tuple[Outcome, ...]:
    """What the end of one index means for each of its users, in order.

    ended_at: when that was seen, in milliseconds; back-off runs from there.
    """
    return blame(
        file.batches[index].requests,
        verdict,
        claim=file.claim,
        claimed_at=file.claimed_at,
        ended_at=ended_at,
        probe=file.probe,
    )


def tally(batch: Batch, verdict: Verdict, ended: Sequence[Outcome], states: Mapping[str, UserState]) -> Tally:
    """What closing the index adds to the ledger.

    ended: its outcomes. states: what is known of its users, with or without these outcomes (a crash may have come
    between storing them and closing the index); who is missing was never synced.
    """
    synced = sum(outcome.ending is Ending.SYNCED for outcome in ended)
    before = [_before(outcome, states.get(outcome.user_id, NEVER_SYNCED)) for outcome in ended]
    is_evidence = (
        synced == 0 and not verdict.returned and counts_for_breaker(before, active_in_batch=int(batch.whole), active=1)
    )
    return Tally(
        synced=synced,
        # Blame is one thing, counting another: whoever recounts the Jobs finds these users in batches that failed them.
        failed=0 if verdict.returned else len(ended) - synced,
        is_success=synced > 0,
        is_failure_evidence=is_evidence,
    )


def _is_own_failure(outcome: Outcome) -> bool:
    """A failure that its user is blamed for."""
    if outcome.ending is Ending.UNEXPLAINED:
        return outcome.batch_size == 1
    return outcome.ending is Ending.FAILED


def _before(outcome: Outcome, state: UserState) -> UserState:
    """The state without this outcome, as far as earlier failures go."""
    if state.last_claim == outcome.claim and _is_own_failure(outcome):
        return replace(state, failures=max(0, state.failures - 1))
    return state
