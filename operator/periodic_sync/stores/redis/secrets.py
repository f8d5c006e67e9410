"""The connection whose URL is in a Secret, followed as the Secret changes."""

import asyncio
import base64
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from periodic_sync.api.errors import ApiError, ForbiddenError, NotFoundError
from periodic_sync.stores.redis.commands import Argument, Command, Script
from periodic_sync.stores.redis.connection import CALL_SECONDS, Connection
from periodic_sync.stores.redis.troubles import RedisNotReady, Replaced, WrongCredentials
from periodic_sync.stores.redis.urls import parse_url

READ_SECONDS = 30.0
"""How long a Secret that was changed may go unnoticed."""
CA_KEY = "ca.crt"
"""Where cert-manager and others put the authority's certificate, beside whatever else a Secret holds."""
_DEFAULT_ACCOUNT = "periodic-sync:periodic-sync"

T = TypeVar("T")


class Secrets(Protocol):
    """Secrets in the API server, as plain dicts."""

    async def get(self, namespace: str, name: str) -> dict[str, Any]:
        """Raises: ApiError."""
        ...


@dataclass(frozen=True, slots=True)
class SecretRef:
    """`spec.store.redis.urlSecretRef` of a policy in `namespace`."""

    namespace: str
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class _Content:
    url: str = field(repr=False)
    ca: str


class SecretConnection:
    """`Commands` by the URL in a Secret, which is read again now and then, and at once when it is not accepted.

    Beyond what `Commands` says, calls raise ApiError as long as the Secret could not be read once.
    """

    def __init__(
        self,
        secrets: Secrets,
        ref: SecretRef,
        *,
        seconds: float = CALL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """seconds: for a call. clock: seconds, only forward."""
        self._secrets = secrets
        self._ref = ref
        self._seconds = seconds
        self._clock = clock
        self._reading = asyncio.Lock()
        self._read_at = 0.0
        self._content: _Content | None = None
        self._connection: Connection | None = None

    async def run(self, script: Script, keys: Sequence[str | bytes], args: Sequence[Argument] = ()) -> Any:
        """See `Commands`."""
        return await self._call(lambda connection: connection.run(script, keys, args))

    async def read(self, key: str | bytes, commands: Sequence[Command]) -> list[Any]:
        """See `Commands`."""
        return await self._call(lambda connection: connection.read(key, commands))

    async def info(self, section: str) -> Mapping[str, Mapping[str, str]]:
        """See `Commands`."""
        return await self._call(lambda connection: connection.info(section))

    async def close(self) -> None:
        """See `Commands`."""
        if self._connection:
            await self._connection.close()

    async def _call(self, call: Callable[[Connection], Awaitable[T]]) -> T:
        connection = await self._current()
        try:
            return await call(connection)
        except (WrongCredentials, Replaced):
            newer = await self._current(refused=connection)
            if newer is connection:
                raise
        return await call(newer)

    async def _current(self, *, refused: Connection | None = None) -> Connection:
        """The connection by what the Secret says; `refused` is one to doubt, however lately it was read."""
        async with self._reading:
            connection = self._connection
            if connection and connection is not refused and self._clock() - self._read_at < READ_SECONDS:
                return connection
            content = await self._content_now()
            if connection is None or content != self._content:
                self._connection = self._open(content)
                self._content = content
                if connection:
                    await connection.close()
            self._read_at = self._clock()  # not before it was of use: what is wrong is looked at again each time
            assert self._connection
            return self._connection

    async def _content_now(self) -> _Content:
        try:
            secret = await self._secrets.get(self._ref.namespace, self._ref.name)
        except NotFoundError as error:
            raise _missing(self._ref) from error
        except ForbiddenError as error:
            raise _forbidden(self._ref, str(error)) from error
        except ApiError:
            # An API server that can't be asked has not changed the Secret either.
            if self._content is None:
                raise
            return self._content
        return _content_of(self._ref, secret.get("data") or {})

    def _open(self, content: _Content) -> Connection:
        try:
            url = parse_url(content.url)
        except ValueError as error:
            raise RedisNotReady(f"{_place(self._ref)}: {error}") from None
        return Connection(url, ca=content.ca, seconds=self._seconds, clock=self._clock)


def _content_of(ref: SecretRef, data: Mapping[str, str]) -> _Content:
    if ref.key not in data:
        there = ", ".join(sorted(data)[:5]) or "none"
        raise RedisNotReady(
            f"Secret {ref.namespace}/{ref.name} has no key {ref.key} (its keys: {there}): add it with `kubectl "
            f"--namespace {ref.namespace} patch secret {ref.name} --type merge -p "
            f'\'{{"stringData": {{"{ref.key}": "redis://..."}}}}\'`, or correct spec.store.redis.urlSecretRef'
        )
    content = _Content(_text(ref, data[ref.key], ref.key), _text(ref, data.get(CA_KEY, ""), CA_KEY))
    if content.ca:
        try:
            ssl.create_default_context(cadata=content.ca)
        except (ssl.SSLError, ValueError):
            raise RedisNotReady(
                f"Key {CA_KEY} of Secret {ref.namespace}/{ref.name} holds no certificate: write one or more in PEM, "
                "beginning with -----BEGIN CERTIFICATE-----, or remove the key"
            ) from None
    return content


def _text(ref: SecretRef, encoded: str, key: str) -> str:
    try:
        return base64.b64decode(encoded).decode().strip()
    except ValueError:
        raise RedisNotReady(f"Key {key} of Secret {ref.namespace}/{ref.name} is not text: write it anew") from None


def _place(ref: SecretRef) -> str:
    return f"Key {ref.key} of Secret {ref.namespace}/{ref.name}"


def _missing(ref: SecretRef) -> RedisNotReady:
    return RedisNotReady(
        f"Secret {ref.namespace}/{ref.name}, which spec.store.redis.urlSecretRef names, does not exist: create it with "
        f"`kubectl --namespace {ref.namespace} create secret generic {ref.name} --from-literal={ref.key}=redis://...`"
    )


def _forbidden(ref: SecretRef, said: str) -> RedisNotReady:
    """said: the API server's sentence, which names the operator's service account."""
    named = re.search(r'"system:serviceaccount:([a-z0-9.:-]+)"', said)
    account, name = named[1] if named else _DEFAULT_ACCOUNT, f"periodic-sync-reads-{ref.name}"
    return RedisNotReady(
        f"The operator may not read Secret {ref.namespace}/{ref.name}. Allow it to read that one with `kubectl "
        f"--namespace {ref.namespace} create role {name} --verb=get --resource=secrets --resource-name={ref.name}` and "
        f"`kubectl --namespace {ref.namespace} create rolebinding {name} --role={name} --serviceaccount={account}`"
    )
