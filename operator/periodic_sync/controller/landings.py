"""Landings: what became of the indexes that ended, given to the store before the ledger closes them."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from periodic_sync.api.durations import SECOND
from periodic_sync.controller.sight import Sight
from periodic_sync.controller.users import Users
from periodic_sync.core import transitions
from periodic_sync.core.batch_files import BatchFile
from periodic_sync.core.calls import Calls
from periodic_sync.core.landed import Lag, batch_end, lags_of
from periodic_sync.core.ledger import Ledger, OpenJob, Phase
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.outcomes import Outcome
from periodic_sync.core.results import End, Judgement, calls_of, end_of, judge, outcomes, tally
from periodic_sync.core.transitions import Tally
from periodic_sync.core.users import UserState
from periodic_sync.telemetry.protocol import PolicyTelemetry

USERS_TOLD = 20
"""Failed users of one batch that are named in the log."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Landing:
    """What became of one index. Kept until it is closed: the evidence may be gone by then."""

    outcomes: tuple[Outcome, ...]
    tally: Tally
    judgement: Judgement
    lags: tuple[Lag, ...] = ()
    calls: Calls | None = None


class Landings:
    """The indexes of one policy that ended and are not closed yet."""

    def __init__(self, policy: PolicyRef, telemetry: PolicyTelemetry) -> None:
        self._policy = policy
        self._telemetry = telemetry
        self._landed: dict[tuple[str, int], _Landing] = {}
        self._stored: set[tuple[str, int]] = set()
        """Those whose outcomes the store has."""

    async def store(
        self, ending: Mapping[OpenJob, list[int]], files: Mapping[str, BatchFile], sight: Sight, users: Users
    ) -> bool:
        """Judge these indexes, and give the store what it has not been given yet, all in one.

        Returns: whether the store has it; if not, nothing may be closed. Raises: ApiError.
        """
        landing = {(job.name, index): job for job, indexes in ending.items() for index in indexes}
        unjudged = landing.keys() - self._landed.keys()
        states = await users.states(_users_of(unjudged, files)) if unjudged else {}
        if states is None:
            return False
        for name, index in unjudged:
            self._landed[name, index] = _judge(landing[name, index], index, files.get(name), sight, states)
        fresh = [key for key in landing if key not in self._stored]
        if not await users.apply([outcome for key in fresh for outcome in self._landed[key].outcomes]):
            return False
        self._stored |= set(fresh)
        return True

    def tallies(self, job: OpenJob, indexes: Iterable[int]) -> dict[int, Tally]:
        return {index: self._landed[job.name, index].tally for index in indexes}

    def in_doubt(self, job: OpenJob, indexes: Iterable[int]) -> dict[int, Tally]:
        """Tallies that nobody could work out again without the batch file: those of indexes that failed in part."""
        plain = (transitions.RETURNED, *(Tally(synced=size, is_success=True) for size in set(job.sizes)))
        return {index: tally for index, tally in self.tallies(job, indexes).items() if tally not in plain}

    def tell(self, job: OpenJob, indexes: Iterable[int], now: int) -> None:
        """How these ended, once they are closed."""
        for index in indexes:
            landing = self._landed[job.name, index]
            priority, size, took = job.priorities[index], job.sizes[index], now - job.claimed_at
            end = batch_end(priority, size, landing.tally, took=took, lags=landing.lags, calls=landing.calls)
            self._telemetry.batch_ended(end)
            where = {"policy": f"{self._policy.namespace}/{self._policy.name}", "batch": f"{job.name}-{index}"}
            log.info(
                "batch done",
                extra={
                    **where,
                    "users": size,
                    "synced": landing.tally.synced,
                    "failed": landing.tally.failed,
                    "seconds": round(took / SECOND, 1),
                    "why": landing.judgement.why,
                },
            )
            for user_id, reason in list(landing.judgement.reasons.items())[:USERS_TOLD]:
                log.warning("user not synced", extra={**where, "user": user_id, "reason": reason})

    def forget_closed(self, ledger: Ledger) -> None:
        still_open = {(job.name, index) for job in ledger.jobs for index in job.open}
        self._landed = {key: landing for key, landing in self._landed.items() if key in still_open}
        self._stored &= still_open


def _users_of(indexes: Iterable[tuple[str, int]], files: Mapping[str, BatchFile]) -> frozenset[str]:
    return frozenset().union(*(files[name].user_ids([index]) for name, index in indexes if name in files))


def _judge(job: OpenJob, index: int, file: BatchFile | None, sight: Sight, states: Mapping[str, UserState]) -> _Landing:
    if job.phase is Phase.ABANDONED:
        # No worker was ever meant to have them, so nothing counts: neither against its users nor as an answer.
        return _Landing((), transitions.RETURNED, judge((), End.GONE, ()))
    view = sight.jobs.get(job.name)
    end = end_of(index, completed=view.completed, failed=view.failed) if view else End.GONE
    if file is None:
        return _without_file(job, index, end)
    batch = file.batches[index]
    pods = [pod for pod in sight.pods_of(job.name) if pod.index == index]
    judgement = judge(batch.users, end, pods)
    ended = outcomes(file, index, judgement.verdict, ended_at=sight.now)
    return _Landing(
        ended, tally(batch, judgement.verdict, ended, states), judgement, lags_of(batch, ended), calls_of(pods)
    )


def _without_file(job: OpenJob, index: int, end: End) -> _Landing:
    """The batch file went before this operator read it. Whoever deleted it had stored the results first, or a person
    deleted it by hand: then its users are synced once more, which is safe."""
    judgement = judge((), end, ())
    if end is End.COMPLETED:
        return _Landing((), Tally(synced=job.sizes[index], is_success=True), judgement)
    return _Landing((), transitions.RETURNED, judgement)
