"""The worker's edges: environment, files, signals, the HTTP session and the exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import getproxies_environment

import aiohttp
from multidict import CIMultiDict

from periodic_sync import __version__
from periodic_sync.worker.backoff import TimeLimit, time_limit
from periodic_sync.worker.batch import Batch, BatchError, parse_batch
from periodic_sync.worker.log import Log
from periodic_sync.worker.pace import Clock, Stop
from periodic_sync.worker.results import CALLS_ROOM, Failure, termination_message, with_calls
from periodic_sync.worker.run import Run
from periodic_sync.worker.settings import HttpSettings, Settings, SettingsError, read_settings

BATCH_VARIABLE = "SYNC_BATCH_FILE"
MESSAGE_VARIABLE = "SYNC_TERMINATION_LOG"

ALL_SYNCED = 0
SOME_FAILED = 1
BAD_SET_UP = 2


def main(environment: Mapping[str, str] | None = None) -> int:
    """Sync the batch that the environment names.

    Returns: the exit code: 0 when everyone is synced, 1 when somebody is not (the termination message says who), 2 when
    nothing was tried because of the batch file or the settings (a sentence on standard error).
    """
    environment = os.environ if environment is None else environment
    message_file = Path(environment.get(MESSAGE_VARIABLE) or "/dev/termination-log")
    try:
        file = _batch_file(environment)
        batch = parse_batch(file.read_bytes())
    except (BatchError, OSError) as error:
        # No JSON: nobody can be named, which by the contract means that all failed, unexplained. People can read it.
        return _give_up(message_file, _sentence(error), _sentence(error))
    try:
        settings = read_settings(environment)
    except SettingsError as error:
        failures = {at: Failure(user.public_id, f"bad set-up: {error}") for at, user in enumerate(batch.users)}
        return _give_up(message_file, termination_message(failures), str(error))
    log = Log(Clock().wall, policy=batch.policy, namespace=batch.namespace, batch=batch.batch)
    failures, calls = asyncio.run(_run(batch, settings, _time_limit(settings, file), log))
    if failures:
        message = with_calls(termination_message(failures, room=CALLS_ROOM), calls)
        return SOME_FAILED if _write_message(message_file, message) else BAD_SET_UP
    if calls:
        _write_message(message_file, with_calls("", calls))  # without it everyone is synced all the same
    return ALL_SYNCED


def _batch_file(environment: Mapping[str, str]) -> Path:
    name = environment.get(BATCH_VARIABLE)
    if not name:
        raise BatchError(f"{BATCH_VARIABLE} is not set: it names the batch file, which the operator mounts in the pod")
    return Path(name)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"can't read the batch file that {BATCH_VARIABLE} names, {error.filename}: {error.strerror}"
    return str(error)


def _give_up(message_file: Path, message: str, sentence: str) -> int:
    print(f"periodic-sync worker: nothing was synced: {sentence}", file=sys.stderr, flush=True)
    _write_message(message_file, message)
    return BAD_SET_UP


def _write_message(message_file: Path, message: str) -> bool:
    try:
        message_file.write_text(message, encoding="utf-8")
    except OSError as error:
        print(
            f"periodic-sync worker: can't write the results to {message_file}: {error.strerror}; "
            f"set {MESSAGE_VARIABLE} to the container's terminationMessagePath",
            file=sys.stderr,
            flush=True,
        )
        return False
    return True


def _time_limit(settings: Settings, batch_file: Path) -> TimeLimit:
    # The kubelet writes the mounted file just before it pulls the image, so its age is the time that already went by.
    clock = Clock()
    try:
        pod_started: float | None = batch_file.stat().st_mtime
    except OSError:
        pod_started = None
    return time_limit(settings.deadline, now=clock.monotonic(), wall=clock.wall(), pod_started=pod_started)


async def _run(
    batch: Batch, settings: Settings, limit: TimeLimit, log: Log
) -> tuple[dict[int, Failure], dict[str, Any]]:
    """Returns: who failed, by position, and how the calls went."""
    clock = Clock()
    stop = Stop(clock)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.request)
    started = clock.monotonic()
    async with open_session(settings) as session:
        run = Run(batch, settings.http, session, limit=limit, clock=clock, stop=stop, log=log)
        failures = await run.sync()
    calls = run.calls.told()
    log.info(
        "batch done",
        users=len(batch.users),
        synced=len(batch.users) - len(failures),
        failed=len(failures),
        seconds=round(clock.monotonic() - started, 3),
        interrupted=stop.requested,
        calls=calls,
    )
    return failures, calls


def open_session(settings: Settings) -> aiohttp.ClientSession:
    """The HTTP session of a run: connections are shared, cookies are not kept, as they would be another user's."""
    http = settings.http
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=http.concurrency),
        headers=_headers(http, settings.bearer_token),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        # Proxy variables work as everywhere; looking for them (and for a .netrc) costs every call, so only when set.
        trust_env=bool(getproxies_environment()),
    )


def _headers(http: HttpSettings, bearer_token: str | None) -> CIMultiDict[str]:
    headers = CIMultiDict({"User-Agent": f"periodic-sync-worker/{__version__}", "Accept": "application/json, */*"})
    if http.body is not None or http.method in ("POST", "PUT", "PATCH"):
        headers["Content-Type"] = "application/json"
    for name in {header.name for header in http.headers}:
        headers.pop(name, None)
    for header in http.headers:
        headers.add(header.name, header.value)
    if bearer_token is not None:
        headers["Authorization"] = f"Bearer {bearer_token}"
    return headers
