"""Processes known by pid and start time, so that a recycled pid is never mistaken for one of ours."""

import json
import os
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from localcluster.waiting import wait_until


@dataclass(frozen=True)
class ProcessRecord:
    pid: int
    started: str
    """Clock ticks between boot and the process's start, and which boot that was."""


def _stat_fields(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the command's name in brackets, and may itself contain blanks and brackets.
    return text[text.rindex(")") + 2 :].split()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> ProcessRecord | None:
    """The running process of that pid; one that is only waiting to be collected by its parent no longer runs."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return ProcessRecord(pid, f"{fields[19]}@{_boot()}")


def is_running(record: ProcessRecord | None) -> bool:
    return record is not None and identify(record.pid) == record


def is_frozen(record: ProcessRecord) -> bool:
    fields = _stat_fields(record.pid)
    return fields is not None and fields[0] == "T"


def resident_bytes(record: ProcessRecord) -> int:
    try:
        return int(Path(f"/proc/{record.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def write_record(path: Path, record: ProcessRecord) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(record)))
    draft.replace(path)


def read_record(path: Path) -> ProcessRecord | None:
    try:
        raw = json.loads(path.read_text())
        return ProcessRecord(int(raw["pid"]), str(raw["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_records(folder: Path) -> dict[str, ProcessRecord]:
    found = {path.stem: read_record(path) for path in sorted(folder.glob("*.json"))}
    return {name: record for name, record in found.items() if record is not None}


def send(record: ProcessRecord, number: signal.Signals) -> bool:
    """Signal exactly that process: the descriptor pins it, so the pid can't pass to another after the check."""
    try:
        handle = os.pidfd_open(record.pid)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        if not is_running(record):
            return False
        signal.pidfd_send_signal(handle, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)


def kill_all(records: Iterable[ProcessRecord], seconds: float = 20) -> None:
    targets = list(records)
    for record in targets:
        send(record, signal.SIGKILL)
    wait_until(
        lambda: not any(map(is_running, targets)),
        "killed processes to go away",
        seconds,
        detail=lambda: f"Still there: {[record.pid for record in targets if is_running(record)]}",
        interval=0.02,
    )
