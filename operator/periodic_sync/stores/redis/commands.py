"""What the Redis store asks of its connection, however the server is found and wherever the URL comes from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Argument = str | bytes | int
Command = Sequence[Argument]
"""A command and its arguments, such as ("HMGET", key, field)."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script. `name` is for people only."""

    name: str
    source: str = field(repr=False)
    sha: str = field(init=False)
    """SHA-1 of the source in hex, by which a server knows it."""

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


class Commands(Protocol):
    """A way to the server that takes writes.

    Answers are what the server said, nothing converted: bytes, int, None, and lists of these. Bytes, since what
    applications wrote may be no UTF-8, and must not be able to break the reading of everybody else.

    Every method raises RedisNotReady (a StoreNotReady), ends within a few seconds, and may be called by many tasks at
    once. Nothing is sent a second time unless it surely was not carried out. Where an answer does not come it is not
    known whether a command was carried out.
    """

    async def run(self, script: Script, keys: Sequence[str | bytes], args: Sequence[Argument] = ()) -> Any:
        """Run a script, atomically. In a cluster all keys, of which there must be one, share one hash tag."""
        ...

    async def read(self, key: str | bytes, commands: Sequence[Command]) -> list[Any]:
        """The answers to several commands that write nothing, in one round trip, in their order; no transaction.

        key: tells a cluster where to look; every key of the commands shares its hash tag.
        """
        ...

    async def info(self, section: str) -> Mapping[str, Mapping[str, str]]:
        """INFO of every server that takes writes, by `host:port`."""
        ...

    async def close(self) -> None:
        """Take no more calls; those that are under way may end."""
        ...
