"""The model as a graph: states, and the moves from each.

A state is made of a world and of the minds of the operators. What nature does depends on the world alone, what an
operator asks for on the world and its own mind. So each of these is worked out once, and a state is one integer, made of
the numbers of its parts.
"""

from collections.abc import Hashable, Iterator
from itertools import product
from sys import intern
from typing import Generic, NamedTuple, TypeVar

from unit.model.laws import check_pods
from unit.model.minds import READY, At, Interest, Minds, Operator
from unit.model.operators import Operators
from unit.model.parts import DISABLED, ENABLED, Functions, Parts
from unit.model.tidiness import Tidiness
from unit.model.world import UNUSED, Claim, Nature, Scope, World

BITS = 20
"""Of the number of a mind: there may be a million different ones."""

T = TypeVar("T", bound=Hashable)


class Numbers(Generic[T]):
    """Each value once, by number."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[T, int] = {}

    def of(self, value: T) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self.values)
            self.values.append(value)
        return number


class Step(NamedTuple):
    """A move of nature or of one operator, by numbers, whatever the others have in mind."""

    sentence: str
    world: int
    mine: tuple[int, ...]
    """The mind of the operator that moves, if one does."""
    effect: tuple[bool, tuple[int, int], int]
    """On the minds of the others: the ledger was written, places exchanged, POSTs lost."""
    is_fault: bool


class Model:
    def __init__(self, scope: Scope, parts: Parts | None = None) -> None:
        self.scope = scope
        self.functions = Functions(parts or Parts())
        self._thinking = Minds(self.functions)
        self._nature = Nature(scope, self.functions)
        self._operators = Operators(scope, self._thinking)
        self._tidiness = Tidiness(self.functions)
        self._worlds: Numbers[World] = Numbers()
        self._minds: Numbers[Operator] = Numbers()
        self._interests: Numbers[Interest] = Numbers()
        self._interest_of: dict[int, int] = {}
        self._by_nature: dict[int, tuple[Step, ...]] = {}
        self._by_operator: dict[tuple[int, int, frozenset[int]], tuple[Step, ...]] = {}
        self._after: dict[Hashable, tuple[int, ...]] = {}
        self._tidied: dict[Hashable, int] = {}

    def first_state(self) -> int:
        world = World(
            ledger=self.functions.follow(self.functions.new_ledger, ENABLED),
            claims=(UNUSED,) * self.scope.proposals,
            users=(self.functions.new_user,) * self.scope.users,
        )
        return self._state(self._worlds.of(world), (self._minds.of(READY),) * self.scope.operators)

    def moves(self, state: int) -> Iterator[tuple[str, int, bool]]:
        """A sentence, the next state, and whether nobody may count on it. Raises: ViolationError."""
        world, minds = self._parts(state)
        for step in self._steps_of_nature(world):
            yield from self._moves(world, step, minds)
        for which, mind in enumerate(minds):
            if mind in minds[:which]:
                continue  # they are alike
            others = (*minds[:which], *minds[which + 1 :])
            for step in self._steps_of_operator(world, mind, self._proposed(others)):
                yield from self._moves(world, step, others)

    def _moves(self, before: int, step: Step, others: tuple[int, ...]) -> Iterator[tuple[str, int, bool]]:
        """One for each thing that the others may have in mind by then."""
        for theirs in product(*(self._minds_after(before, step, other) for other in others)):
            yield step.sentence, self._state(step.world, (*step.mine, *theirs)), step.is_fault

    def _steps_of_nature(self, world: int) -> tuple[Step, ...]:
        steps = self._by_nature.get(world)
        if steps is None:
            now = self._worlds.values[world]
            check_pods(now)
            steps = self._by_nature[world] = tuple(
                Step(intern(move.sentence), self._worlds.of(move.world), (), (False, (0, 0), move.lost_posts), move.is_fault)
                for rule in self._nature.rules
                for move in rule(now)
            )
        return steps

    def _steps_of_operator(self, world: int, mind: int, proposed: frozenset[int]) -> tuple[Step, ...]:
        steps = self._by_operator.get((world, mind, proposed))
        if steps is None:
            now, me = self._worlds.values[world], self._minds.values[mind]
            found: dict[Step, None] = {}
            for request in self._operators.requests(now, me, proposed):
                mine = self._minds.of(self._thinking.kept(request.world, request.me))
                effect = (request.written, request.swapped, 0)
                after = self._worlds.of(request.world)
                found[Step(intern(request.sentence), after, (mine,), effect, request.is_fault)] = None
            steps = self._by_operator[world, mind, proposed] = tuple(found)
        return steps

    def _minds_after(self, before: int, step: Step, mind: int) -> tuple[int, ...]:
        key = (before, step.world, mind, step.effect)
        minds = self._after.get(key)
        if minds is None:
            worlds, (written, swapped, lost) = self._worlds.values, step.effect
            after = self._thinking.after(
                worlds[before],
                worlds[step.world],
                self._minds.values[mind],
                written=written,
                swapped=swapped,
                lost_posts=lost,
            )
            minds = self._after[key] = tuple(map(self._minds.of, after))
        return minds

    def _state(self, world: int, minds: tuple[int, ...]) -> int:
        """The operators are alike: which is which does not matter."""
        interests = tuple(map(self._interest, minds))
        tidied = self._tidied.get((world, interests))
        if tidied is None:
            values = tuple(self._interests.values[each] for each in interests)
            tidy = self._tidiness.tidy(self._worlds.values[world], values)
            tidied = self._tidied[world, interests] = self._worlds.of(tidy)
        for mind in sorted(minds):
            tidied = tidied << BITS | mind
        return tidied

    def _parts(self, state: int) -> tuple[int, tuple[int, ...]]:
        minds = []
        for _ in range(self.scope.operators):
            minds.append(state & (1 << BITS) - 1)
            state >>= BITS
        return state, tuple(reversed(minds))

    def _interest(self, mind: int) -> int:
        interest = self._interest_of.get(mind)
        if interest is None:
            thought = self._thinking.interest(self._minds.values[mind])
            interest = self._interest_of[mind] = self._interests.of(thought)
        return interest

    def _proposed(self, minds: tuple[int, ...]) -> frozenset[int]:
        """Places of proposals that these have in mind."""
        operators = (self._minds.values[mind] for mind in minds)
        return frozenset(each.claim for each in operators if each.at in (At.CLAIM, At.DISCARD))

    def is_done(self, state: int) -> bool:
        """Nothing is in flight, and nothing is left lying about."""
        number, minds = self._parts(state)
        world = self._worlds.values[number]
        ledger = self.functions.ledger(world.ledger)
        return (
            not ledger.jobs
            and (ledger.generation != DISABLED or world.is_acknowledged)
            and all(map(_is_over, world.claims))
            and all(READY in self._thinking.by_reading(world, self._minds.values[mind]) for mind in minds)
        )


def _is_over(claim: Claim) -> bool:
    finished = claim.job is None or claim.job.is_finished
    return finished and not (claim.has_file or claim.posts or claim.strays)
