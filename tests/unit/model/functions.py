"""The functions under check, on numbers in place of ledgers and user states.

The search works with small numbers. Each function is called once for the same arguments, which is sound as all of them
are pure.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from ledger_support import job_seen
from periodic_sync.api.names import Priority
from periodic_sync.core.batch_files import Batch, BatchFile, BatchUser
from periodic_sync.core.ledger import Intervals, Ledger, OpenJob, to_json
from periodic_sync.core.outcomes import Ending, Outcome
from periodic_sync.core.protocol import Look, Step
from periodic_sync.core.transitions import RETURNED, SupersededError, Tally
from periodic_sync.core.users import NEVER_SYNCED, UserState
from result_support import pod
from unit.model.laws import check_totals
from unit.model.parts import Parts

ENABLED, DISABLED = 1, 2
"""The two generations of the spec: the second says `enabled: false`."""

INTERVALS = Intervals(market=1, off=1)
LATER = 10**9
"""A moment at which every patience is over: time is not modelled."""

Endings = tuple[tuple[int, Ending], ...]
"""How the batches of some indexes ended."""


class JobLook(NamedTuple):
    """What an operator sees of a Job."""

    uid: int
    completed: frozenset[int]
    failed: frozenset[int]
    finished: bool
    failure_target_since: int | None
    deleting: bool = False


class PodsLook(NamedTuple):
    """What an operator sees of the pods of a Job, or of one that was deleted."""

    unfinished: frozenset[int]
    """Their indexes."""
    some: bool
    unbound: bool = False
    """The unfinished ones are on no node."""


class Remains(NamedTuple):
    """What is there of a claim when the ledger is not."""

    claim: int
    batches: tuple[tuple[int, ...], ...]
    has_file: bool
    has_job: bool
    is_finished: bool
    runs: bool
    """A pod of it does."""


P = ParamSpec("P")
R = TypeVar("R")


def _once(method: Callable[Concatenate["Functions", P], R]) -> Callable[Concatenate["Functions", P], R]:
    """Remember the answers of a method."""
    name = method.__name__

    def remembered(self: "Functions", /, *arguments: P.args, **named: P.kwargs) -> R:
        answers = self.answers.setdefault(name, {})
        try:
            answer: R = answers[arguments]
        except KeyError:
            answer = answers[arguments] = method(self, *arguments, **named)
        return answer

    return remembered


class Functions:
    """The parts, on numbers. A transition that is refused answers None."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.answers: dict[str, dict[Any, Any]] = {}
        self._ledgers: list[Ledger] = []
        self._users: list[UserState] = []
        self._numbers: dict[Hashable, int] = {}
        self.new_user = self._number(NEVER_SYNCED, NEVER_SYNCED, self._users)
        self.new_ledger = self._swap(Ledger())

    def _number(self, key: Hashable, value: Any, values: list[Any]) -> int:
        if key not in self._numbers:
            values.append(value)
            self._numbers[key] = len(values)
        return self._numbers[key]

    def _swap(self, ledger: Ledger) -> int:
        return self._number(to_json(ledger), ledger, self._ledgers)

    def ledger(self, number: int) -> Ledger:
        return self._ledgers[number - 1]

    def user(self, number: int) -> UserState:
        return self._users[number - 1]

    @_once
    def entry(self, ledger: int, claim: int) -> OpenJob | None:
        return self.ledger(ledger).job(name_of(claim))

    @_once
    def open_indexes(self, ledger: int, claim: int) -> frozenset[int] | None:
        """None: it is not open."""
        entry = self.entry(ledger, claim)
        return entry.open if entry else None

    @_once
    def next_claim(self, ledger: int) -> int:
        return self.ledger(ledger).next_claim(now=0, highest_in_store=0)

    @_once
    def follow(self, ledger: int, spec: int) -> int:
        before, enabled = self.ledger(ledger), spec == ENABLED
        return self._swap(self.parts.follow_spec(before, generation=spec, enabled=enabled, intervals=INTERVALS, now=0))

    @_once
    def rebuilt(self, lost: int, remains: tuple[Remains, ...]) -> int:
        """A ledger made anew, of what remains, by the spec as it was acted on."""
        files = [
            BatchFile(name_of(each.claim), each.claim, each.claim, ENABLED, tuple(map(_batch, each.batches)))
            for each in remains
            if each.has_file
        ]
        jobs = [
            job_seen(name_of(each.claim), finished=each.is_finished, completions=len(each.batches))
            for each in remains
            if each.has_job
        ]
        running = [pod(job_name=name_of(each.claim), unfinished=True) for each in remains if each.runs]
        made = self.parts.rebuild(files, (), jobs, running, status={})
        before = self.ledger(lost)
        return self._swap(
            self.parts.follow_spec(
                made, generation=before.generation, enabled=before.enabled, intervals=INTERVALS, now=0
            )
        )

    @_once
    def claim(self, ledger: int, claim: int, batches: tuple[tuple[int, ...], ...], generation: int) -> int | None:
        sizes = tuple(map(len, batches))
        job = OpenJob(
            name=name_of(claim),
            claim=claim,
            claimed_at=claim,
            priorities=(Priority.MEDIUM,) * len(sizes),
            sizes=sizes,
            open=frozenset(range(len(sizes))),
        )
        try:
            # LATER: claims of the last minute matter to limits, which are not modelled.
            return self._swap(self.parts.claim(self.ledger(ledger), [job], generation=generation, now=LATER))
        except SupersededError:
            return None

    @_once
    def mark_created(self, ledger: int, claim: int) -> int:
        return self._swap(self.parts.mark_created(self.ledger(ledger), [name_of(claim)]))

    @_once
    def abandon(self, ledger: int, claim: int) -> int:
        return self._swap(self.parts.abandon(self.ledger(ledger), [name_of(claim)]))

    @_once
    def count(self, ledger: int, claim: int, endings: Endings, job_was_seen: bool) -> int:
        return self._tally(self.parts.count, ledger, claim, endings, job_was_seen)

    @_once
    def close(self, ledger: int, claim: int, endings: Endings, job_was_seen: bool) -> int:
        return self._tally(self.parts.close, ledger, claim, endings, job_was_seen)

    def _tally(
        self, transition: Callable[..., Ledger], ledger: int, claim: int, endings: Endings, job_was_seen: bool
    ) -> int:
        before = self.ledger(ledger)
        if job_was_seen and self.parts.marks_created:
            before = self.parts.mark_created(before, [name_of(claim)])
        entry = before.job(name_of(claim))
        assert entry is not None
        tallies = {index: _tally_of(ending, entry.sizes[index]) for index, ending in endings}
        after = transition(before, name_of(claim), tallies, now=0)
        check_totals(before, after, [tally for index, tally in tallies.items() if index in entry.open - entry.counted])
        # Nothing is decided by totals, so that they need not be told apart once they are checked.
        return self._swap(replace(after, totals=before.totals, last_sync=None))

    @_once
    def steps(self, ledger: int, claim: int, look: tuple[Any, ...]) -> frozenset[Step]:
        """Every step that a look begun like this may lead to."""
        entry = self.entry(ledger, claim)
        assert entry is not None
        return frozenset(
            self.parts.next_step(self.ledger(ledger), entry, whole, now=LATER)
            for whole in _completed(look, self.parts.look_order, len(entry.sizes))
        )

    @_once
    def steps_with_file(self, ledger: int, claim: int) -> frozenset[Step]:
        """Every step that a look may lead to which sees the batch file."""
        entry = self.entry(ledger, claim)
        looks = _completed((), self.parts.look_order, len(entry.sizes)) if entry else ()
        return frozenset(
            self.parts.next_step(self.ledger(ledger), entry, look, now=LATER) for look in looks if look.has_batch_file
        )

    @_once
    def ended(self, ledger: int, claim: int, look: tuple[Any, ...]) -> frozenset[int]:
        """The indexes to settle after such a look."""
        entry = self.entry(ledger, claim)
        assert entry is not None
        return self.parts.ended_indexes(entry, next(_completed(look, self.parts.look_order, len(entry.sizes))))

    @_once
    def covers(self, current: int, stale: int, claim: int) -> bool:
        """Whether, of this claim, a stale ledger leads to nothing that the current one does not lead to as well.

        The current one may allow for more: what must be written into it is not among what a stale one can do.
        """
        now, then = self.entry(current, claim), self.entry(stale, claim)
        assert now is not None
        assert then is not None
        harmless = {Step.WAIT, Step.ABANDON}
        if self.parts.reads_ledger_before_create:
            harmless.add(Step.CREATE)
        for look in _completed((), self.parts.look_order, len(then.sizes)):
            step = self.parts.next_step(self.ledger(stale), then, look, now=LATER)
            same = step is self.parts.next_step(self.ledger(current), now, look, now=LATER) and now.open == then.open
            if step not in harmless and not same:
                return False
        return True

    @_once
    def outdated(self, ledger: int) -> int:
        """What a ledger that is no longer the current one can still decide: about its open jobs.

        Nothing can be written in its place, so that neither totals nor claim numbers matter. Where a Job is created
        only after one more look at the ledger, it does not matter either whether the policy was enabled.
        0: nothing is left to decide.
        """
        stale = self.ledger(ledger)
        enabled = stale.enabled and not self.parts.reads_ledger_before_create
        return self._swap(Ledger(version=-1, enabled=enabled, jobs=stale.jobs)) if stale.jobs else 0

    @_once
    def apply(self, user: int, claim: int, ending: Ending) -> int:
        outcome = Outcome("somebody", ending, claim=claim, claimed_at=claim, ended_at=claim, batch_size=1)
        # What came of earlier claims decides nothing here: the outcomes' own tests are elsewhere.
        after = self.parts.apply(self.user(self.forget(user)), outcome)
        if after == self.user(self.forget(user)):
            return user
        return self._number(after, after, self._users)

    @_once
    def is_final(self, user: int, claim: int) -> bool:
        """Whether no result of this claim changes anything any more."""
        return all(self.apply(user, claim, ending) == user for ending in Ending)

    @_once
    def last_claim(self, user: int) -> int:
        return self.user(user).last_claim

    @_once
    def forget(self, user: int) -> int:
        """How the last claim ended."""
        kept = UserState(last_claim=self.user(user).last_claim)
        return self._number(kept, kept, self._users)

    @_once
    def doomed(self, files: frozenset[int], ledger: int) -> tuple[int, ...]:
        """Batch files that were there before this ledger was written, and that it makes worthless."""
        names = {name_of(claim): claim for claim in files}
        doomed = self.parts.can_no_longer_be_claimed(frozenset(names), self.ledger(ledger))
        return tuple(sorted(names[name] for name in doomed))

    @_once
    def is_acknowledged(self, ledger: int, spec: int) -> bool:
        return self.parts.is_acknowledged(self.ledger(ledger), spec)


def _completed(look: tuple[Any, ...], order: tuple[str, ...], indexes: int) -> Iterator[Look]:
    """Every whole look that may come of one that was begun."""
    sets = [frozenset(each) for size in range(indexes + 1) for each in combinations(range(indexes), size)]
    readings: dict[str, list[Any]] = {
        "file": [False, True],
        "job": [None]
        + [
            JobLook(1, completed, failed, finished, failing, deleting)
            for completed, failed in product(sets, sets)
            for finished, failing, deleting in product((False, True), (None, 0), (False, True))
            if not completed & failed
        ],
        "pods": [PodsLook(frozenset(), some=False), PodsLook(frozenset(), some=True)]
        + [PodsLook(unfinished, some=True, unbound=unbound) for unfinished in sets[1:] for unbound in (False, True)],
    }
    for rest in product(*(readings[what] for what in order[len(look) :])):
        seen = dict(zip(order, (*look, *rest), strict=True))
        pods: PodsLook = seen["pods"]
        yield Look(
            has_batch_file=seen["file"],
            job=seen["job"],
            has_unfinished_pods=bool(pods.unfinished),
            has_pods=pods.some,
            has_only_unbound_pods=pods.unbound,
            unfinished_indexes=pods.unfinished,
        )


def _batch(users: tuple[int, ...]) -> Batch:
    return Batch(tuple(BatchUser(str(user), "wallet") for user in users), Priority.MEDIUM)


def name_of(claim: int) -> str:
    return f"job-{claim}"


def _tally_of(ending: Ending, size: int) -> Tally:
    """The breaker is not modelled: no failure is evidence for it."""
    match ending:
        case Ending.SYNCED:
            return Tally(synced=size, is_success=True)
        case Ending.FAILED:
            return Tally(failed=size)
        case _:
            return RETURNED
