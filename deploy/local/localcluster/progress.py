"""Progress a person can follow, on standard error: standard output belongs to the answers, as in kind."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_REPEAT_SECONDS = 15.0


def say(text: str) -> None:
    print(f" • {text}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


class Step:
    """One piece of work under way; `at` may be called as often as one likes."""

    def __init__(self, title: str, usually: str = "") -> None:
        self.title = title
        self._usually = f", usually {usually}" if usually else ""
        self._begin = time.monotonic()
        self._told = self._begin
        say(f"{title} …{self._usually.replace(',', '', 1)}")

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begin

    def at(self, how_far: str) -> None:
        if time.monotonic() - self._told >= _REPEAT_SECONDS:
            self._told = time.monotonic()
            say(f"{self.title}: {how_far}, {duration(self.elapsed)} so far{self._usually}")

    def done(self) -> None:
        print(f" ✓ {self.title} ({duration(self.elapsed)})", file=sys.stderr, flush=True)


@contextmanager
def step(title: str, usually: str = "") -> Iterator[Step]:
    running = Step(title, usually)
    yield running
    running.done()
