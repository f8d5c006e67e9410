"""The operator as a process of its own, from source, with its meter."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]
ROOT = Path(__file__).parent.parent
STOPS_WITHIN_SECONDS = 60


@dataclass(frozen=True)
class Operator:
    """A running one, and what its meter writes."""

    pid: int
    meter: Path

    def turns(self, since: float = 0) -> list[Object]:
        """Those that ended since then, in order."""
        lines = self.meter.read_text().splitlines() if self.meter.exists() else []
        return [turn for turn in map(json.loads, lines) if turn["at"] >= since]

    def memory(self) -> str:
        """Resident now and at most."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        now, most = (int(fields[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM"))
        return f"{now} MiB resident, {most} MiB at most"


@contextmanager
def running_operator(kubeconfig: Path, worker_image: str, profile: Path | None = None) -> Iterator[Operator]:
    """The operator until the block ends. Its log and its turns stay in a folder that is named.

    `profile`: a file for what cProfile sees of it.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    profiler = ["-m", "cProfile", "-o", str(profile)] if profile else []
    command = [sys.executable, *profiler, "-m", "benchmarks.measured_operator", "operator", "--port", "0"]
    command += ["--kubeconfig", str(kubeconfig), "--worker-image", worker_image, "--no-leader-election"]
    environment = {**os.environ, "METER": str(folder / "turns.jsonl")}
    with (folder / "operator.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)
    print(f"operator's log and turns: {folder}", file=sys.stderr, flush=True)
    try:
        yield Operator(process.pid, folder / "turns.jsonl")
    finally:
        process.terminate()
        process.wait(STOPS_WITHIN_SECONDS)
