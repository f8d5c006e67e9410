"""How a command ends that is told to before it listens."""

import signal
from types import FrameType


def end_on_sigterm() -> None:
    """Until what is started has handlers of its own: a container's first process does not end by a signal that it does
    not handle, and the imports take a second or two."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
