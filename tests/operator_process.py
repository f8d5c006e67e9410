"""`periodic-sync operator` as processes of a test's own: started, asked, signalled, and read."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import STDOUT, Process
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from cluster_support import ROOT
from scraping import Scrape
from turns_support import until

PATIENCE = 60  # seconds until a process that should have ended is called hung; nothing is measured by it


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class OperatorProcess:
    """`periodic-sync operator`, its log in a file."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self.kubeconfig = kubeconfig
        self.log = log
        self.port = free_port()
        self.process: Process | None = None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self, *options: str) -> None:
        command = [sys.executable, "-m", "periodic_sync.cli.main", "operator"]
        given = ["--kubeconfig", str(self.kubeconfig), "--port", str(self.port), "--worker-image", "worker:1", *options]
        with self.log.open("w") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, *given, env=environment(), stdout=log, stderr=STDOUT
            )

    async def is_healthy(self) -> bool:
        assert self.is_running, "the operator ended"
        with suppress(aiohttp.ClientConnectionError):
            address = f"http://127.0.0.1:{self.port}/healthz"
            async with aiohttp.ClientSession() as session, session.get(address) as answer:
                return (answer.status, await answer.text()) == (200, "ok\n")
        return False

    async def scrape(self, accept: str = "") -> Scrape:
        """What `/metrics` says."""
        address = f"http://127.0.0.1:{self.port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(address, headers={"Accept": accept}) as answer:
            assert answer.status == 200, await answer.text()
            return Scrape(await answer.text())

    @property
    def _started(self) -> Process:
        assert self.process is not None, "the operator was not started"
        return self.process

    async def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP for as long as the block runs."""
        self._started.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._started.send_signal(signal.SIGCONT)

    async def end(self, number: int = signal.SIGTERM) -> int:
        self._started.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        async with asyncio.timeout(PATIENCE):
            return await self._started.wait()

    def lines(self) -> list[dict[str, Any]]:
        """The log, of which every line must be JSON."""
        whole, _, _ = self.log.read_text().rpartition("\n")  # the last one may still be written
        return [json.loads(line) for line in whole.splitlines()]

    def messages(self) -> list[str]:
        return [str(line["message"]) for line in self.lines()]

    @property
    def identity(self) -> str:
        """Its name as the holder of a Lease."""
        return next(str(line["identity"]) for line in self.lines() if line["message"] == "standing for election")

    @property
    def leads(self) -> bool:
        """By what it says."""
        told = [message for message in self.messages() if message in ("leading", "no longer leading")]
        return told[-1:] == ["leading"]

    def said_at(self, message: str, since: float = 0) -> list[float]:
        """When it said so, in seconds since the epoch, to the millisecond below."""
        told = [datetime.fromisoformat(line["time"]).timestamp() for line in self.lines() if line["message"] == message]
        return [moment for moment in told if moment >= since - 0.001]

    async def says(self, message: str) -> None:
        async def said() -> bool:
            assert self.is_running, "the operator ended"
            # A line that is being written may be there only in part.
            return f'"message": "{message}"' in self.log.read_text()

        await until(said)


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KUBE")}
    return {**kept, "PYTHONPATH": str(ROOT / "operator"), "PYTHONUNBUFFERED": "1"}
