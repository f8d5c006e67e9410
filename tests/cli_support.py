"""The command line as a process of a test's own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import NamedTuple

from cluster_support import ROOT


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
