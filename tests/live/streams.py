"""Live events, read in threads: whatever their readers are told while a block runs."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from live.api import Object
from live.http_api import HttpApi


@dataclass
class Stream:
    """Of one policy."""

    messages: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.messages)

    def events(self, kind: str) -> list[Object]:
        return [event for message in list(self.messages) for event in json.loads(message) if event["type"] == kind]


@contextmanager
def listening(http: HttpApi, paths: Mapping[str, str], token: str) -> Iterator[dict[str, Stream]]:
    """paths: of policies, by any name. What happens once the block begins is told."""
    streams: dict[str, Stream] = {}
    with ExitStack() as threads, ExitStack() as connections:  # these end first
        for name, path in paths.items():
            address = f"{http.base.replace('http', 'ws', 1)}{path}/events"
            headers = {"Authorization": f"Bearer {token}"}
            connection = connections.enter_context(connect(address, additional_headers=headers, open_timeout=30))
            streams[name] = Stream([str(connection.recv(timeout=30))])
            thread = Thread(target=_read, args=(connection, streams[name]), daemon=True)
            thread.start()
            threads.callback(thread.join, 10)
        yield streams


def _read(connection: ClientConnection, stream: Stream) -> None:
    with suppress(ConnectionClosed):
        for message in connection:
            stream.messages.append(str(message))
