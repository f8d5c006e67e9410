"""What tests of stores share: ConfigMaps that count, and that fail when told to."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from periodic_sync.api.errors import ConflictError, UnavailableError
from periodic_sync.stores.base import ConfigMaps

T = TypeVar("T")
Object = dict[str, Any]


@dataclass
class Watched:
    """Passes every request on to `maps`, and counts it. `plan` may make a request fail, before or after its effect."""

    maps: ConfigMaps
    requests: Counter[str] = field(default_factory=Counter)
    written: int = 0
    """Bytes of the objects written, as JSON with all that the API server adds."""
    plan: Callable[[int], str] = lambda number: ""
    """From the number of the request to "", "before", "after" or "conflict"."""

    def reset(self) -> None:
        self.requests.clear()
        self.written = 0

    async def list_metadata(self, namespace: str, labels: str) -> list[Object]:
        return await self._pass("list metadata", lambda: self.maps.list_metadata(namespace, labels))

    async def get_metadata(self, namespace: str, name: str) -> Object:
        return await self._pass("get metadata", lambda: self.maps.get_metadata(namespace, name))

    async def get(self, namespace: str, name: str) -> Object:
        return await self._pass("get", lambda: self.maps.get(namespace, name))

    async def create(self, namespace: str, body: Object) -> Object:
        return self._weigh(await self._pass("create", lambda: self.maps.create(namespace, body)))

    async def replace(self, namespace: str, name: str, body: Object) -> Object:
        return self._weigh(await self._pass("replace", lambda: self.maps.replace(namespace, name, body)))

    async def delete(self, namespace: str, name: str, *, resource_version: str | None = None) -> None:
        await self._pass("delete", lambda: self.maps.delete(namespace, name, resource_version=resource_version))

    def _weigh(self, stored: Object) -> Object:
        self.written += len(json.dumps(stored, separators=(",", ":")))
        return stored

    async def _pass(self, kind: str, request: Callable[[], Awaitable[T]]) -> T:
        fault = self.plan(self.requests.total())
        self.requests[kind] += 1
        if fault == "before":
            raise UnavailableError("the connection broke on the way there")
        if fault == "conflict" and kind in ("replace", "delete"):
            raise ConflictError("somebody else was faster", status=409)
        answer = await request()
        if fault == "after":
            raise UnavailableError("the connection broke on the way back")
        return answer
