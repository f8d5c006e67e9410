"""The commands of the handbook's pages, run as a reader types them.

Blocks that begin with ```sh run are run, by bash, from the root of the checkout, all of a page in one shell: what an
earlier one sets and starts is there for the later ones. The others need another machine, more time, or something of the
reader's own.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster_support import ROOT
from tasks.paths import BUILD, KUBECTL

_FENCE = re.compile(r"^```sh( run)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "@@ block "


@dataclass(frozen=True)
class Page:
    """path: from the root of the checkout."""

    path: str

    def run_blocks(self) -> list[str]:
        return [block for marked, block in self._blocks() if marked]

    def other_blocks(self) -> list[str]:
        """Those in shell that are only shown."""
        return [block for marked, block in self._blocks() if not marked]

    def _blocks(self) -> list[tuple[str, str]]:
        return _FENCE.findall((ROOT / self.path).read_text(encoding="utf-8"))

    def run(self, kubeconfig: Path, *, instead: Mapping[str, str] | None = None, seconds: float = 240) -> str:
        """Run the commands on that cluster. instead: what of the text is something else here, such as a port.

        Returns: what they print.
        Raises: AssertionError with the block that failed, and what was printed.
        """
        blocks = self.run_blocks()
        assert blocks, f"{self.path} has no blocks to run"
        marked = [f"echo '{_MARK}{number}' >&2\n{block}" for number, block in enumerate(blocks)]
        script = "\n".join(["trap 'jobs -p | xargs --no-run-if-empty kill' EXIT", *marked])
        for text, other in (instead or {}).items():
            assert text in script, f"{self.path} has no {text!r} any more"
            script = script.replace(text, other)
        BUILD.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{KUBECTL.parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = ["bash", "-euo", "pipefail", "-c", script]
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as shell:
            try:
                said, complaints = shell.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                shell.terminate()
                said, complaints = shell.communicate(timeout=10)
        assert shell.returncode == 0, self._failure(shell.returncode, blocks, said, complaints)
        return said

    def _failure(self, code: int, blocks: list[str], said: str, complaints: str) -> str:
        reached = re.findall(rf"^{_MARK}(\d+)$", complaints, re.MULTILINE)
        block = blocks[int(reached[-1])] if reached else "(none was reached)"
        return f"this block of {self.path} ended with {code}:\n{block}\n{said[-3000:]}{complaints[-3000:]}"
