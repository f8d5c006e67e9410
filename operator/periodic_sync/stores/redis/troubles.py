"""What can go wrong with Redis, as sentences for the person who can do something about it."""

import ssl
from collections.abc import Mapping

from redis import exceptions as redis_errors

from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.urls import Address, Mode, RedisUrl


class RedisNotReady(StoreNotReady):
    """Trouble with Redis. The text says what, where (never with credentials), and what to do.

    passes: whether it may end without anybody doing something: a failover, a restart, a broken connection.
    answer: the server's own words, where it answered with an error that is not known here.
    """

    def __init__(self, message: str, *, passes: bool = False, answer: str = "") -> None:
        super().__init__(message)
        self.passes = passes
        self.answer = answer


class WrongCredentials(RedisNotReady):
    """The server does not take this user and password; nothing was carried out."""


class WrongServer(RedisNotReady):
    """Another server takes writes by now, `better` by this one's word; nothing was carried out."""

    def __init__(self, message: str, *, better: Address | None = None) -> None:
        super().__init__(message, passes=True)
        self.better = better


class Replaced(RedisNotReady):
    """The connection takes no more calls; nothing was carried out."""


class UnknownScript(RedisNotReady):
    """The server has not seen this script since it started; nothing was carried out."""


_PASSES = True
_FOR_A_PERSON = False
_MOVING = (_PASSES, "is moving this policy's keys to another server of the cluster, which passes")
_NO_DATABASE = (_FOR_A_PERSON, "has no database of the number at the end of the URL: correct it there")
_IN_A_CLUSTER = (_FOR_A_PERSON, "is part of a Redis Cluster: write redis+cluster:// in place of redis:// into the URL")

# By the class that redis-py makes of the server's first word; the more specific ones first.
_BY_CLASS: tuple[tuple[type[Exception], tuple[bool, str]], ...] = (
    (redis_errors.BusyLoadingError, (_PASSES, "is loading its data from disk, which passes")),
    (
        redis_errors.NoPermissionError,
        (_FOR_A_PERSON, "refuses a command: {said}. Give the URL's user that right with ACL SETUSER"),
    ),
    (
        redis_errors.OutOfMemoryError,
        (_FOR_A_PERSON, "takes no writes since its memory is full: raise maxmemory, or remove data"),
    ),
    (redis_errors.MovedError, _IN_A_CLUSTER),
    (redis_errors.AskError, _MOVING),
    (redis_errors.TryAgainError, _MOVING),
    (redis_errors.ClusterCrossSlotError, (_FOR_A_PERSON, "is given keys of several slots in one step ({said})")),
    (redis_errors.MasterDownError, (_PASSES, "is a replica that has lost its primary; a failover may be under way")),
    (
        redis_errors.ClusterDownError,
        (_PASSES, "says that the cluster is down ({said}): see `redis-cli cluster info` and restart what is missing"),
    ),
    (
        redis_errors.InvalidResponse,
        (_FOR_A_PERSON, "does not answer as Redis does: correct host and port in the URL"),
    ),
)
# By the first word of an answer for which redis-py has no class of its own.
_BY_WORD: Mapping[str, tuple[bool, str]] = {
    "MISCONF": (_FOR_A_PERSON, "takes no writes since it can't save to its disk: free space there, and see its log"),
    "NOREPLICAS": (_PASSES, "takes no writes since too few replicas are connected (min-replicas-to-write)"),
    "BUSY": (_PASSES, "is busy with a script"),
    "DENIED": (_FOR_A_PERSON, "is in protected mode: set a password (requirepass) and write it into the URL"),
    "WRONGTYPE": (
        _FOR_A_PERSON,
        "holds keys of another kind under this prefix: another program uses it; choose another "
        "spec.store.redis.keyPrefix",
    ),
}
_BY_TEXT: Mapping[str, tuple[bool, str]] = {
    "DB index is out of range": _NO_DATABASE,
    "invalid DB index": _NO_DATABASE,
    "SELECT is not allowed in cluster mode": _IN_A_CLUSTER,
    "cluster support disabled": (
        _FOR_A_PERSON,
        "is no Redis Cluster: write redis:// in place of redis+cluster:// into the URL",
    ),
    "max number of clients": (_PASSES, "has as many clients as it takes: raise maxclients, or find who opens them"),
    "unknown command": (
        _FOR_A_PERSON,
        "does not know a command that is needed ({said}): Redis 7.0 and Valkey 7.2 do, and some proxies don't",
    ),
}


def explain(error: BaseException, server: str, url: RedisUrl, *, reached: bool = True) -> RedisNotReady:
    """What an error of redis-py, or of the socket, means.

    server: as a sentence begins, such as `Redis at host:6379`. reached: whether it ever answered before.
    """
    said = _said(error)
    if isinstance(error, redis_errors.ReadOnlyError):
        return read_only(server, url.mode)
    if isinstance(error, redis_errors.MovedError) and url.mode is Mode.CLUSTER:
        better = Address(error.host, error.port) if error.host else None
        return WrongServer(f"{server} has handed this policy's keys to another server", better=better)
    if isinstance(error, redis_errors.NoScriptError):
        return UnknownScript(f"{server} does not know a script", passes=True)
    meanings = [meaning for kind, meaning in _BY_CLASS if isinstance(error, kind)]
    meanings += [meaning for text, meaning in _BY_TEXT.items() if text in said]
    if meanings:
        passes, sentence = meanings[0]
        return RedisNotReady(f"{server} {sentence.format(said=said)}", passes=passes)
    if isinstance(error, redis_errors.AuthenticationError | redis_errors.AuthorizationError):
        return _credentials(server, said)
    if isinstance(error, redis_errors.ResponseError):
        return _answered(server, said)
    return _on_the_way(error, server, "" if reached else _tls_hint(url))


def read_only(server: str, mode: Mode) -> RedisNotReady:
    """The server is a replica."""
    if mode is not Mode.STANDALONE:
        return WrongServer(f"{server} is a replica by now: a failover is under way")
    return RedisNotReady(
        f"{server} is a replica, which takes no writes: write the primary's address into the URL, or "
        "redis+sentinel://host:26379/master so that it is found"
    )


def timed_out(server: str, seconds: float, url: RedisUrl, *, reached: bool = True) -> RedisNotReady:
    """As `explain`, of a call that has taken as long as it may."""
    hint = "" if reached else _tls_hint(url)
    return RedisNotReady(
        f"{server} gives no answer within {seconds:g} s: is it busy, paused or cut off?{hint}", passes=True
    )


def _answered(server: str, said: str) -> RedisNotReady:
    if meaning := _BY_WORD.get(said.split(" ", 1)[0]):
        passes, sentence = meaning
        return RedisNotReady(f"{server} {sentence.format(said=said)}", passes=passes)
    return RedisNotReady(f"{server} answered with an error: {said}", answer=said)


def _credentials(server: str, said: str) -> WrongCredentials:
    if "required" in said:
        return WrongCredentials(
            f"{server} asks for a password and the URL has none: write user:password@, or :password@ for the "
            "default user, in front of the host"
        )
    if "without any password configured" in said:
        return WrongCredentials(f"{server} has no password and the URL has one: remove it there, or set it here")
    return WrongCredentials(
        f"{server} does not accept the URL's user and password: correct them in the Secret (characters such "
        "as @ / : # ? and % percent-encoded), or the user with ACL SETUSER"
    )


def _tls_hint(url: RedisUrl) -> str:
    """For a server that never said a word: TLS on one side only mostly ends in silence or in a connection closed."""
    if url.tls:
        return " Where it has no TLS, write redis for rediss in the URL"
    return " Where it speaks only TLS, write rediss for redis in the URL"


def _on_the_way(error: BaseException, server: str, hint: str) -> RedisNotReady:
    said = _said(error)
    if certificate := _in_chain(error, ssl.SSLCertVerificationError):
        return RedisNotReady(
            f"{server} shows a certificate that is not trusted ({_said(certificate)}): put its authority's certificate "
            "into the key ca.crt of the same Secret, or correct the host in the URL"
        )
    if tls := _in_chain(error, ssl.SSLError):
        return RedisNotReady(
            f"{server} can't be spoken to with TLS ({_said(tls)}): where it has none, write redis for rediss in the URL"
        )
    if isinstance(error, redis_errors.TimeoutError | TimeoutError):
        return RedisNotReady(f"{server} gives no answer in time: is it busy, paused or cut off?{hint}", passes=True)
    if isinstance(_in_chain(error, ConnectionRefusedError), ConnectionRefusedError):
        return RedisNotReady(f"{server} refuses connections: it is not running, or has another port", passes=True)
    if "Name or service not known" in said or "name resolution" in said or "No address" in said:
        return RedisNotReady(f"{server} can't be found: there is no such host; correct it in the URL", passes=True)
    return RedisNotReady(f"{server} can't be reached, or broke the connection: {said}.{hint}", passes=True)


def _said(error: BaseException) -> str:
    """The first line of what an error says, no more of it than a condition should hold, and nothing of users."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.split(", with args", 1)[0].rstrip(".")[:300]


def _in_chain(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
