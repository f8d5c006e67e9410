"""What requests to the API server tell whoever measures them: verb, resource, answer and time, and nobody's name."""

import time
from collections.abc import Callable
from types import TracebackType

from periodic_sync.api.errors import ApiError

RequestObserver = Callable[[str, str, int, float], None]
"""Told of each request that ended: verb, resource, HTTP status (0: no answer came), seconds."""

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def silent(verb: str, resource: str, status: int, seconds: float) -> None:
    """For where nobody measures."""


def verb_and_resource(method: str, path: str) -> tuple[str, str]:
    """As audit logs name them: `list pods`, `patch syncpolicies/status`. `path`: of this package's `Resource`."""
    parts = path.strip("/").split("/")
    parts = parts[2 if parts[0] == "api" else 3 :]
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    plural, name, subresource = (*parts, "", "")[:3]
    verb = _VERBS.get(method) or ("get" if name else "list")
    return verb, f"{plural}/{subresource}" if subresource else plural


class Observation:
    """One request, as the block that makes it ends. Whatever is cancelled, or crashes, is not told."""

    def __init__(self, observe: RequestObserver, method: str, path: str) -> None:
        self._observe = observe
        self._about = verb_and_resource(method, path)

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None or isinstance(error, ApiError):
            status = 200 if error is None else getattr(error, "status", 0)
            self._observe(*self._about, status, time.monotonic() - self._began)
