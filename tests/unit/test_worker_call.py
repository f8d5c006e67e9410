"""What an answer or an error of the connection means for the user."""

import errno
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from periodic_sync.worker.call import Verdict, explain, judge

NOON = 1764072000.0  # 2025-11-25T12:00:00Z
REFUSED = OSError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.7', 443)")
PEER = ConnectionKey("sync.svc", 443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("status", "headers", "verdict"),
    [
        (200, {}, Verdict()),
        (204, {"Retry-After": "5"}, Verdict()),
        (302, {}, Verdict("HTTP 302: redirects are not followed")),
        (404, {"Retry-After": "5"}, Verdict("HTTP 404 Not Found")),
        (410, {}, Verdict("HTTP 410 Gone")),
        (429, {"Retry-After": "5"}, Verdict("HTTP 429 Too Many Requests", True, 5.0, True)),
        (429, {}, Verdict("HTTP 429 Too Many Requests", True)),
        (503, {"Retry-After": "5"}, Verdict("HTTP 503 Service Unavailable", True, 5.0, True)),
        (500, {"Retry-After": "5"}, Verdict("HTTP 500 Internal Server Error", True, 5.0, False)),
        (599, {}, Verdict("HTTP 599", True)),
    ],
)
def test_what_an_answer_means(status: int, headers: dict[str, str], verdict: Verdict) -> None:
    assert judge(status, headers, NOON) == verdict


@pytest.mark.parametrize(
    ("error", "reason", "retried"),
    [
        (aiohttp.ClientConnectorDNSError(PEER, OSError()), "host name of the service not found", True),
        (
            aiohttp.ClientConnectorError(PEER, REFUSED),
            "no connection: Connection refused",
            True,
        ),
        (aiohttp.ClientConnectorError(PEER, OSError("many")), "no connection: service unreachable", True),
        (aiohttp.ClientConnectorSSLError(PEER, OSError(1, "x")), "TLS handshake failed", True),
        (
            aiohttp.ClientConnectorCertificateError(PEER, ssl.SSLCertVerificationError("x")),
            "TLS certificate of the service is not trusted",
            False,
        ),
        (aiohttp.ServerDisconnectedError(), "the service closed the connection", True),
        (aiohttp.ClientPayloadError("x"), "the service closed the connection", True),
        (ConnectionResetError("x"), "the service closed the connection", True),
        (aiohttp.InvalidURL("http://x/0xWALLET"), "the URL with this user filled in is not valid", False),
        (ValueError("http://x/0xWALLET"), "the URL with this user filled in is not valid", False),
        (aiohttp.ClientError("http://x/0xWALLET"), "call failed: ClientError", True),
    ],
)
def test_what_an_error_means_is_said_in_our_own_words(error: Exception, reason: str, retried: bool) -> None:
    assert explain(error) == Verdict(reason, retried)
