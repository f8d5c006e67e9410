"""Two operators in the world of the model: every request that each may make next, and what it changes.

Between any two requests an operator may stand still for as long as it likes, and what it remembers grows stale. All
decisions come from the functions that the controller runs; here is only what its requests do.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from periodic_sync.core.ledger import Phase
from periodic_sync.core.outcomes import Ending
from unit.model.functions import DISABLED, ENABLED, Endings
from unit.model.laws import ViolationError, check_result, check_tally
from unit.model.memory import CURRENT, READY, At, Operator
from unit.model.minds import Minds
from unit.model.world import MOST_POSTS, UNUSED, Claim, Scope, World


class Request(NamedTuple):
    """A request that changes something, and the operator after it."""

    sentence: str
    world: World
    me: Operator = READY
    written: bool = False
    """It wrote the ledger."""
    is_fault: bool = False
    swapped: tuple[int, int] = (0, 0)
    """Claims that exchanged their places."""


class Turn(NamedTuple):
    """One operator's view of a world, as it makes a request."""

    world: World
    me: Operator
    proposed: frozenset[int] = frozenset()
    """Places of proposals that others have in mind."""

    @property
    def ledger(self) -> int:
        """The one it remembers."""
        return self.me.ledger or self.world.ledger

    @property
    def claim(self) -> Claim:
        return self.world.claims[self.me.claim - 1]

    def put(self, claim: Claim) -> World:
        return self.world.put(self.me.claim, claim)


class Operators:
    def __init__(self, scope: Scope, minds: Minds) -> None:
        self.scope, self.minds, self.functions, self.parts = scope, minds, minds.functions, minds.parts
        self._requests: dict[At, tuple[Callable[[Turn], Iterator[Request]], ...]] = {
            At.READY: (
                self.follows_spec,
                self.proposes,
                self.deletes_unmatched,
                self.lists_leftovers,
            ),
            At.LOOK: (),
            At.MARK: (self.marks_created,),
            At.POST: (self.posts,),
            At.ABANDON: (self.abandons,),
            At.STORE: (self.stores,),
            At.CLOSE: (self.closes,),
            At.DELETE_FILE: (self.deletes_file,),
            At.DELETE_JOB: (self.deletes_job,),
            At.COUNT: (self.counts,),
            At.CLAIM: (self.claims,),
            At.DISCARD: (self.discards,),
        }

    def requests(self, world: World, me: Operator, proposed: frozenset[int]) -> Iterator[Request]:
        for mind in self.minds.by_reading(world, me):
            turn = Turn(world, mind, proposed)
            for request in self._requests[mind.at]:
                yield from request(turn)
        if me != READY and self.scope.may_crash:
            yield Request("An operator crashes and starts anew.", world, is_fault=True)

    # Writing the ledger

    def _writes(self, turn: Turn, sentence: str, ledger: int, me: Operator = READY) -> Iterator[Request]:
        """A compare-and-swap that succeeds. It may have listed the batch files just before, and sweep some now.

        What is doomed stays so, and nobody looks at it: it does not matter how much later it is deleted.
        """
        after = turn.world._replace(ledger=ledger)
        yield Request(sentence, after, me, written=True)
        if self.parts.lists_files_before_writing:
            yield from self._sweeps(sentence, after, me)

    def _sweeps(self, sentence: str, world: World, me: Operator = READY, *, written: bool = True) -> Iterator[Request]:
        files = frozenset(number for number, claim in enumerate(world.claims, 1) if claim.has_file)
        doomed = self.functions.doomed(files, world.ledger)
        for number in doomed:
            world = world.put(number, world.claims[number - 1].without_file())
        if doomed:
            yield Request(f"{sentence} It sweeps the batch files of {doomed}.", world, me, written=written)

    def follows_spec(self, turn: Turn) -> Iterator[Request]:
        """Somebody has set `enabled: false`. Until an operator acts on it, that makes no difference to anything."""
        generation = self.functions.ledger(turn.ledger).generation
        if turn.me.ledger == CURRENT and generation == ENABLED and self.scope.may_disable:
            ledger = self.functions.follow(turn.ledger, DISABLED)
            told = "An operator writes into the ledger that the policy is disabled."
            for request in self._writes(turn, told, ledger):
                yield request._replace(is_fault=True)

    def marks_created(self, turn: Turn) -> Iterator[Request]:
        ledger = self.functions.mark_created(turn.ledger, turn.me.claim)
        yield from self._writes(turn, f"An operator marks Job {turn.me.claim} as created.", ledger)

    def abandons(self, turn: Turn) -> Iterator[Request]:
        ledger = self.functions.abandon(turn.ledger, turn.me.claim)
        yield from self._writes(turn, f"An operator abandons claim {turn.me.claim} in the ledger.", ledger)

    def counts(self, turn: Turn) -> Iterator[Request]:
        """Before the batch file goes: who failed, which can't be told without it."""
        me = turn.me
        failed = tuple((index, ending) for index, ending in me.endings if ending is Ending.FAILED)
        self._check_tallies(turn, failed)
        ledger = self.functions.count(turn.ledger, me.claim, failed, me.notes[0])
        told = f"An operator counts {_tell(failed)} of claim {me.claim}."
        yield from self._writes(turn, told, ledger, Operator(At.DELETE_FILE, claim=me.claim))

    def closes(self, turn: Turn) -> Iterator[Request]:
        me = turn.me
        self._check_tallies(turn, me.endings)
        ledger = self.functions.close(turn.ledger, me.claim, me.endings, me.notes[0])
        told = f"An operator closes {_tell(me.endings)} of claim {me.claim}."
        late = Operator(At.STORE, claim=me.claim, endings=me.endings) if me.then == At.STORE else READY
        yield from self._writes(turn, told, ledger, late)

    def _check_tallies(self, turn: Turn, endings: Endings) -> None:
        """Evidence is lost with a Job that is deleted by hand, or as it does not start or end, or that runs although
        its claim was abandoned."""
        entry = self.functions.entry(turn.ledger, turn.me.claim)
        assert entry is not None
        is_exact = (
            self.scope.checks_totals
            and turn.world.deleted_by_hand != turn.me.claim
            and not turn.world.lost_ledger
            and not turn.claim.has_expired
            and not self.parts.gives_up_what_has_not_started
            and entry.phase is not Phase.ABANDONED
        )
        for index, ending in endings:
            for user in turn.claim.batches[index] if index not in entry.counted else ():
                known = self.functions.user(turn.world.users[user])
                check_tally(turn.claim, turn.me.claim, index, ending, known, is_exact=is_exact)

    # Propose, claim, create

    def proposes(self, turn: Turn) -> Iterator[Request]:
        """Nobody plans on a ledger that is stale already: the claim would fail. It may be stale when it claims."""
        number = self._unused(turn) if turn.me.ledger == CURRENT else None
        if number is None:
            return
        taken = {claim.batches for claim in turn.world.claims if claim.is_claimed}
        in_flight = self._in_flight(turn)
        for batches in self.scope.jobs:
            if batches in taken or in_flight & {user for each in batches for user in each}:
                continue
            # What it has seen of the spec may be old: it plans as if the policy were enabled.
            if self.functions.claim(turn.ledger, self.functions.next_claim(turn.ledger), batches, ENABLED):
                told = f"An operator writes a batch file for users {batches}."
                world = turn.world.put(number, Claim(batches, has_file=True))
                yield Request(told, world, Operator(At.CLAIM, claim=number))

    def _unused(self, turn: Turn) -> int | None:
        """A free place for one more proposal. It gets its claim's number when it is claimed: see `Tidiness`."""
        first = self.functions.next_claim(turn.ledger)
        for number in range(first, len(turn.world.claims) + 1):
            if turn.world.claims[number - 1] == UNUSED and number not in turn.proposed:
                return number
        return None

    def _in_flight(self, turn: Turn) -> set[int]:
        """The users in the batch files of the ledger's open Jobs.

        An operator may know them although a file is gone by now, so it may always plan here. One that doesn't know them
        plans nothing, which is only waiting; planning all the same is what the mutation does.
        """
        users: set[int] = set()
        for number, claim in enumerate(turn.world.claims, 1):
            if claim.has_file or self.parts.needs_every_batch_file:
                for index in self.functions.open_indexes(turn.ledger, number) or ():
                    users.update(claim.batches[index])
        return users

    def claims(self, turn: Turn) -> Iterator[Request]:
        """Numbers tell nothing but the order of claims: the proposal takes the place of the next one."""
        number = next(place for place, claim in enumerate(turn.world.claims, 1) if not claim.is_claimed)
        ledger = self.functions.claim(turn.ledger, number, turn.claim.batches, ENABLED)
        if not turn.claim.has_file:
            raise ViolationError("A batch file was swept before its claim.")
        if ledger:
            claimed = turn.claim._replace(is_claimed=True, is_late=turn.world.is_acknowledged)
            world = turn.put(turn.world.claims[number - 1]).put(number, claimed)
            told = f"An operator writes claim {number} into the ledger, with users {claimed.batches}."
            me = Operator(At.POST, claim=number)
            for request in self._writes(turn._replace(world=world), told, ledger, me):
                yield request._replace(swapped=(turn.me.claim, number))

    def posts(self, turn: Turn) -> Iterator[Request]:
        posts = min(turn.claim.posts + 1, MOST_POSTS)
        yield Request(f"An operator POSTs Job {turn.me.claim}.", turn.put(turn.claim._replace(posts=posts)))
        if self.scope.may_refuse:
            me = turn.me._replace(at=At.ABANDON) if turn.me.ledger == CURRENT else READY
            yield Request(f"Job {turn.me.claim} is refused.", turn.world, me, is_fault=True)

    # Settle, discard

    def stores(self, turn: Turn) -> Iterator[Request]:
        me, users = turn.me, list(turn.world.users)
        for index, ending in me.endings:
            for user in turn.claim.batches[index]:
                before = users[user]
                users[user] = self.functions.apply(before, me.claim, ending)
                if users[user] != before:
                    check_result(turn.claim, me.claim, index, ending, self.functions.user(before))
        told = f"An operator stores {_tell(me.endings)} of claim {me.claim}."
        yield Request(told, turn.world._replace(users=tuple(users)), me.after_storing())

    def deletes_file(self, turn: Turn) -> Iterator[Request]:
        told = f"An operator deletes batch file {turn.me.claim}."
        yield Request(told, turn.put(turn.claim.without_file()), self.minds.after_deleting_file(turn.world, turn.me))

    def deletes_job(self, turn: Turn) -> Iterator[Request]:
        told = f"An operator deletes Job {turn.me.claim}."
        yield Request(told, turn.put(turn.claim.without_job()), Operator(ledger=turn.me.ledger))

    def deletes_unmatched(self, turn: Turn) -> Iterator[Request]:
        """What is closed stays closed, so that it does not matter how long after it was seen such a Job is deleted."""
        if turn.me.ledger != CURRENT or not self.parts.deletes_unmatched_jobs:
            return
        for number, claim in enumerate(turn.world.claims, 1):
            is_wanted = self.functions.entry(turn.ledger, number) is not None
            if claim.job and not (is_wanted or claim.job.is_finished or claim.job.is_deleting):
                told = f"An operator deletes Job {number}, which belongs to no open claim."
                yield Request(told, turn.world.put(number, claim.without_job()))

    # Batch files of nobody

    def discards(self, turn: Turn) -> Iterator[Request]:
        told = "An operator that lost a race deletes its batch file."
        yield Request(told, turn.put(turn.claim.without_file()))

    def lists_leftovers(self, turn: Turn) -> Iterator[Request]:
        """Some later write shows what is a leftover. Where the model has none any more, one is made for the purpose."""
        if turn.me.ledger != CURRENT:
            return
        if not self.parts.lists_files_before_writing:
            yield from self._sweeps("An operator lists the batch files.", turn.world, written=False)
        elif not self.functions.ledger(turn.ledger).jobs:
            yield from self._sweeps("An operator writes the ledger for some other reason.", turn.world)


def _tell(endings: Endings) -> str:
    return ", ".join(f"index {index} as {ending}" for index, ending in endings)
