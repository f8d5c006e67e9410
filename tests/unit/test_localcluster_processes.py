"""A process is known by pid and start time, and started so that no crash leaves one nobody knows of."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster.errors import LocalClusterError
from localcluster.launch import Launch, launch
from localcluster.processes import (
    ProcessRecord,
    identify,
    is_frozen,
    is_running,
    kill_all,
    read_record,
    read_records,
    send,
    write_record,
)
from localcluster.waiting import wait_until


@pytest.fixture
def sleeper() -> Iterator[ProcessRecord]:
    process = subprocess.Popen(["sleep", "600"])
    record = identify(process.pid)
    assert record is not None
    yield record
    process.kill()
    process.wait()


def test_a_running_process_is_recognised_from_its_record(sleeper: ProcessRecord, tmp_path: Path) -> None:
    write_record(tmp_path / "sleeper.json", sleeper)
    assert read_records(tmp_path) == {"sleeper": sleeper}
    assert is_running(read_record(tmp_path / "sleeper.json"))


def test_a_recycled_pid_is_not_the_process_and_is_never_signalled(sleeper: ProcessRecord) -> None:
    earlier = replace(sleeper, started="1@" + sleeper.started.split("@")[1])
    assert not is_running(earlier)
    assert not send(earlier, signal.SIGKILL)
    kill_all([earlier])
    assert is_running(sleeper)


def test_the_same_pid_and_ticks_of_another_boot_are_another_process(sleeper: ProcessRecord) -> None:
    assert not is_running(replace(sleeper, started=sleeper.started.split("@")[0] + "@another-boot"))


def test_a_process_waiting_to_be_collected_no_longer_runs() -> None:
    process = subprocess.Popen(["true"])
    wait_until(lambda: identify(process.pid) is None, "the process to end", 10)
    assert process.wait() == 0


def test_freezing_is_seen(sleeper: ProcessRecord) -> None:
    assert not is_frozen(sleeper)
    assert send(sleeper, signal.SIGSTOP)
    wait_until(lambda: is_frozen(sleeper), "the process to stand still", 10)
    assert is_running(sleeper)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": "1"}'])
def test_a_broken_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert read_record(tmp_path / "a.json") is None
    assert read_records(tmp_path) == {}


def test_a_launched_process_is_recorded_logged_and_not_our_child(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", 'echo "$GREETING"; exec sleep 600']
    log, record_path = tmp_path / "log" / "a.log", tmp_path / "records" / "a.json"
    record = launch(Launch(argv, log, record_path, environment={"GREETING": "hello"}))
    try:
        assert read_record(record_path) == record
        assert is_running(record)
        with pytest.raises(ChildProcessError):
            os.waitpid(record.pid, os.WNOHANG)
        wait_until(lambda: log.read_text() == "hello\n", "the log to be written", 10)
    finally:
        kill_all([record])
    assert not is_running(record)


def test_a_program_that_is_not_there_is_told_in_its_log(tmp_path: Path) -> None:
    record = launch(Launch(["/no/such/program"], tmp_path / "a.log", tmp_path / "a.json"))
    wait_until(lambda: not is_running(record), "it to end", 10)
    assert "No such file or directory" in (tmp_path / "a.log").read_text()


def test_a_namespace_that_cannot_be_joined_is_an_error_and_leaves_no_record(
    tmp_path: Path, sleeper: ProcessRecord
) -> None:
    gone = replace(sleeper, pid=2**22 - 1)
    with pytest.raises(LocalClusterError, match=r"Could not start sleep: .*No such file"):
        launch(Launch(["sleep", "600"], tmp_path / "a.log", tmp_path / "a.json", join=gone))
    assert not (tmp_path / "a.json").exists()


def test_a_wait_says_what_it_waited_for_and_what_is_known() -> None:
    with pytest.raises(LocalClusterError, match=r"waiting for rain\.\nno clouds"):
        wait_until(lambda: False, "rain", 0.01, detail=lambda: "no clouds")
