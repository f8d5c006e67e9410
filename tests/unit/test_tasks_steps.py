"""Steps of the Makefile's tasks: side by side, in order where one needs another, and ended together by a failure."""

import threading
import time
from pathlib import Path

import pytest

from tasks import steps
from tasks.shell import TaskError
from tasks.steps import Progress, Step, run_steps


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(steps, "LOGS", tmp_path)
    return tmp_path


def test_independent_steps_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=10)
    run_steps([Step(name, "", "1 s", lambda _: str(both.wait())) for name in ("one", "other")])


def test_a_step_waits_for_those_it_needs_and_not_for_steps_that_are_not_in_the_run() -> None:
    order: list[str] = []
    second = Step("second", "", "1 s", lambda _: order.append("second"), after=("first", "absent"))
    first = Step("first", "", "1 s", lambda _: order.append("first"))
    run_steps([second, first])
    assert order == ["first", "second"]


def test_progress_says_what_is_done_how_long_it_usually_takes_and_how_it_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_steps([Step("image", "the image of the operator", "40 s", lambda _: "it is here")])
    begun, ended = capsys.readouterr().out.splitlines()
    assert "image       the image of the operator (usually 40 s)" in begun
    assert ended.endswith("image       done in 0 s: it is here")


def test_a_step_that_takes_long_tells_its_last_line_of_output(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "HEARTBEAT", 0.05)
    told = threading.Event()
    monkeypatch.setattr(steps._Run, "_heartbeat", lambda run: (heartbeat(run), told.set())[0])

    def work(progress: Progress) -> None:
        progress.run(["echo", " • 312 of 1480 packages"])
        told.clear()
        assert told.wait(10)

    run_steps([Step("kubernetes", "Kubernetes", "8 min the first time, 2 s after that", work)])
    assert "kubernetes  ... 0 s, usually 8 min the first time; 312 of 1480 packages\n" in capsys.readouterr().out


heartbeat = steps._Run._heartbeat


@pytest.mark.parametrize(("said", "shown"), [("x" * 100, "x" * 100), ("x" * 101, "x" * 99 + "…")])
def test_a_long_line_of_output_is_cut_where_it_can_be_seen(said: str, shown: str) -> None:
    progress = Progress("image", steps.Board())
    progress.run(["echo", said])
    assert progress.latest == shown


def test_a_failure_names_the_command_the_end_of_its_output_and_the_log(logs: Path) -> None:
    def work(progress: Progress) -> None:
        progress.run(["bash", "-c", "echo made half; echo no space left >&2; exit 3"])

    with pytest.raises(TaskError, match=r"exit code 3.*\n    made half\n    no space left"):
        run_steps([Step("image", "", "1 s", work)])
    assert "no space left" in (logs / "image.log").read_text()


def test_a_failure_ends_what_else_is_running() -> None:
    running = threading.Event()

    def slow(progress: Progress) -> None:
        running.set()
        progress.run(["sleep", "60"])

    def failing(_: Progress) -> None:
        assert running.wait(10)
        raise TaskError("no")

    began = time.monotonic()
    with pytest.raises(TaskError, match="no"):
        run_steps([Step("slow", "", "1 s", slow), Step("failing", "", "1 s", failing)])
    assert time.monotonic() - began < 30


def test_a_command_that_is_missing_is_told_as_such() -> None:
    with pytest.raises(TaskError, match="the command no-such-command was not found"):
        run_steps([Step("image", "", "1 s", lambda progress: progress.run(["no-such-command"]))])
