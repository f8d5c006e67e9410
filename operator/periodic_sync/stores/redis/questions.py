"""Questions to the sorted sets, asked together in one script: how many there are in a range, or who is first."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from periodic_sync.stores.redis.commands import Argument, Commands
from periodic_sync.stores.redis.keys import Keys
from periodic_sync.stores.redis.scripts import LOOK

ALL = -1
AT_ONCE = 5_000
"""Questions in one script: with thousands of classes there are more than a server takes as one command."""

Found = list[tuple[float, str]]
"""Scores and members, lowest score first."""


@dataclass(slots=True)
class Questions:
    """Ask any number, then `put` them: each one's answer goes to who asked."""

    passed_over: Collection[str] = ()
    """Whoever asks for the first of some has no use for these."""
    _args: list[Argument] = field(default_factory=list)
    _takers: list[Callable[[Any], None]] = field(default_factory=list)

    def count(self, key: int, low: float, high: float, take: Callable[[int], None]) -> None:
        """How many members of a sorted set (its place in `keys`) have scores from `low` to `high`."""
        if low <= high:
            self._args += (key, _score(low), _score(high), 0)
            self._takers.append(take)

    def both(self, key: int, other: int, take: Callable[[int], None]) -> None:
        """How many members are in two sorted sets."""
        self._args += (key, other, "", "both")
        self._takers.append(take)

    def first(self, key: int, low: float, high: float, most: int, take: Callable[[Found], None]) -> None:
        """The first of these, at most so many; `ALL`: all, also who is passed over."""
        if low <= high and most:
            self._args += (key, _score(low), _score(high), most)
            self._takers.append(lambda answer: take(_found(answer)))

    def last(self, key: int, low: float, high: float, most: int, take: Callable[[Found], None]) -> None:
        """The last of these, last one first, at most so many, also who is passed over."""
        if low <= high and most:
            self._args += (key, _score(low), _score(high), f"last {most}")
            self._takers.append(lambda answer: take(_found(answer)))

    async def put(self, commands: Commands, keys: Keys) -> None:
        """Raises: StoreNotReady."""
        for start in range(0, len(self._takers), AT_ONCE):
            takers, asked = self._takers[start : start + AT_ONCE], self._args[4 * start : 4 * (start + AT_ONCE)]
            args = (len(self.passed_over), *self.passed_over, *asked)
            for take, answer in zip(takers, await commands.run(LOOK, keys.shared, args), strict=True):
                take(answer)


async def count(commands: Commands, keys: Keys, key: int, low: float, high: float) -> int:
    """Ask for one count. Raises: StoreNotReady."""
    counts: list[int] = []
    ask = Questions()
    ask.count(key, low, high, counts.append)
    await ask.put(commands, keys)
    return sum(counts)


async def first(commands: Commands, keys: Keys, key: int, low: float, high: float, most: int) -> Found:
    """Ask for the first of one range. Raises: StoreNotReady."""
    found = Found()
    ask = Questions()
    ask.first(key, low, high, most, found.extend)
    await ask.put(commands, keys)
    return found


def _score(value: float) -> str:
    return f"{value:.0f}" if abs(value) != float("inf") else ("+inf" if value > 0 else "-inf")


def _found(answer: list[bytes]) -> Found:
    # A member that is no UTF-8 is no user's id, and read like this it names nobody.
    members = (member.decode(errors="replace") for member in answer[::2])
    return list(zip(map(float, answer[1::2]), members, strict=True))
