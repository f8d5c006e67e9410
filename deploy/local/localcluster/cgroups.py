"""The cgroup all of a cluster's pods live in: made before kubelet starts, emptied and removed with the cluster."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from localcluster.waiting import wait_until

_MOUNT = Path("/sys/fs/cgroup")


def _hierarchies() -> list[Path]:
    """One with version 2; with version 1 one for each controller, and sometimes an empty one of version 2."""
    if (_MOUNT / "cgroup.controllers").exists():
        return [_MOUNT]
    # Some controllers share a hierarchy, and are links to it.
    return [path for path in _MOUNT.iterdir() if not path.is_symlink() and (path / "cgroup.procs").exists()]


def make(tag: str) -> None:
    for hierarchy in _hierarchies():
        available = hierarchy / "cgroup.controllers"
        if available.exists():
            # kubelet refuses a cgroup in which one of its controllers is switched off.
            for controller in available.read_text().split():
                with contextlib.suppress(OSError):
                    (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
        (hierarchy / tag).mkdir(exist_ok=True)


def folders(tag: str) -> Iterator[Path]:
    """Every folder of the cluster, the deepest first: only an empty one can be removed."""
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / tag, topdown=False):
            yield Path(folder)


def remove(tag: str) -> None:
    """Ends whatever still runs in the cluster's cgroup; a process is in it only if the cluster put it there."""
    wait_until(lambda: _try_to_remove(tag), f"the cgroup {tag} to become empty", 30)


def _try_to_remove(tag: str) -> bool:
    for folder in folders(tag):
        with contextlib.suppress(OSError):
            for pid in (folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(OSError):
            folder.rmdir()
    return not any(folders(tag))
