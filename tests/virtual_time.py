"""An event loop whose clock jumps to the next timer when nothing else is to be done, so that no test waits."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _NeverWaits(selectors.DefaultSelector):
    """A selector that notes how long it was to wait, and doesn't."""

    wanted: float | None = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        self.wanted = 0.0 if ready else timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at 0 s."""

    def __init__(self) -> None:
        self._virtual = _NeverWaits()
        self._seconds = 0.0
        super().__init__(self._virtual)

    def time(self) -> float:
        wanted, self._virtual.wanted = self._virtual.wanted, 0.0
        if wanted is None:
            raise AssertionError("everything waits for something that never comes")
        # A little more than asked for, as a real clock has it: a timer must have passed, not just be reached.
        self._seconds += wanted + 1e-9 if wanted > 0 else 0.0
        return self._seconds


def run(test: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(test)
