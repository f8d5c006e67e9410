"""Steps side by side, with progress that reads the same in a terminal and in a CI log: one line for each thing that
happens, and now and then one for each step that is still at work, with how long it usually takes."""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tasks.paths import LOGS, ROOT, shown
from tasks.shell import TaskError, environment

HEARTBEAT = 20.0
TAIL = 25
WIDTH = 100  # of the last line of output that a heartbeat shows


@dataclass(frozen=True)
class Step:
    """One piece of work. `after` names steps that must be done before it; a name that is not in the run is ignored."""

    name: str
    doing: str
    usual: str
    work: Callable[["Progress"], str | None]  # may return a sentence on how it ended
    after: tuple[str, ...] = ()


class Progress:
    """What a step gets: a way to tell how far it is, and to run commands whose output goes to its log."""

    def __init__(self, name: str, board: "Board") -> None:
        self._name = name
        self._board = board
        self.log = LOGS / f"{name}.log"
        self.latest = ""

    def note(self, text: str) -> None:
        """Remember how far the step is; shown at the next heartbeat."""
        self.latest = text

    def say(self, text: str) -> None:
        """Show something worth a line of its own."""
        self._board.line(self._name, text)

    def run(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        text: str | None = None,
        tail: int = TAIL,
    ) -> None:
        """Run a command with its output in the step's log; the latest line is what a heartbeat shows.

        Raises: TaskError, with the end of the output, when the command fails.
        """
        words = [str(word) for word in command]
        lines: list[str] = []
        with self.log.open("a") as log:
            log.write(f"$ {shlex.join(words)}\n")
            log.flush()
            with self._board.started(words, env) as process:
                feeder = threading.Thread(target=_feed, args=(process.stdin, text), daemon=True)
                feeder.start()
                for line in process.stdout or ():
                    log.write(line)
                    lines = [*lines[-tail + 1 :], line.rstrip()]
                    if line.strip():
                        self.note(_cut(line.strip(" •\n")))
        if process.returncode:
            end = "\n".join(f"    {line}" for line in lines)
            raise TaskError(
                f"`{shlex.join(words)}` ended with exit code {process.returncode}; the end of its output "
                f"(all of it is in {shown(self.log)}):\n{end}"
            )


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1].rstrip() + "…"


def _feed(pipe: IO[str] | None, text: str | None) -> None:
    if pipe is None:
        return
    try:
        pipe.write(text or "")
        pipe.close()
    except BrokenPipeError:
        pass  # the command did not care for its input


@dataclass
class Board:
    """Prints the lines, and knows the running commands so that they end with the run."""

    began: float = field(default_factory=time.monotonic)
    failed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _processes: set[subprocess.Popen[str]] = field(default_factory=set)

    def line(self, name: str, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        with self._lock:
            print(f"{minutes:3d}:{seconds:02d}  {name:<12}{text}", flush=True)

    def started(self, words: list[str], env: Mapping[str, str] | None) -> subprocess.Popen[str]:
        with self._lock:
            if self.failed:
                raise TaskError("stopped, since another step failed")
            try:
                process = subprocess.Popen(
                    words,
                    cwd=ROOT,
                    env=environment(env),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            except FileNotFoundError:
                raise TaskError(f"the command {words[0]} was not found") from None
            self._processes.add(process)
            return process

    def stop(self) -> None:
        """End every command that is still running, with its children."""
        with self._lock:
            self.failed = True
            for process in self._processes:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)


def run_steps(steps: Sequence[Step]) -> None:
    """Run the steps, each as soon as those before it are done; the first failure ends all.

    Raises: TaskError of the step that failed first.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    board = Board()
    try:
        _Run(steps, board).until_done()
    finally:
        board.stop()


class _Run:
    def __init__(self, steps: Sequence[Step], board: Board) -> None:
        names = {step.name for step in steps}
        self._board = board
        self._waiting = {step: {name for name in step.after if name in names} for step in steps}
        self._running: dict[Step, tuple[Progress, float]] = {}
        self._finished: list[tuple[Step, BaseException | None]] = []
        self._changed = threading.Condition()

    def until_done(self) -> None:
        while self._waiting or self._running:
            self._start_ready()
            with self._changed:
                if not self._finished:
                    self._changed.wait(HEARTBEAT)
                finished, self._finished = self._finished, []
            for step, error in finished:
                self._finish(step, error)
            if not finished:
                self._heartbeat()

    def _start_ready(self) -> None:
        for step in [step for step, missing in self._waiting.items() if not missing]:
            del self._waiting[step]
            progress = Progress(step.name, self._board)
            progress.log.write_text("")
            self._running[step] = (progress, time.monotonic())
            self._board.line(step.name, f"{step.doing} (usually {step.usual})")
            threading.Thread(target=self._work, args=(step, progress), daemon=True).start()

    def _work(self, step: Step, progress: Progress) -> None:
        error: BaseException | None = None
        try:
            progress.note(step.work(progress) or "")
        except BaseException as raised:  # handed to the thread that waits
            error = raised
        with self._changed:
            self._finished.append((step, error))
            self._changed.notify()

    def _finish(self, step: Step, error: BaseException | None) -> None:
        progress, began = self._running.pop(step)
        took = f"{time.monotonic() - began:.0f} s"
        if error:
            self._board.line(step.name, f"FAILED after {took}")
            raise error
        self._board.line(step.name, f"done in {took}{': ' + progress.latest if progress.latest else ''}")
        for missing in self._waiting.values():
            missing.discard(step.name)

    def _heartbeat(self) -> None:
        for step, (progress, began) in self._running.items():
            usual = step.usual.split(",")[0]  # what it takes the next time was said when it began
            self._board.line(
                step.name, f"... {time.monotonic() - began:.0f} s, usually {usual}; {progress.latest}".rstrip("; ")
            )
