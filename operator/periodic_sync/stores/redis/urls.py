"""The URL of a Redis store, as platform engineers write it into a Secret.

    redis://[[user]:password@]host[:port][/database]            rediss:// for TLS
    redis+sentinel://[[user]:password@]host[:port],…/master[/database]
    redis+cluster://[[user]:password@]host[:port],…

What is wrong with a URL is told without repeating any of it: where it is malformed, any part may be the password.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote

REDIS_PORT = 6379
SENTINEL_PORT = 26379

_PERCENT = (
    "characters such as @ / : # ? and % in a user or password are written percent-encoded: %40 %2F %3A %23 %3F %25"
)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")


class Mode(StrEnum):
    """How the server that takes writes is found."""

    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True, order=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A URL taken apart. Its `repr` holds no password."""

    mode: Mode
    hosts: tuple[Address, ...]
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    master: str = ""
    """What the Sentinels call the primary; only in Sentinel mode."""


_SCHEMES: Mapping[str, tuple[Mode, bool]] = {
    "redis": (Mode.STANDALONE, False),
    "rediss": (Mode.STANDALONE, True),
    "redis+sentinel": (Mode.SENTINEL, False),
    "rediss+sentinel": (Mode.SENTINEL, True),
    "redis+cluster": (Mode.CLUSTER, False),
    "rediss+cluster": (Mode.CLUSTER, True),
}
_SHAPES: Mapping[Mode, str] = {
    Mode.STANDALONE: "redis://user:password@host:6379/0",
    Mode.SENTINEL: "redis+sentinel://user:password@host:26379,host:26379/master/0",
    Mode.CLUSTER: "redis+cluster://user:password@host:6379,host:6379",
}


def parse_url(text: str) -> RedisUrl:
    """Raises: ValueError with a sentence that says what to write, and holds nothing of the URL."""
    text = text.strip()  # a Secret made from a file often ends with a newline
    scheme, found, rest = text.partition("://")
    if not found or scheme.lower() not in _SCHEMES:
        raise ValueError(
            "the URL has to begin with redis://, rediss:// (TLS), redis+sentinel:// or redis+cluster://, such as "
            + _SHAPES[Mode.STANDALONE]
        )
    mode, tls = _SCHEMES[scheme.lower()]
    if re.search(r"[\s\x00-\x1f\x7f]", rest):
        raise ValueError("the URL has a space or a line break inside: write it on one line, a space as %20")
    # No host and no database has an @ in it, so the last one is the end of a password that was not encoded, too.
    credentials, given, place = rest.rpartition("@")
    username, password = _credentials(credentials) if given else (None, None)
    hosts, slash, path = place.partition("/")
    if "?" in place or "#" in place:
        raise ValueError(
            "the URL has something after ? or #, of which nothing is known here: leave it out (the certificate of a "
            f"TLS authority goes into the key ca.crt of the same Secret); {_PERCENT}"
        )
    master, database = _path(mode, path if slash else "")
    return RedisUrl(mode, _hosts(mode, hosts), database, username, password, tls, master)


def _credentials(text: str) -> tuple[str | None, str | None]:
    username, colon, password = text.partition(":")
    if not colon or not password:
        raise ValueError(
            "the URL has an @ with no password before it: write user:password@, or :password@ for the default user; "
            + _PERCENT
        )
    try:
        decoded = [unquote(part, errors="strict") for part in (username, password)]
    except UnicodeDecodeError:
        raise ValueError(f"the URL's user or password is not UTF-8 once it is decoded; {_PERCENT}") from None
    return decoded[0] or None, decoded[1]


def _hosts(mode: Mode, text: str) -> tuple[Address, ...]:
    default = SENTINEL_PORT if mode is Mode.SENTINEL else REDIS_PORT
    hosts = tuple(_address(part, default) for part in text.split(","))
    if mode is Mode.STANDALONE and len(hosts) > 1:
        raise ValueError(
            "the URL names several hosts, which redis:// can't tell apart: write redis+sentinel://…/master for "
            "Sentinels, or redis+cluster://… for a cluster"
        )
    return hosts


def _address(text: str, default: int) -> Address:
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?", text)
    if not match:
        raise ValueError(f"the URL's host and port are not of the form host:6379; {_PERCENT}")
    host, port = match[1], int(match[2] or default)
    if host.startswith("["):
        host = _ipv6(host[1:-1])
    elif not _HOST.fullmatch(host):
        raise ValueError(
            "the URL has no host, or one that is no host name: write the name of a Service such as redis.team-a.svc, "
            "or an address"
        )
    if not 0 < port < 65536:
        raise ValueError("the URL's port is not between 1 and 65535")
    return Address(host, port)


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError("the URL has something in brackets that is no IPv6 address") from None


def _path(mode: Mode, path: str) -> tuple[str, int]:
    """Returns: the master's name, and the database."""
    shape = f"write {_SHAPES[mode]}"
    parts = path.split("/") if path else []
    master = ""
    if mode is Mode.SENTINEL:
        master = unquote(parts.pop(0)) if parts else ""
        if not master:
            raise ValueError(f"the URL does not say which primary to ask the Sentinels for: {shape}")
    if parts and not parts[-1]:
        parts.pop()
    if len(parts) > 1 or (parts and not re.fullmatch("[0-9]{1,5}", parts[0])):
        raise ValueError(f"the URL's path is not the number of a database: {shape}; {_PERCENT}")
    database = int(parts[0]) if parts else 0
    if mode is Mode.CLUSTER and database:
        raise ValueError("the URL names a database, and a cluster has only database 0: leave it out")
    return master, database
