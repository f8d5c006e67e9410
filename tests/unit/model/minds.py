"""What an operator may have in mind: what it remembers, and how it decides.

Kept small, and why nothing is lost by it:
- Requests that only read are not steps of their own. An operator reads together with its next request that changes
  something, or just before what it read is changed by somebody else (`Minds.after`): reading it earlier would have
  shown the same. So an operator has a look in mind only while that look is out of date.
- An operator always remembers a ledger: one that remembers none can only read it. A crash is a fresh read, at any time.
- What is to be written in place of a ledger that is no longer the current one fails at the compare-and-swap. So it has
  failed as soon as the ledger changes, and of a stale ledger only what can still decide something is remembered.
- A stale ledger that leads to the same requests as the current one, or to none, is as good as the current one.
- A request that changes nothing, now or later, is over: batch files and Jobs of one name and UID never come again, and
  no user's claim number ever falls.
"""

from collections.abc import Iterable
from typing import Any

from periodic_sync.core.protocol import Step
from unit.model.functions import Functions, name_of
from unit.model.laws import check_create
from unit.model.looks import Looks, endings_of
from unit.model.memory import CURRENT, READY, At, Interest, Operator, lost
from unit.model.world import Claim, World


class Minds:
    def __init__(self, functions: Functions) -> None:
        self.functions, self.parts = functions, functions.parts
        self.looks = Looks(functions)
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
        ways = self.looks.ways(me.ledger or world.ledger, me, world.claims[me.claim - 1])
        for way in ways:
            if way.at == At.POST:
                ledger = self.functions.ledger(world.ledger)
                check_create(ledger, name_of(way.claim), acknowledged=world.is_acknowledged)
        return [self.without_idle_requests(world, way) for way in ways]

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
            if was is not is_ and self.looks.readings(was) != self.looks.readings(is_)
        )
        return self.by_reading(before, me, changed) if changed else (me,)

    def outdated(self, me: Operator, ledger: int) -> Operator:
        """`ledger` was current, and is no longer."""
        if me.ledger != CURRENT or me.at == At.DISCARD:
            return me
        if me.at == At.CLAIM and not self.parts.claims_by_compare_and_swap:
            return me._replace(ledger=ledger)
        return lost(me._replace(ledger=self.functions.outdated(ledger)))

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
        return Operator(At.CLOSE, claim=me.claim, endings=endings_of(None, still_open), notes=(True,))

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
        if (
            me.ledger != CURRENT
            and between
            and all(self._is_covered(world, me.ledger, number) for number in range(1, len(world.claims) + 1))
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
