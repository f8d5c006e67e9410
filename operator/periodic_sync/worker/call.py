"""One HTTP call for one user, and what its outcome means."""

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from yarl import URL

from periodic_sync.worker.backoff import holds_everyone, is_retried, parse_retry_after

ANSWER_BYTES = 64 * 1024  # read of an answer so that its connection can be used again; the content is not looked at


@dataclass(frozen=True)
class Request:
    """What is sent for one user, everything filled in."""

    method: str
    url: str
    body: bytes | None


@dataclass(frozen=True)
class Verdict:
    """What one call came to. `reason` is empty for a user who is synced; `retry_after` is in seconds."""

    reason: str = ""
    retried: bool = False
    retry_after: float | None = None
    holds_everyone: bool = False


def judge(status: int, headers: Mapping[str, str], wall: float) -> Verdict:
    """Read an answer. 2xx is synced; 408, 425, 429 and 5xx are worth another attempt; all else has failed."""
    if 200 <= status <= 299:
        return Verdict()
    if 300 <= status <= 399:
        return Verdict(reason=f"HTTP {status}: redirects are not followed")
    try:
        reason = f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        reason = f"HTTP {status}"
    if not is_retried(status):
        return Verdict(reason=reason)
    retry_after = parse_retry_after(headers.get("Retry-After"), wall)
    return Verdict(reason, True, retry_after, retry_after is not None and holds_everyone(status))


def explain(error: Exception) -> Verdict:
    """Read an error of the connection. The texts are ours, as those of the libraries may quote the URL."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return Verdict("TLS certificate of the service is not trusted")
        case aiohttp.InvalidURL() | ValueError():  # certificate errors are ValueErrors too, hence after them
            return Verdict("the URL with this user filled in is not valid")
        case aiohttp.ClientSSLError():
            return Verdict("TLS handshake failed", retried=True)
        case aiohttp.ClientConnectorDNSError():
            return Verdict("host name of the service not found", retried=True)
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            return Verdict(f"no connection: {os.strerror(number) if number else 'service unreachable'}", retried=True)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionError():
            return Verdict("the service closed the connection", retried=True)
        case _:
            return Verdict(f"call failed: {type(error).__name__}", retried=True)


async def call(session: aiohttp.ClientSession, request: Request, timeout: float, wall: Callable[[], float]) -> Verdict:
    """Make one call, of at most `timeout` seconds with its answer. Never raises for what the service does.

    Redirects are not followed: a POST would turn into a GET, and the bearer token would go wherever the answer points.
    """
    try:
        async with session.request(
            request.method,
            URL(request.url, encoded=True),  # or a user id with an encoded slash would be "normalised" into another
            data=request.body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout),
        ) as response:
            await _drain(response)
            return judge(response.status, response.headers, wall())
    except TimeoutError:
        return Verdict(f"timeout after {timeout:g}s", retried=True)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return explain(error)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read a small answer to its end: only then did the service finish, and can the connection be used again."""
    left = ANSWER_BYTES
    while left > 0 and (chunk := await response.content.read(left)):
        left -= len(chunk)
