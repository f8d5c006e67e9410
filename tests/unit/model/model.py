"""The model as a graph: states, and the moves from each.

A state is made of a world and of the minds of the operators. What nature does depends on the world alone, what an
operator asks for on the world and its own mind, and what becomes of another's mind on that mind and how the world
changed. So each of these is worked out once, and a state is one integer made of the numbers of its parts.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import product
from sys import intern
from typing import Generic, NamedTuple, TypeVar

from unit.model.functions import DISABLED, ENABLED, Functions
from unit.model.laws import check_pods
from unit.model.memory import READY, At, Interest, Operator
from unit.model.minds import Minds
from unit.model.operators import Operators
from unit.model.parts import Parts
from unit.model.tidiness import Tidiness
from unit.model.world import UNUSED, Claim, Nature, Scope, World

BITS = 20
"""Of the number of a mind: there may be a million different ones."""

T = TypeVar("T", bound=Hashable)
Places = tuple[int, int]


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


@dataclass(slots=True)
class Change:
    """From one world to another, and what matters of how it came about."""

    before: int
    after: int
    written: bool = False
    """The ledger was written."""
    swapped: Places = (0, 0)
    """Places of claims that were exchanged."""
    lost_posts: int = 0
    minds: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """What another operator may have in mind afterwards."""


class Step(NamedTuple):
    """A move of nature or of one operator, whatever the others have in mind."""

    sentence: str
    change: Change
    mine: tuple[int, ...]
    """The mind of the operator that moves, if one does."""
    is_fault: bool


class Model:
    def __init__(self, scope: Scope, parts: Parts | None = None) -> None:
        self.scope = scope
        self.functions = Functions(parts or Parts())
        self._thinking = Minds(self.functions)
        self._nature = Nature(scope, self.functions)
        self._operators = Operators(scope, self._thinking)
        self._tidiness = Tidiness(scope, self.functions)
        self._worlds: Numbers[World] = Numbers()
        self._minds: Numbers[Operator] = Numbers()
        self._interests: Numbers[tuple[Interest, ...]] = Numbers()
        self._changes: dict[Hashable, Change] = {}
        self._by_nature: dict[int, tuple[Step, ...]] = {}
        self._by_operator: dict[tuple[int, int, frozenset[int]], tuple[Step, ...]] = {}
        self._interests_of: dict[tuple[int, ...], int] = {}
        self._tidied: dict[tuple[int, int], int] = {}

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
        for others, steps in self._steps(world, minds):
            for sentence, change, mine, is_fault in steps:
                known = change.minds
                # One move for each thing that the others may have in mind by then.
                for theirs in product(*[known.get(mind) or self._minds_after(change, mind) for mind in others]):
                    yield sentence, self._state(change.after, mine + theirs), is_fault

    def _steps(self, world: int, minds: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[Step, ...]]]:
        """For nature and each operator: the other operators, and the steps."""
        yield minds, self._steps_of_nature(world)
        for which, mind in enumerate(minds):
            if mind not in minds[:which]:  # they are alike
                others = (*minds[:which], *minds[which + 1 :])
                yield others, self._steps_of_operator(world, mind, self._proposed(others))

    def _steps_of_nature(self, world: int) -> tuple[Step, ...]:
        steps = self._by_nature.get(world)
        if steps is None:
            now = self._worlds.values[world]
            check_pods(now)
            steps = self._by_nature[world] = tuple(
                Step(intern(told), self._change(world, after, written=written, lost_posts=lost_posts), (), is_fault)
                for rule in self._nature.rules
                for told, after, is_fault, written, lost_posts in rule(now)
            )
        return steps

    def _steps_of_operator(self, world: int, mind: int, proposed: frozenset[int]) -> tuple[Step, ...]:
        steps = self._by_operator.get((world, mind, proposed))
        if steps is None:
            found: dict[Hashable, Step] = {}
            now, me = self._worlds.values[world], self._minds.values[mind]
            for request in self._operators.requests(now, me, proposed):
                change = self._change(world, request.world, written=request.written, swapped=request.swapped)
                mine = self._minds.of(self._thinking.kept(self._worlds.values[change.after], request.me))
                step = Step(intern(request.sentence), change, (mine,), request.is_fault)
                found.setdefault((id(change), mine, request.is_fault), step)
            steps = self._by_operator[world, mind, proposed] = tuple(found.values())
        return steps

    def _change(
        self, before: int, after: World, *, written: bool = False, swapped: Places = (0, 0), lost_posts: int = 0
    ) -> Change:
        key = (before, self._worlds.of(after), written, swapped, lost_posts)
        change = self._changes.get(key)
        if change is None:
            change = self._changes[key] = Change(*key)
        return change

    def _minds_after(self, change: Change, mind: int) -> tuple[int, ...]:
        after = self._thinking.after(
            self._worlds.values[change.before],
            self._worlds.values[change.after],
            self._minds.values[mind],
            written=change.written,
            swapped=change.swapped,
            lost_posts=change.lost_posts,
        )
        minds = change.minds[mind] = tuple(map(self._minds.of, after))
        return minds

    def _state(self, world: int, minds: tuple[int, ...]) -> int:
        interests = self._interests_of.get(minds)
        if interests is None:
            interests = self._interests_of[minds] = self._interests.of(
                tuple(self._thinking.interest(self._minds.values[mind]) for mind in minds)
            )
        state = self._tidied.get((world, interests))
        if state is None:
            tidy = self._tidiness.tidy(self._worlds.values[world], self._interests.values[interests])
            state = self._tidied[world, interests] = self._worlds.of(tidy)
        for mind in sorted(minds):  # the operators are alike: which is which does not matter
            state = state << BITS | mind
        return state

    def _parts(self, state: int) -> tuple[int, tuple[int, ...]]:
        minds = []
        for _ in range(self.scope.operators):
            minds.append(state & (1 << BITS) - 1)
            state >>= BITS
        return state, tuple(reversed(minds))

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
