"""Waiting for a condition, never for a time: every wait has a deadline and says what it waited for."""

import time
from collections.abc import Callable

from localcluster.errors import LocalClusterError


def wait_until(
    condition: Callable[[], bool],
    what: str,
    seconds: float,
    *,
    detail: Callable[[], str] = lambda: "",
    interval: float = 0.1,
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            more = detail()
            raise LocalClusterError(
                f"Gave up after {seconds:.0f} s waiting for {what}." + (f"\n{more}" if more else "")
            )
        time.sleep(interval)
