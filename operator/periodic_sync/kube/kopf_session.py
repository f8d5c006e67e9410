"""kopf's connection to the API server, made of ours.

kopf logs in again after a 401, and ends the operator when the new token equals the old one. So each request takes the
token as it is now, and a 401 becomes a lost connection, which kopf waits out.
"""

import itertools

import aiohttp
from kubernetes.aio.client import ApiClient

FIRST_BACK_OFFS = (0.5, 1.0, 2.0, 4.0)
LAST_BACK_OFF = 8.0


def endless_back_offs() -> itertools.chain[float]:
    """kopf gives up, and ends the operator, where its back-offs end."""
    return itertools.chain(FIRST_BACK_OFFS, itertools.repeat(LAST_BACK_OFF))


def server_of(api: ApiClient) -> str:
    """The address that `api` talks to."""
    return str(api.configuration.host)


def session_of(api: ApiClient) -> aiohttp.ClientSession:
    """A session with the same credentials and trust as `api`, renewed with it."""

    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        headers: dict[str, str] = {}
        await api.update_params_for_auth(headers, [], ["BearerToken"], str(request.url), request.method, None)
        request.headers.update({key.title(): value for key, value in headers.items()})
        response = await handler(request)
        if response.status == 401:
            response.close()
            raise aiohttp.ClientConnectionError("the API server does not accept the token (401)")
        return response

    connector = aiohttp.TCPConnector(limit=0, ssl=api.rest_client.ssl_context)
    return aiohttp.ClientSession(connector=connector, middlewares=[authorize], read_bufsize=2**21)
