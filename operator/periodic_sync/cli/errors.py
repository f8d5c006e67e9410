"""What a person is told when a command can't do what was asked."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

FAILED = 1
"""Exit code: it was tried, and did not work out. Mistakes in what was typed are 2, a stop by hand 130."""
STOPPED = 130


class CommandError(Exception):
    """The text says what is wrong, where, and what to do."""


@contextmanager
def told(command: str, *, stopped: str = "stopped", code: int = FAILED) -> Iterator[None]:
    """Whatever a person can do something about becomes one line on standard error, and ends the command.

    stopped: what is said of a stop by hand. code: the exit code otherwise.
    """
    # Imported only here, as help and completion start faster without.
    import asyncio

    from kubernetes.aio.config import ConfigException

    from periodic_sync.api.errors import ApiError
    from periodic_sync.client import InvalidImportError, StoreUnavailableError, UnknownUserError
    from periodic_sync.client.migration import MoveRefusedError
    from periodic_sync.stores.base import StoreNotReady

    expected = (
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
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"periodic-sync {command}: {stopped}", file=sys.stderr)
        raise typer.Exit(STOPPED) from None
    except expected as error:
        print(f"periodic-sync {command}: {error}", file=sys.stderr)
        raise typer.Exit(code) from None
