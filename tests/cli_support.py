"""The command line, as a process of a test's own or in a thread of it."""

import asyncio
import io
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from cluster_support import KUBECTL, ROOT
from periodic_sync.cli import main as cli


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


async def periodic_sync(
    *arguments: str, kubeconfig: Path | None = None, stdin: str | None = None, **variables: str
) -> Ended:
    """Run a command to its end. stdin: what it reads; None: nothing. variables: of its environment."""
    own = {"PYTHONPATH": str(ROOT / "operator"), "COLUMNS": "120"}
    if kubeconfig is not None:
        own["KUBECONFIG"] = str(kubeconfig)
    command = [sys.executable, "-m", "periodic_sync.cli.main", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **own, **variables}, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate((stdin or "").encode())
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def periodic_sync_here(*arguments: str, kubeconfig: Path, stdin: str | None = None, **variables: str) -> Ended:
    """The same in a thread of this process, which saves the second that a process takes to start. One at a time."""

    def run() -> Ended:
        out, err = io.StringIO(), io.StringIO()
        # The client reads $KUBECONFIG only once in a process.
        whole = [*arguments, "--kubeconfig", str(kubeconfig)]
        own = {"COLUMNS": "120", **variables}
        with (
            mock.patch.dict(os.environ, own),
            mock.patch.object(sys, "stdin", io.StringIO(stdin or "")),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = cli.main(whole)
        return Ended(code, out.getvalue(), err.getvalue())

    return await asyncio.to_thread(run)


COMMANDS = {
    "periodic-sync": "periodic_sync.cli.main",
    "kubectl-syncpolicy": "periodic_sync.cli.main",
    "kubectl_complete-syncpolicy": "periodic_sync.cli.completing",
}
"""Module by name, as project.scripts has them."""


def with_commands(folder: Path) -> dict[str, str]:
    """Put kubectl and this package's commands into a new folder. Returns: an environment that has them on its PATH."""
    folder.mkdir()
    assert KUBECTL
    (folder / "kubectl").symlink_to(KUBECTL)
    for name, module in COMMANDS.items():
        program = folder / name
        run = f"runpy.run_module({module!r}, run_name='__main__', alter_sys=False)"
        start = f"import runpy, sys; sys.argv[0] = {name!r}; {run}"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{start}" "$@"\n')
        program.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "operator"), "COLUMNS": "120"}
