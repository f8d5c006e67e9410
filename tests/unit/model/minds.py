"""What an operator may have in mind: what it remembers, and how it decides.

Kept small, and why nothing is lost by it:
- Requests that only read are not steps of their own. An operator reads together with its next request that changes
  something, or just before what it read is changed by somebody else (`Minds.after`): reading it earlier would have
  shown the same. So an operator has a look in mind only while that look is out of date.
- An operator always remembers a ledger: one that remembers none can only read it. A crash is a fresh read, at any point.
- What is to be written in place of a ledger that is no longer the current one fails at the compare-and-swap. So it has
  failed as soon as the ledger changes, and of a stale ledger only what can still decide something is remembered.
- A stale ledger that leads to the same requests as the current one, or to none, is as good as the current one.
- A request that changes nothing, now or later, is over: batch files and Jobs of one name and UID never come again, and no
  user's claim number ever falls.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from periodic_sync.core.ledger import Phase
from periodic_sync.core.outcomes import Ending
from periodic_sync.core.protocol import Step
from unit.model.laws import check_create
from unit.model.parts import Endings, Functions, JobLook, PodsLook, name_of
from unit.model.world import FAILED, NOT_STARTED, SUCCEEDED, Claim, World


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
        return Operator(self.then, self.ledger, self.claim, self.notes, self.endings if self.then == At.CLOSE else ())

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


class Minds:
    def __init__(self, functions: Functions) -> None:
        self.functions, self.parts = functions, functions.parts
        self._readings: dict[Claim, tuple[Any, ...]] = {}
        self._looks: dict[Any, tuple[Operator, ...]] = {}
        self._found: dict[Any, tuple[Operator, ...]] = {}
        self._kept: dict[tuple[int, Operator], Operator] = {}

    # By reading alone

    def by_reading(self, world: World, me: Operator, only: tuple[int, ...] = ()) -> tuple[Operator, ...]:
        """Wherever an operator may get without changing anything. `only`: by looking at these claims."""
        key = (id(world), me, only)  # the model keeps each world once, and hashing one takes long
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(self._by_reading(world, me, only or range(1, len(world.claims) + 1)))
        return found

    def _by_reading(self, world: World, me: Operator, claims: Iterable[int]) -> dict[Operator, None]:
        found: dict[Operator, None] = {}
        waiting = [me]
        while waiting:
            here = waiting.pop()
            if here in found:
                continue
            found[here] = None
            if here.at == At.READY:
                if here.ledger != CURRENT:
                    waiting.append(READY)
                for number in claims:
                    if self.functions.entry(here.ledger or world.ledger, number):
                        waiting += self._look(world, Operator(At.LOOK, here.ledger, number))
            elif here.at == At.LOOK and here is me:
                waiting += self._look(world, here)
        return found

    def _look(self, world: World, me: Operator) -> list[Operator]:
        """Everywhere on the way of one look, and where it ends."""
        claim = world.claims[me.claim - 1]
        readings = self.readings(claim)
        key = (me, me.ledger or world.ledger, readings)
        ways = self._looks.get(key)
        if ways is None:
            ways = self._looks[key] = tuple(self._looks_on(me.ledger or world.ledger, me, readings))
        for way in ways:
            if way.at == At.POST:
                ledger = self.functions.ledger(world.ledger)
                check_create(ledger, name_of(way.claim), acknowledged=world.is_acknowledged)
        return [self.without_idle_requests(world, way) for way in ways]

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
                yield decided if me.ledger == CURRENT else _lost(decided)
            return

    def readings(self, claim: Claim) -> tuple[Any, ...]:
        """What a look shows now, in the order in which it is taken."""
        known = self._readings.get(claim)
        if known is None:
            see = {"file": claim.has_file, "job": _see_job(claim), "pods": _see_pods(claim)}
            known = self._readings[claim] = tuple(see[what] for what in self.parts.look_order)
        return known

    def _decides(self, ledger: int, looked: Operator, step: Step) -> Iterator[Operator]:
        """Where an operator goes from the end of a look."""
        me = Operator(ledger=looked.ledger, claim=looked.claim)
        job: JobLook | None = looked.notes[self.parts.look_order.index("job")]
        entry = self.functions.entry(ledger, me.claim)
        assert entry is not None
        everything = _endings(job, entry.open)
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
            case Step.DELETE_FILE:
                yield self._after_results(me._replace(at=At.DELETE_FILE, endings=everything))
            case Step.SETTLE:
                ended = _endings(job, self.functions.ended(ledger, me.claim, looked.notes))
                yield self._after_results(me._replace(at=At.CLOSE, endings=ended, notes=(True, True)))
            case Step.CLOSE:
                seen = job is not None
                yield self._after_results(me._replace(at=At.CLOSE, endings=everything, notes=(seen, True)))
                yield me._replace(at=At.CLOSE, endings=_without_users(everything), notes=(seen, False))

    def _after_results(self, me: Operator) -> Operator:
        """Results go to the store first."""
        if me.at == At.CLOSE and not self.parts.stores_results_first:
            return me._replace(then=At.STORE)
        return me._replace(at=At.STORE, then=me.at)

    # What is worth keeping in mind

    def after(
        self, before: World, now: World, me: Operator, *, written: bool, swapped: tuple[int, int], lost_posts: int
    ) -> dict[Operator, None]:
        """What an operator may have in mind after somebody else's step, `written` if it wrote the ledger."""
        found: dict[Operator, None] = {}
        for mind in self._before(before, now, me, written):
            late = self.outdated(mind, before.ledger) if written else mind
            if late.claim in swapped:
                late = late._replace(claim=sum(swapped) - late.claim)
            found[self.kept(now, late.without_post(lost_posts))] = None
        return found

    def _before(self, before: World, now: World, me: Operator, written: bool) -> Iterable[Operator]:
        """What it may have had in mind just before, as far as that is out of date now."""
        if written:
            return self.by_reading(before, me)
        changed = tuple(
            number
            for number, (was, is_) in enumerate(zip(before.claims, now.claims, strict=True), 1)
            if was is not is_ and self.readings(was) != self.readings(is_)
        )
        return self.by_reading(before, me, changed) if changed else (me,)

    def outdated(self, me: Operator, ledger: int) -> Operator:
        """`ledger` was current, and is no longer."""
        if me.ledger != CURRENT or me.at == At.DISCARD:
            return me
        if me.at == At.CLAIM and not self.parts.claims_by_compare_and_swap:
            return me._replace(ledger=ledger)
        return _lost(me._replace(ledger=self.functions.outdated(ledger)))

    def kept(self, world: World, me: Operator) -> Operator:
        """Without what can't matter any more, or may as well be read now."""
        key = (id(world), me)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = self._without_what_can_be_read(world, me)
        return kept

    def _without_what_can_be_read(self, world: World, me: Operator) -> Operator:
        me = self.without_idle_requests(world, me)
        if me.at == At.LOOK and self._is_idle_look(world, me):
            me = Operator(ledger=me.ledger)
        me = self._with_fresh_ledger(world, me)
        if me.at in (At.READY, At.CLAIM, At.DISCARD):
            return me
        ready = self._with_fresh_ledger(world, Operator(ledger=max(me.ledger, CURRENT)))
        for other in self.by_reading(world, ready, (me.claim,)):
            same = other == me or (me.at == At.STORE == other.at and not me.then and me.endings == other.endings)
            if same and other.claim == me.claim:
                return ready
        return me

    def without_idle_requests(self, world: World, me: Operator) -> Operator:
        while True:
            claim = world.claims[me.claim - 1]
            if me.at == At.STORE and self._is_stored(world, claim, me.claim, (index for index, _ in me.endings)):
                me = me.after_storing()
            elif me.at == At.DELETE_FILE and not claim.has_file:
                me = self.after_deleting_file(world, me)
            elif me.at == At.DELETE_JOB and (claim.job is None or claim.job.uid not in me.notes):
                me = Operator(ledger=me.ledger)
            elif me.at == At.DISCARD and not claim.has_file:
                me = READY
            else:
                return me

    def after_deleting_file(self, world: World, me: Operator) -> Operator:
        if me.ledger != CURRENT or self.parts.looks_again_after_deleting_file:
            return Operator(ledger=me.ledger)
        still_open = self.functions.open_indexes(world.ledger, me.claim) or frozenset()
        return Operator(At.CLOSE, claim=me.claim, endings=_endings(None, still_open), notes=(True, True))

    def _is_stored(self, world: World, claim: Claim, number: int, indexes: Iterable[int]) -> bool:
        users = (user for index in indexes for user in claim.batches[index])
        return all(self.functions.is_final(world.users[user], number) for user in users)

    def _is_idle_look(self, world: World, me: Operator) -> bool:
        """With a stale ledger it can only delete what is deleted, and store results that are stored."""
        claim, still_open = world.claims[me.claim - 1], self.functions.open_indexes(me.ledger or world.ledger, me.claim)
        return (
            me.ledger != CURRENT
            and not claim.has_file
            and self.parts.reads_ledger_before_create
            and Step.DELETE_JOB not in self.functions.steps(me.ledger, me.claim, me.notes)
            and self._is_stored(world, claim, me.claim, still_open or ())
        )

    def _with_fresh_ledger(self, world: World, me: Operator) -> Operator:
        """Only between looks: a ledger read in the middle of a look would be one read too late."""
        between = me.at in (At.READY, At.DELETE_FILE, At.DELETE_JOB) or me.then == At.DELETE_FILE
        if me.ledger != CURRENT and between and all(
            self._is_covered(world, me.ledger, number) for number in range(1, len(world.claims) + 1)
        ):
            return me._replace(ledger=CURRENT)
        return me

    def interest(self, me: Operator) -> Interest:
        jobs = self.functions.ledger(me.ledger).jobs if me.ledger > CURRENT else ()
        return Interest(me.claim, me.seen_uid, frozenset(job.claim for job in jobs))

    def _is_covered(self, world: World, stale: int, number: int) -> bool:
        remembered = self.functions.open_indexes(stale, number)
        if remembered is None:
            return True
        if self.functions.open_indexes(world.ledger, number) is not None:
            return self.functions.covers(world.ledger, stale, number)
        # It is closed by now: all that can be done is to delete a Job that came late, which anyone may.
        claim = world.claims[number - 1]
        return not claim.has_file and self._is_stored(world, claim, number, remembered)


def _lost(me: Operator) -> Operator:
    """What is left of an operator's plans once the ledger it remembers is no longer the current one."""
    match me.at:
        case At.MARK | At.ABANDON | At.CLOSE:
            return READY
        case At.CLAIM:
            return Operator(At.DISCARD, claim=me.claim)
        case At.POST:
            return Operator(At.POST, SOME_STALE, me.claim)
        case At.STORE if me.then != At.DELETE_FILE:
            return Operator(At.STORE, claim=me.claim, endings=me.endings)
        case _:
            return me


def _see_job(claim: Claim) -> JobLook | None:
    job = claim.job
    if job is None:
        return None
    completed, failed = (
        frozenset(index for index, pod in enumerate(job.pods) if pod == end) for end in (SUCCEEDED, FAILED)
    )
    return JobLook(job.uid, completed, failed, job.is_finished, 0 if job.is_failing else None)


def _see_pods(claim: Claim) -> PodsLook:
    running = frozenset(claim.runs())
    return PodsLook(running, bool(running or (claim.job and set(claim.job.pods) - {NOT_STARTED})))


def _endings(job: JobLook | None, indexes: frozenset[int]) -> Endings:
    """An index of which nothing is known returns its users without blame."""
    completed, failed = (job.completed, job.failed) if job else ((), ())
    return tuple(
        (index, Ending.SYNCED if index in completed else Ending.FAILED if index in failed else Ending.RETURNED)
        for index in sorted(indexes)
    )


def _without_users(endings: Endings) -> Endings:
    """What the Job alone tells: a success is one for all users, a failure may be anyone's."""
    return tuple((index, ending if ending is Ending.SYNCED else Ending.RETURNED) for index, ending in endings)
