"""What is said while a fault is played: our own lines, and a policy's conditions as they change."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from live.api import LookError
from live.scene import Scene

_BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {text}", flush=True)


@contextmanager
def conditions_told(scene: Scene) -> Iterator[None]:
    """Every change of a condition, within a fifth of a second, while the block runs."""
    over = threading.Event()
    follower = threading.Thread(target=_follow, args=(scene, over), daemon=True)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()


def _follow(scene: Scene, over: threading.Event) -> None:
    known: dict[str, str] = {}
    while not over.wait(0.2):
        try:
            conditions = scene.status().get("conditions", ())
        except LookError:
            continue
        for each in conditions:
            now = f"{each['type']}={each['status']} {each['reason']}: {each['message']}"
            if known.get(each["type"]) != now:
                say(f"    {now}")
            known[each["type"]] = now
