"""A wire to a server that a test can cut: without a sound, or so that whoever comes is refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


class Wire:
    """Listens on a port of its own, and passes on what it gets while it is whole."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._whole = asyncio.Event()
        self._whole.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server
        self.port = 0

    async def __aenter__(self) -> "Wire":
        await self.listen()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hang_up()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self) -> None:
        """Once more, after `hang_up`."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def hang_up(self) -> None:
        """Connections are ended, and further ones refused."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def cut(self) -> None:
        """Nothing is refused, and nothing comes through."""
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._whole.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
        self._writers.discard(sink)


@asynccontextmanager
async def wired(kubeconfig: Path, folder: Path) -> AsyncIterator[tuple[Wire, Path]]:
    """A wire to the API server, and the kubeconfig that leads through it."""
    address = urlsplit(_cluster(_read(kubeconfig))["server"])
    async with Wire(str(address.hostname), address.port or 443) as wire:
        yield wire, _through(wire.port, kubeconfig, folder)


def _through(port: int, kubeconfig: Path, folder: Path) -> Path:
    config = _read(kubeconfig)
    cluster = _cluster(config)
    cluster.setdefault("tls-server-name", urlsplit(cluster["server"]).hostname)
    cluster["server"] = f"https://127.0.0.1:{port}"
    made = folder / "wire-kubeconfig"
    made.write_text(yaml.safe_dump(config))
    return made


def _read(kubeconfig: Path) -> Any:
    return yaml.safe_load(kubeconfig.read_text())


def _cluster(config: Any) -> Any:
    return config["clusters"][0]["cluster"]
