"""What a person is told when a command can't do what was asked."""

import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

FAILED = 1
"""Exit code: it was tried, and did not work out. Mistakes in what was typed are 2, a stop by hand 130."""
STOPPED = 130


_LACKING = re.compile(
    r"[^\s:]+(?: \"\S+\")? is forbidden: User \"(\S+?)\" cannot (\S+) resource \"(\S+?)\" in API group \"(\S*?)\""
    r"(?: in the namespace \"(\S+?)\"| at the cluster scope)"
)
"""What Kubernetes says of a right that is lacking: who, the verb, the resource, its group, the namespace."""


class CommandError(Exception):
    """The text says what is wrong, where, and what to do."""


@contextmanager
def told(command: str, *, stopped: str = "stopped", code: int = FAILED) -> Iterator[None]:
    """Whatever a person can do something about becomes one line on standard error, and ends the command.

    stopped: what is said of a stop by hand. code: the exit code otherwise.
    """
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"periodic-sync {command}: {stopped}", file=sys.stderr)
        raise typer.Exit(STOPPED) from None
    except Exception as error:
        if not isinstance(error, _told_errors()):
            raise
        print(f"periodic-sync {command}: {explained(error)}", file=sys.stderr)
        raise typer.Exit(code) from None


def _told_errors() -> tuple[type[Exception], ...]:
    """Imported only once something went wrong: it takes half a second, which commands that need no cluster are quick
    without."""
    from kubernetes.aio.config import ConfigException

    from periodic_sync.api.errors import ApiError
    from periodic_sync.client import InvalidImportError, StoreUnavailableError, UnknownUserError
    from periodic_sync.client.migration import MoveRefusedError
    from periodic_sync.stores.base import StoreNotReady

    return (
        CommandError,
        ApiError,
        StoreNotReady,
        StoreUnavailableError,
        InvalidImportError,
        UnknownUserError,
        MoveRefusedError,
        ConfigException,
        OSError,
        ValueError,
    )


def explained(error: BaseException) -> str:
    """The error's own sentence; of a right that is lacking also how to see and to get it."""
    text = str(error)
    lacking = _LACKING.search(text)
    if lacking is None or not isinstance(error, Exception):
        return text or type(error).__name__
    user, verb, resource, group, namespace = lacking.groups()
    what = f"{resource}.{group}" if group else resource
    where, option = (f"in namespace {namespace}", f" -n {namespace}") if namespace else ("in all namespaces", " -A")
    said = (
        f"{user} may not {verb} {what} {where}: it takes that right, which `kubectl auth can-i {verb} {what}{option}`"
    )
    return f"{text[: lacking.start()]}{said} asks for, and a Role with the verb {verb} on {what} gives"
