"""Running commands: what they print goes to a log or to the person, and a failure says what was run and what to do."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.paths import ROOT


class TaskError(Exception):
    """Something a person has to know: a sentence with the cause, where, and what to do about it."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, **(extra or {})}


def capture(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
    timeout: float | None = None,
) -> str:
    """Run a command and return what it printed on standard output.

    Raises: TaskError with the command and what it printed on standard error.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            check=False,
            cwd=ROOT,
            env=environment(env),
            input=text or "",
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except FileNotFoundError:
        raise TaskError(f"the command {words[0]} was not found") from None
    except subprocess.TimeoutExpired:
        raise TaskError(f"`{shlex.join(words)}` did not end within {timeout:g} s") from None
    if done.returncode:
        raise TaskError(f"`{shlex.join(words)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def show(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> int:
    """Run a command whose output is for the person, and return its exit code."""
    sys.stdout.flush()
    try:
        return subprocess.run([str(word) for word in command], cwd=ROOT, env=environment(env), check=False).returncode
    except FileNotFoundError:
        raise TaskError(f"the command {command[0]} was not found") from None


def succeeds(command: Sequence[str | Path]) -> bool:
    """Whether a command is there and exits with 0; nothing is printed."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
