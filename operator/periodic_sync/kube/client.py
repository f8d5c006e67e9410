"""The one way to the API server: plain JSON objects over `kubernetes.aio`, with errors that say what they mean.

The typed client's models cost three times the CPU of the request itself, so objects stay dictionaries here.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp
from kubernetes.aio.client import ApiClient

from periodic_sync.api.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from periodic_sync.kube.observing import Observation, RequestObserver, silent
from periodic_sync.kube.resources import Resource

Object = dict[str, Any]
Objects = list[Object]

REQUEST_TIMEOUT_SECONDS = 10.0
"""The protocol relies on it: no POST lands later than this plus the server's own request time-out."""

PAGE_SIZE = 500
FIELD_MANAGER = "periodic-sync"
PLAIN = "identity"
"""Compressing an answer takes the API server several times as long as sending it, and unpacking it CPU here."""

METADATA_ONLY = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST_ONLY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidError,
    # A token that is no longer accepted is renewed within the minute: trouble on the way, and no refusal.
    401: UnavailableError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
    413: TooLargeError,
    422: InvalidError,
}


class Answer(NamedTuple):
    """An answer as it came."""

    body: bytes
    headers: Mapping[str, str]


class KubeClient:
    """Requests to one API server. Every method raises an `ApiError`, and `UnavailableError` where nothing is known."""

    def __init__(self, api: ApiClient, observe: RequestObserver = silent) -> None:
        self.api = api
        self._observe = observe

    async def get(self, resource: Resource, namespace: str | None, name: str, *, metadata_only: bool = False) -> Object:
        accept = METADATA_ONLY if metadata_only else "application/json"
        return await self._send("GET", resource.path(namespace, name), accept=accept)

    async def list(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
        version: str = "",
    ) -> Objects:
        """All objects that match, read from etcd and not from a cache, page by page.

        version: as they were at that resource version. Raises: ExpiredError where that is too old.
        """
        query = _selectors(labels, fields)
        accept = METADATA_LIST_ONLY if metadata_only else "application/json"
        items: Objects = []
        page = ""
        exact = [("resourceVersion", version), ("resourceVersionMatch", "Exact")] if version else []
        while True:
            paging = [("limit", str(PAGE_SIZE)), *([("continue", page)] if page else exact)]
            answer = await self._send("GET", resource.path(namespace), query=[*query, *paging], accept=accept)
            items += answer.get("items") or []
            page = answer["metadata"].get("continue", "")
            if not page:
                return items

    async def current_version(
        self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> str:
        """The resource version from which a watch sees all that changes from now on."""
        query = [*_selectors(labels, fields), ("limit", "1")]
        answer = await self._send("GET", resource.path(namespace), query=query, accept=METADATA_LIST_ONLY)
        return str(answer["metadata"]["resourceVersion"])

    async def create(self, resource: Resource, namespace: str | None, body: Object, *, dry_run: bool = False) -> Object:
        """dry_run: only say whether it would be taken."""
        query = [("dryRun", "All")] if dry_run else []
        try:
            return await self._send("POST", resource.path(namespace), query=query, body=body)
        except ConflictError as error:
            if error.reason == "AlreadyExists":
                raise AlreadyExistsError(str(error), status=error.status, reason=error.reason) from error
            raise

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        """Compare-and-swap where the body carries a resourceVersion. Raises: ConflictError when the race was lost."""
        return await self._send("PUT", resource.path(namespace, name), body=body)

    async def merge_status(
        self, resource: Resource, namespace: str, name: str, status: Object, *, version: str
    ) -> Object:
        """Only that resource version of the object. Raises: ConflictError where it has changed, or was made anew.

        A UID would not do: the API server passes over one that is wrong in the patch of a custom resource's status.
        """
        path = resource.path(namespace, name, "status")
        body: Object = {"metadata": {"resourceVersion": version}, "status": status}
        return await self._send("PATCH", path, body=body, content_type="application/merge-patch+json")

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Object, *, metadata_only: bool = False
    ) -> Object:
        """A merge patch; a compare-and-swap where it has a resourceVersion. Returns: the object, or its metadata."""
        path = resource.path(namespace, name)
        accept = METADATA_ONLY if metadata_only else "application/json"
        return await self._send("PATCH", path, body=patch, accept=accept, content_type="application/merge-patch+json")

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> bool:
        """Delete, dependents in the background; only the very object where its UID or version is given.

        Returns: whether that was there.
        """
        wanted = {"uid": uid, "resourceVersion": resource_version}
        options: Object = {"propagationPolicy": "Background"}
        if preconditions := {key: value for key, value in wanted.items() if value is not None}:
            options["preconditions"] = preconditions
        try:
            await self._send("DELETE", resource.path(namespace, name), body=options)
        except NotFoundError:
            return False
        except ConflictError:
            if not preconditions:
                raise
            return False
        return True

    async def read(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Answer:
        """What is no object: logs, versions, and what is behind the API server's proxy."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        response = await self._open("GET", path, list(query), "*/*", timeout=timeout)
        try:
            text = await response.read()
        except (TimeoutError, aiohttp.ClientError) as error:
            raise UnavailableError(_why(error)) from error
        if response.status >= 400:
            raise _error(response.status, text)
        return Answer(text, response.headers)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        since: str,
        labels: str = "",
        fields: str = "",
        silence_seconds: float,
        metadata_only: bool = True,
    ) -> AsyncIterator[Object]:
        """Events from a resource version on, until the server ends the watch.

        Raises: ExpiredError where `since` is too old; UnavailableError after `silence_seconds` without a word, which
        bookmarks (about one a minute) would have broken.
        """
        query = [
            *_selectors(labels, fields),
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", since),
            ("timeoutSeconds", "300"),
        ]
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_TIMEOUT_SECONDS, sock_read=silence_seconds)
        accept = METADATA_ONLY if metadata_only else "application/json"
        response = await self._open("GET", resource.path(namespace), query, accept, timeout=timeout)
        try:
            if response.status >= 400:
                raise _error(response.status, await response.read())
            async for line in _lines(response.content):
                event: Object = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise _BY_STATUS.get(status.get("code", 0), UnavailableError)(str(status.get("message")))
                yield event
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise UnavailableError(_why(error)) from error
        finally:
            response.close()

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Object | None = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Object:
        query = [*query, ("fieldManager", FIELD_MANAGER)] if method in ("POST", "PUT", "PATCH") else list(query)
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        more: dict[str, Any] = {"body": body, "content_type": content_type, "timeout": timeout}
        with Observation(self._observe, method, path):
            response = await self._open(method, path, query, accept, **more)
            try:
                text = await response.read()
            except (TimeoutError, aiohttp.ClientError) as error:
                raise UnavailableError(_why(error)) from error
            if response.status >= 400:
                raise _error(response.status, text)
        try:
            answer: Object = json.loads(text)
        except ValueError as error:
            raise UnavailableError(f"the API server's answer is not JSON: {text[:200]!r}") from error
        return answer

    async def _open(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        accept: str,
        *,
        body: Object | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        try:
            request = await self.api.param_serialize(
                method,
                path,
                query_params=list(query),
                header_params={"Content-Type": content_type, "Accept": accept, "Accept-Encoding": PLAIN},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = await self.api.call_api(*request, _request_timeout=timeout)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnavailableError(_why(error)) from error
        response: aiohttp.ClientResponse = answer.response
        return response


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """However long: the stream's own lines end at 128 KiB, and an object may have a MiB and more."""
    parts: list[bytes] = []
    async for chunk in content.iter_any():
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield b"".join((*parts, end))
            parts.clear()
        if rest:
            parts.append(rest)


def _selectors(labels: str, fields: str) -> list[tuple[str, str]]:
    pairs = (("labelSelector", labels), ("fieldSelector", fields))
    return [(key, value) for key, value in pairs if value]


def _error(status: int, text: bytes) -> ApiError:
    try:
        answer = json.loads(text)
        message, reason = str(answer["message"]), str(answer.get("reason", ""))
    except (ValueError, KeyError, TypeError):
        message, reason = text[:200].decode(errors="replace") or f"HTTP {status}", ""
    if "etcdserver: request is too large" in message:
        return TooLargeError(message, status=status, reason=reason)
    return _BY_STATUS.get(status, UnavailableError)(message, status=status, reason=reason)


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer from the API server within {REQUEST_TIMEOUT_SECONDS:.0f} s"
    return f"the API server can't be reached: {error}"
