"""Breadth-first search through every state there is, with the shortest trace to whatever is wrong."""

import gc
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic

from unit.model.laws import ViolationError
from unit.model.model import Model
from unit.model.parts import Parts
from unit.model.world import Scope


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
    """One search. The states are numbered in the order in which they are met."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._numbers: dict[int, int] = {}
        self._states: list[int] = []
        self._parents = array("i")
        self._next = array("i")
        """Where each state leads without a fault, one state after the other."""
        self._ends = array("q")
        """Where each state's part of `_next` ends."""
        self._done = bytearray()
        self._moves = 0

    def run(self) -> Report:
        began = monotonic()
        problem, at = self._explore()
        if not problem:
            stuck = self._find_stuck()
            problem, at = ("From here the work can't be finished.", stuck) if stuck is not None else ("", 0)
        trace = tuple(self._trace(at)) if problem else ()
        return Report(len(self._states), self._moves, monotonic() - began, problem, trace)

    def _explore(self) -> tuple[str, int]:
        """Returns: what is wrong, or nothing; and the state where it showed."""
        self._meet(self._model.first_state(), -1)
        at = 0
        while at < len(self._states):
            state, following = self._states[at], set()
            self._done.append(self._model.is_done(state))
            try:
                for _, after, is_fault in self._model.moves(state):
                    self._moves += 1
                    number = self._meet(after, at)
                    if not is_fault:
                        following.add(number)
            except ViolationError as violation:
                return str(violation), at
            self._next.extend(following)
            self._ends.append(len(self._next))
            at += 1
        return "", 0

    def _meet(self, state: int, parent: int) -> int:
        number = self._numbers.setdefault(state, len(self._states))
        if number == len(self._states):
            self._states.append(state)
            self._parents.append(parent)
        return number

    def _find_stuck(self) -> int | None:
        """The first state from which no way without a fault leads to one where all is done."""
        done, following, ends = self._done, self._next, self._ends
        changed = True
        while changed:
            changed = False
            # Backwards, since most moves lead to states met later: a few rounds are enough.
            for at in range(len(done) - 1, -1, -1):
                if not done[at] and any(done[number] for number in following[ends[at - 1] if at else 0 : ends[at]]):
                    done[at] = changed = True
        stuck = done.find(0)
        return None if stuck < 0 else stuck

    def _trace(self, at: int) -> Iterator[str]:
        path = [at]
        while self._parents[path[-1]] >= 0:
            path.append(self._parents[path[-1]])
        path.reverse()
        for here, there in pairwise(path):
            wanted = self._states[there]
            yield next(sentence for sentence, after, _ in self._model.moves(self._states[here]) if after == wanted)


def check(scope: Scope, parts: Parts | None = None) -> Report:
    gc.disable()  # nothing here is garbage before the end, and looking for some takes a third of the time
    try:
        return Search(Model(scope, parts)).run()
    finally:
        gc.enable()
