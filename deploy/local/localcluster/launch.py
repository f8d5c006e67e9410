"""Starting a process that outlives the command, inside a cluster's namespaces, recorded before it does anything.

The child waits until its record is written: a command killed at any moment leaves no process that nobody knows of.
"""

import ctypes
import os
import socket
import struct
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from localcluster.errors import LocalClusterError
from localcluster.processes import ProcessRecord, identify, read_record, write_record

_CLONE_NEWNS = 0x00020000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_HELLO, _GO = b"h", b"g"
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Launch:
    argv: Sequence[str]
    log: Path
    record: Path
    new_namespaces: bool = False
    join: ProcessRecord | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def launch(request: Launch) -> ProcessRecord:
    for folder in (request.log.parent, request.record.parent):
        folder.mkdir(parents=True, exist_ok=True)
    request.record.unlink(missing_ok=True)
    report_read, report_write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    starter = os.fork()
    if starter == 0:
        os.close(report_read)
        _run_starter(request, report_write)
    os.close(report_write)
    with os.fdopen(report_read, "rb") as report:
        problem = report.read().decode(errors="replace")
    os.waitpid(starter, 0)
    record = read_record(request.record)
    if problem or record is None:
        raise LocalClusterError(f"Could not start {request.argv[0]}: {problem.strip() or 'no process came of it'}")
    return record


def _run_starter(request: Launch, report: int) -> NoReturn:
    try:
        os.setsid()
        _enter_pid_namespace(request)
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        forked = os.fork()
        if forked == 0:
            os.close(report)
            ours.close()
            _leave_parent(request)
            _run_child(request, theirs)
        theirs.close()
        record = identify(_sender_of_hello(ours))
        if record is None:
            raise OSError("the new process ended at once")
        if not request.new_namespaces:
            os.waitpid(forked, 0)
        write_record(request.record, record)
        ours.send(_GO)
        os._exit(0)
    except BaseException as problem:
        os.write(report, (str(problem) or type(problem).__name__).encode())
        os._exit(1)


def _leave_parent(request: Launch) -> None:
    """Makes the namespace's first process the new one's parent, so that somebody collects it when it ends: the
    machine's own first process may not. The very first process of a namespace has no one in it to be given to."""
    if not request.new_namespaces and os.fork() != 0:
        os._exit(0)


def _sender_of_hello(ours: socket.socket) -> int:
    """The new process's pid as seen from here: it knows only the one it has inside its namespace."""
    size = struct.calcsize("3i")
    hello, extra, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(size))
    if not hello or not extra:
        raise OSError("the new process ended at once")
    pid: int = struct.unpack("3i", extra[0][2][:size])[0]
    return pid


def _run_child(request: Launch, starter: socket.socket) -> NoReturn:
    log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    try:
        starter.send(_HELLO)
        if starter.recv(1) != _GO:
            os._exit(1)
        _enter_other_namespaces(request)
        os.chdir("/")
        os.closerange(3, 256)
        os.execvpe(request.argv[0], list(request.argv), {**os.environ, **request.environment})
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        os._exit(126)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _join_namespace(owner: ProcessRecord, kind: str, flag: int) -> None:
    handle = os.open(f"/proc/{owner.pid}/ns/{kind}", os.O_RDONLY)
    _checked(_libc.setns(handle, flag), f"entering the cluster's {kind} namespace")
    os.close(handle)


def _enter_pid_namespace(request: Launch) -> None:
    """A PID namespace is entered by the children of whoever asks for it, never by the asker."""
    if request.new_namespaces:
        _checked(_libc.unshare(_CLONE_NEWPID), "making a PID namespace")
    elif request.join:
        _join_namespace(request.join, "pid", _CLONE_NEWPID)


def _enter_other_namespaces(request: Launch) -> None:
    if request.new_namespaces:
        _checked(_libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS), "making network and mount namespaces")
    elif request.join:
        # The mount namespace last: from then on /proc is the cluster's own and the owner has another pid in it.
        _join_namespace(request.join, "net", _CLONE_NEWNET)
        _join_namespace(request.join, "mnt", _CLONE_NEWNS)
