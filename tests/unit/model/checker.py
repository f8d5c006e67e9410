"""Breadth-first search through every state there is, with the shortest trace to whatever is wrong.

States are kept as one integer each: their parts are few and often the same, so each part gets a number.
"""

from array import array
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import product
from time import monotonic

from unit.model.laws import ViolationError, check_pods
from unit.model.minds import READY, Minds, Operator
from unit.model.operators import Operators
from unit.model.parts import DISABLED, ENABLED, Functions, Parts
from unit.model.tidiness import Tidiness
from unit.model.world import Claim, Move, Nature, Scope, State

BITS = 24
"""Of the number of one part of a state: 16 million different ones."""


class Model:
    def __init__(self, scope: Scope, parts: Parts | None = None) -> None:
        self.scope = scope
        self.functions = Functions(parts or Parts())
        self._minds = Minds(self.functions)
        self._nature = Nature(scope, self.functions)
        self._operators = Operators(scope, self._minds)
        self._tidiness = Tidiness(self._minds)

    def first_state(self) -> State:
        return State(
            ledger=self.functions.follow(self.functions.new_ledger, ENABLED),
            claims=(Claim(),) * self.scope.proposals,
            users=(self.functions.new_user,) * self.scope.users,
            operators=(READY,) * self.scope.operators,
        )

    def moves(self, state: State) -> Iterator[Move]:
        for rule in self._nature.rules:
            for move in rule(state):
                yield from self._moves(state, move, (), move.state.operators)
        for which, me in enumerate(state.operators):
            others = (*state.operators[:which], *state.operators[which + 1 :])
            if me in state.operators[:which]:
                continue  # they are alike
            for request in self._operators.requests(state, me, others):
                move = Move(request.sentence, request.state, request.is_fault)
                yield from self._moves(state, move, (request.me,), others, request.written, request.swapped)

    def _moves(
        self,
        before: State,
        move: Move,
        mine: tuple[Operator, ...],
        others: tuple[Operator, ...],
        written: bool = False,
        swapped: tuple[int, int] = (0, 0),
    ) -> Iterator[Move]:
        """One for each thing that the others may have in mind by now."""
        after, minds = move.state, self._minds
        mine = tuple(minds.kept(after, me) for me in mine)
        theirs = (minds.after(before, after, other, written=written, swapped=swapped) for other in others)
        for each in product(*theirs):
            operators = mine + tuple(other.without_post(move.lost_posts) for other in each)
            tidy = self._tidiness.tidy(self._tidiness.in_order(after._replace(operators=operators)))
            yield Move(move.sentence, tidy, move.is_fault)

    def is_done(self, state: State) -> bool:
        """Nothing is in flight, and nothing is left lying about."""
        return (
            not self.functions.ledger(state.ledger).jobs
            and (self.functions.ledger(state.ledger).generation != DISABLED or state.is_acknowledged)
            and all(_is_over(claim) for claim in state.claims)
            and all(READY in self._minds.by_reading(state, each) for each in state.operators)
        )


def _is_over(claim: Claim) -> bool:
    finished = claim.job is None or claim.job.is_finished
    return finished and not (claim.has_file or claim.posts or claim.strays)


@dataclass(frozen=True, slots=True)
class Report:
    states: int
    moves: int
    seconds: float
    problem: str = ""
    """Empty: there is none."""
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = f"{self.states:,} states, {self.moves:,} moves, {self.seconds:.0f} s"
        if not self.problem:
            return f"nothing wrong: {size}"
        steps = "\n".join(f"{at:4}. {sentence}" for at, sentence in enumerate(self.trace, 1))
        return f"{self.problem} ({size})\n{steps}"


class Search:
    """One search. The states are numbered in the order in which they were met."""

    def __init__(self, model: Model, *, most_states: int | None = None) -> None:
        self.model = model
        self._most_states = most_states
        self._numbers: dict[int, int] = {}
        self._order: list[int] = []
        self._parents = array("i")
        self._next = array("i")
        """Where each state leads without a fault, one after the other."""
        self._ends = array("q")
        """Where each state's part of `_next` ends."""
        self._done = bytearray()
        self._codes: list[dict[Hashable, int]] = [{} for _ in range(5)]
        self._values: list[list[Hashable]] = [[] for _ in range(5)]
        self._moves = 0

    def run(self) -> Report:
        began = monotonic()
        self._meet(self.model.first_state(), -1)
        problem, at = self._explore()
        if not problem:
            stuck = self._find_stuck()
            problem, at = ("From here the work can't be finished.", stuck) if stuck is not None else ("", 0)
        trace = tuple(self._trace(at)) if problem else ()
        return Report(len(self._order), self._moves, monotonic() - began, problem, trace)

    def _explore(self) -> tuple[str, int]:
        at = 0
        while at < len(self._order):
            state = self._decode(self._order[at])
            self._done.append(self.model.is_done(state))
            try:
                check_pods(state)
                for _, after, is_fault, _ in self.model.moves(state):
                    self._moves += 1
                    number = self._meet(after, at)
                    if not is_fault and number != at:
                        self._next.append(number)
            except ViolationError as violation:
                return str(violation), at
            self._ends.append(len(self._next))
            at += 1
            if self._most_states and at > self._most_states:
                raise MemoryError(f"more than {self._most_states:,} states")
        return "", 0

    def _meet(self, state: State, parent: int) -> int:
        code = self._encode(state)
        number = self._numbers.get(code)
        if number is None:
            number = self._numbers[code] = len(self._order)
            self._order.append(code)
            self._parents.append(parent)
        return number

    def _encode(self, state: State) -> int:
        code = 0
        for part, codes, values in zip(_split(state), self._codes, self._values, strict=True):
            number = codes.get(part)
            if number is None:
                number = codes[part] = len(values)
                values.append(part)
            code = code << BITS | number
        return code

    def _decode(self, code: int) -> State:
        parts = []
        for values in reversed(self._values):
            parts.append(values[code & (1 << BITS) - 1])
            code >>= BITS
        faults, operators, users, claims, ledger = parts
        return State(ledger, claims, users, operators, *faults)

    def _find_stuck(self) -> int | None:
        """A state, met as early as possible, from which no way without a fault leads to one where all is done."""
        done, following, ends = self._done, self._next, self._ends
        changed = True
        while changed:
            changed = False
            # Backwards, since most moves lead to states met later: a few rounds are enough.
            for at in range(len(done) - 1, -1, -1):
                if not done[at]:
                    for position in range(ends[at - 1] if at else 0, ends[at]):
                        if done[following[position]]:
                            done[at] = changed = True
                            break
        stuck = done.find(0)
        return None if stuck < 0 else stuck

    def _trace(self, at: int) -> Iterator[str]:
        path = [at]
        while self._parents[path[-1]] >= 0:
            path.append(self._parents[path[-1]])
        path.reverse()
        for here, there in zip(path, path[1:], strict=False):
            state, wanted = self._decode(self._order[here]), self._order[there]
            yield next(move.sentence for move in self.model.moves(state) if self._encode(move.state) == wanted)


def _split(state: State) -> tuple[Hashable, ...]:
    """The parts of a state that get numbers of their own."""
    return state.ledger, state.claims, state.users, state.operators, state[4:]


def check(scope: Scope, parts: Parts | None = None, *, most_states: int | None = None) -> Report:
    return Search(Model(scope, parts), most_states=most_states).run()
