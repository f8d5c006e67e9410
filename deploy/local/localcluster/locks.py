"""Locks between processes: two commands never build the same artefact or change the same cluster at once."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from localcluster.errors import LocalClusterError
from localcluster.paths import cache_root
from localcluster.progress import say

_PATIENCE_SECONDS = 2.0


@contextmanager
def exclusive(name: str, seconds: float) -> Iterator[None]:
    """The kernel lets go of the lock when its holder dies, so a killed command never blocks the next one."""
    folder = cache_root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as file:
        deadline = time.monotonic() + seconds
        patience = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LocalClusterError(
                        f"Another command has been working on '{name}' for {seconds:.0f} s. Wait for it or end it."
                    ) from None
                if time.monotonic() > patience:
                    say(f"waiting for another command that works on '{name}'")
                    patience = deadline
                time.sleep(0.2)
        yield
