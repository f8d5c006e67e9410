"""How an operator looks at what belongs to an open Job, one reading after the other, and what it decides."""

from collections.abc import Iterator
from typing import Any

from periodic_sync.core.ledger import Phase
from periodic_sync.core.outcomes import Ending
from periodic_sync.core.protocol import Step
from unit.model.functions import Endings, Functions, JobLook, PodsLook
from unit.model.memory import CURRENT, READY, At, Operator, lost
from unit.model.world import COMING, FAILED, NOT_STARTED, SUCCEEDED, Claim


class Looks:
    def __init__(self, functions: Functions) -> None:
        self.functions, self.parts = functions, functions.parts
        self._readings: dict[Claim, tuple[Any, ...]] = {}
        self._ways: dict[Any, tuple[Operator, ...]] = {}

    def ways(self, ledger: int, me: Operator, claim: Claim) -> tuple[Operator, ...]:
        """Everywhere on the way of one look, and where it ends."""
        readings = self.readings(claim)
        key = (me, ledger, readings)
        ways = self._ways.get(key)
        if ways is None:
            ways = self._ways[key] = tuple(self._looks_on(ledger, me, readings))
        return ways

    def _looks_on(self, ledger: int, me: Operator, readings: tuple[Any, ...]) -> Iterator[Operator]:
        """A look whose outcome is certain ends early: what is still to be read changes nothing."""
        for reading in readings[len(me.notes) :]:
            me = me._replace(notes=(*me.notes, reading))
            job_is_seen = "job" in self.parts.look_order[: len(me.notes)]
            steps = self.functions.steps(ledger, me.claim, me.notes)
            if not job_is_seen or len(steps) > 1:
                yield me
                continue
            for decided in self._decides(ledger, me, *steps):
                yield decided if me.ledger == CURRENT else lost(decided)
            return

    def readings(self, claim: Claim) -> tuple[Any, ...]:
        """What a look shows now, in the order in which it is taken."""
        known = self._readings.get(claim)
        if known is None:
            coming = frozenset(index for index, pod in claim.strays if pod == COMING and self.parts.shows_pods_to_come)
            job = _see_job(claim, gives_up_early=self.parts.gives_up_what_has_not_started)
            see = {"file": claim.has_file, "job": job, "pods": _see_pods(claim, coming)}
            known = self._readings[claim] = tuple(see[what] for what in self.parts.look_order)
        return known

    def _decides(self, ledger: int, looked: Operator, step: Step) -> Iterator[Operator]:
        """Where an operator goes from the end of a look."""
        me = Operator(ledger=looked.ledger, claim=looked.claim)
        job: JobLook | None = looked.notes[self.parts.look_order.index("job")]
        entry = self.functions.entry(ledger, me.claim)
        assert entry is not None
        everything = endings_of(job, entry.open)
        match step:
            case Step.WAIT if job and entry.phase is Phase.CLAIMED and self.parts.marks_created:
                yield me._replace(at=At.MARK)
            case Step.WAIT:
                yield Operator(ledger=me.ledger)
            case Step.CREATE:
                # The ledger is read again before the POST, and one that has changed ends the turn. As a POST may be on
                # its way for as long as one likes, it does not matter how long after the look that read is.
                is_certain = me.ledger == CURRENT or not self.parts.reads_ledger_before_create
                yield me._replace(at=At.POST) if is_certain else READY
            case Step.ABANDON:
                yield me._replace(at=At.ABANDON)
            case Step.DELETE_JOB:
                yield me._replace(at=At.DELETE_JOB, notes=(job.uid if job else 0,))
            case Step.DELETE_FILE | Step.CLOSE if entry.phase is Phase.ABANDONED:
                # No worker was ever meant to have its users, so nothing counts.
                nothing = endings_of(None, entry.open)
                closing = me._replace(at=At.CLOSE, endings=nothing, notes=(False,))
                yield closing if step is Step.CLOSE else me._replace(at=At.DELETE_FILE)
            case Step.DELETE_FILE:
                # Who failed can't be told without the batch file, so that it is counted before that goes.
                in_doubt = any(ending is Ending.FAILED for _, ending in everything)
                counts = in_doubt and self.parts.counts_before_deleting_file
                at = At.COUNT if counts else At.DELETE_FILE
                yield self._after_results(me._replace(at=at, endings=everything, notes=(job is not None,)))
            case Step.SETTLE:
                ended = endings_of(job, self.functions.ended(ledger, me.claim, looked.notes))
                yield self._after_results(me._replace(at=At.CLOSE, endings=ended, notes=(True,)))
            case Step.CLOSE:
                seen = job is not None
                yield self._after_results(me._replace(at=At.CLOSE, endings=everything, notes=(seen,)))
                yield me._replace(at=At.CLOSE, endings=_without_users(everything), notes=(seen,))

    def _after_results(self, me: Operator) -> Operator:
        """Results go to the store first."""
        if me.at == At.CLOSE and not self.parts.stores_results_first:
            return me._replace(then=At.STORE)
        return me._replace(at=At.STORE, then=me.at)


def _see_job(claim: Claim, *, gives_up_early: bool) -> JobLook | None:
    job = claim.job
    if job is None:
        return None
    completed, failed = (
        frozenset(index for index, pod in enumerate(job.pods) if pod == end) for end in (SUCCEEDED, FAILED)
    )
    is_stuck = job.is_failing or (gives_up_early and set(job.pods) == {NOT_STARTED})
    return JobLook(job.uid, completed, failed, job.is_finished, 0 if is_stuck else None, job.is_deleting)


def _see_pods(claim: Claim, coming: frozenset[int]) -> PodsLook:
    """`coming`: indexes of pods that are there already, but on no node yet."""
    running = frozenset(claim.runs())
    started = bool(running or (claim.job and set(claim.job.pods) - {NOT_STARTED}))
    return PodsLook(running | coming, some=bool(started or coming), unbound=bool(coming and not running))


def endings_of(job: JobLook | None, indexes: frozenset[int]) -> Endings:
    """An index of which nothing is known returns its users without blame."""
    completed, failed = (job.completed, job.failed) if job else ((), ())
    return tuple(
        (index, Ending.SYNCED if index in completed else Ending.FAILED if index in failed else Ending.RETURNED)
        for index in sorted(indexes)
    )


def _without_users(endings: Endings) -> Endings:
    """What the Job alone tells: a success is one for all users, a failure may be anyone's."""
    return tuple((index, ending if ending is Ending.SYNCED else Ending.RETURNED) for index, ending in endings)
