"""What can go wrong with Redis, as sentences for the person who can do something about it."""

import ssl
from collections.abc import Mapping

from redis import exceptions as redis_errors

from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.urls import Address, Mode


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
    """Another server takes writes by now; nothing was carried out."""


class UnknownScript(RedisNotReady):
    """The server has not seen this script since it started; nothing was carried out."""


# By the class that redis-py makes of the server's first word; the more specific ones first.
_BY_CLASS: tuple[tuple[type[Exception], bool, str], ...] = (
    (redis_errors.BusyLoadingError, True, "is loading its data from disk, which passes"),
    (
        redis_errors.NoPermissionError,
        False,
        "refuses a command: {said}. Give the user of the URL that right with ACL SETUSER",
    ),
    (
        redis_errors.OutOfMemoryError,
        False,
        "has no memory left for writes: raise maxmemory, or remove data (keys are never evicted under noeviction)",
    ),
    (
        redis_errors.MovedError,
        False,
        "is part of a Redis Cluster: write redis+cluster:// in place of redis:// into the URL",
    ),
    (redis_errors.AskError, True, "is moving this policy's keys to another server of the cluster, which passes"),
    (redis_errors.TryAgainError, True, "is moving this policy's keys to another server of the cluster, which passes"),
    (redis_errors.MasterDownError, True, "is a replica that has lost its primary; a failover may be under way"),
    (
        redis_errors.ClusterDownError,
        True,
        "says that the cluster is down ({said}): see `redis-cli cluster info`; nothing is decided until it is up",
    ),
    (redis_errors.InvalidResponse, False, "does not answer as Redis does: correct host and port in the URL"),
)
# By the first word of an answer for which redis-py has no class of its own.
_BY_WORD: Mapping[str, tuple[bool, str]] = {
    "MISCONF": (False, "refuses writes since it can't save to its disk: free space there, and see its log"),
    "NOREPLICAS": (True, "refuses writes since too few replicas are connected (min-replicas-to-write)"),
    "BUSY": (True, "is busy with a script"),
    "DENIED": (False, "is in protected mode: set a password (requirepass) and write it into the URL"),
    "WRONGTYPE": (
        False,
        "holds keys of another kind under this prefix: another program uses it; choose another "
        "spec.store.redis.keyPrefix",
    ),
    "CROSSSLOT": (False, "is a Redis Cluster and the keys of one step are in several slots ({said})"),
}
_BY_TEXT: tuple[tuple[str, bool, str], ...] = (
    ("DB index is out of range", False, "has no database of the number at the end of the URL: correct it there"),
    ("SELECT is not allowed in cluster mode", False, "is part of a Redis Cluster: write redis+cluster:// into the URL"),
    ("invalid DB index", False, "has no database of the number at the end of the URL: correct it there"),
    (
        "cluster support disabled",
        False,
        "is no Redis Cluster: write redis:// in place of redis+cluster:// into the URL",
    ),
    ("max number of clients", True, "has as many clients as it takes: raise maxclients, or find who opens them"),
    (
        "unknown command",
        False,
        "does not know a command that is needed here ({said}): Redis 7.0 or Valkey 7.2 is the least",
    ),
)


def explain(error: BaseException, address: Address, mode: Mode) -> RedisNotReady:
    """What an error of redis-py, or of the socket, means; `address` is the server that was asked."""
    said = _said(error)
    if isinstance(error, redis_errors.ReadOnlyError):
        return read_only(address, mode)
    if isinstance(error, redis_errors.MovedError) and mode is Mode.CLUSTER:
        return WrongServer(f"Redis at {address} has handed this policy's keys to another server", passes=True)
    if isinstance(error, redis_errors.NoScriptError):
        return UnknownScript(f"Redis at {address} does not know a script", passes=True)
    for kind, passes, sentence in _BY_CLASS:
        if isinstance(error, kind):
            return _told(address, sentence.format(said=said), passes)
    if isinstance(error, redis_errors.AuthenticationError | redis_errors.AuthorizationError):
        return _credentials(address, said)
    if isinstance(error, redis_errors.ResponseError):
        return _answered(address, said)
    return _on_the_way(error, address, said)


def _answered(address: Address, said: str) -> RedisNotReady:
    for text, passes, sentence in _BY_TEXT:
        if text in said:
            return _told(address, sentence.format(said=said), passes)
    word = said.split(" ", 1)[0]
    if word in _BY_WORD:
        passes, sentence = _BY_WORD[word]
        return _told(address, sentence.format(said=said), passes)
    return RedisNotReady(f"Redis at {address} answered with an error: {said}", answer=said)


def _on_the_way(error: BaseException, address: Address, said: str) -> RedisNotReady:
    if certificate := _in_chain(error, ssl.SSLCertVerificationError):
        return _told(
            address,
            f"shows a certificate that is not trusted ({_said(certificate)}): put the authority's certificate into the "
            "key ca.crt of the Secret, or correct the host in the URL",
        )
    if tls := _in_chain(error, ssl.SSLError):
        return _told(
            address, f"can't be spoken to with TLS ({_said(tls)}): if it has none there, write redis in place of rediss"
        )
    if isinstance(error, redis_errors.TimeoutError | TimeoutError):
        return _told(address, "does not answer in time: is it overloaded, paused, or cut off?", True)
    if "name" in said.lower() and ("not known" in said or "resolution" in said):
        return _told(address, "can't be found: its host name does not resolve; correct it in the URL, or wait", True)
    if "111" in said or "refused" in said.lower():
        return _told(address, "refuses connections: it is not running, or listens on another port", True)
    hint = (
        "" if "closed by server" not in said.lower() else ". Where only TLS is spoken, write rediss in place of redis"
    )
    return _told(address, f"can't be reached or broke the connection ({said}){hint}", True)


def read_only(address: Address, mode: Mode) -> RedisNotReady:
    """The server is a replica."""
    if mode is Mode.STANDALONE:
        return _told(
            address,
            "is a replica, which takes no writes: write the primary's address into the URL, or "
            "redis+sentinel://host:26379,…/master so that it is found",
        )
    return WrongServer(f"Redis at {address} is a replica by now: a failover is under way", passes=True)


def timed_out(address: Address | None, seconds: float) -> RedisNotReady:
    where = f"Redis at {address}" if address else "Redis"
    return RedisNotReady(
        f"{where} does not answer within {seconds:g} s: is it overloaded, paused, or cut off?", passes=True
    )


def _credentials(address: Address, said: str) -> WrongCredentials:
    if "required" in said.lower():
        return WrongCredentials(
            f"Redis at {address} asks for a password and the URL has none: write user:password@, or :password@ for the "
            "default user, in front of the host"
        )
    if "without any password configured" in said or "no password is set" in said:
        return WrongCredentials(f"Redis at {address} has no password and the URL has one: remove it from the URL")
    return WrongCredentials(
        f"Redis at {address} does not accept the URL's user and password: correct them in the Secret (characters such "
        "as @ / : # ? and % percent-encoded), or the user with ACL SETUSER"
    )


def _told(address: Address, sentence: str, passes: bool = False) -> RedisNotReady:
    return RedisNotReady(f"Redis at {address} {sentence}", passes=passes)


def _said(error: BaseException) -> str:
    """The first line of what an error says; only so much of it as a condition can hold."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _in_chain(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
