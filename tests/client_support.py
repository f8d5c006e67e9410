"""What tests of the client library share: a clock to set, and ConfigMaps in memory that behave as the API server's."""

import asyncio
import copy
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from periodic_sync.api.errors import AlreadyExistsError, ConflictError, NotFoundError, TooLargeError
from periodic_sync.client import Client
from periodic_sync.client.config_map_backend import ConfigMapBackend
from periodic_sync.client.shard_writer import RecordMaps
from periodic_sync.stores.base import Owner
from store_contract import NOW

Object = dict[str, Any]
NAMESPACE, STORE = "shop", "user-activity"
DAY_MS = 24 * 3_600_000


@dataclass
class SetClock:
    """Stands still until a test lets time pass. Whoever sleeps is through at once, and only `monotonic` goes on."""

    instant: int = NOW
    slept: list[float] = field(default_factory=list)

    def now(self) -> int:
        return self.instant

    def monotonic(self) -> float:
        return self.instant / 1000 + sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(0)
            self.slept.append(round(seconds, 3))

    def pass_by(self, milliseconds: int) -> None:
        self.instant += milliseconds


@dataclass
class MemoryMaps:
    """`RecordMaps` of one namespace. `before_merge` may do what another client does just before a write arrives."""

    objects: dict[str, Object] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    patches: list[Object] = field(default_factory=list)
    before_merge: Callable[[Object], None] = lambda patch: None
    after_merge: Callable[[Object], None] = lambda patch: None
    _versions: Any = field(default_factory=lambda: itertools.count(1))

    async def list_metadata(self, namespace: str, labels: str) -> list[Object]:
        self.requests["list"] += 1
        key, _, value = labels.partition("=")
        return [
            {"metadata": copy.deepcopy(each["metadata"])}
            for each in self.objects.values()
            if (each["metadata"].get("labels") or {}).get(key) == value
        ]

    async def get_metadata(self, namespace: str, name: str) -> Object:
        return {"metadata": (await self._found(name))["metadata"]}

    async def get(self, namespace: str, name: str) -> Object:
        self.requests["get"] += 1
        return copy.deepcopy(await self._found(name))

    async def create(self, namespace: str, body: Object) -> Object:
        self.requests["create"] += 1
        name = body["metadata"]["name"]
        if name in self.objects:
            raise AlreadyExistsError(f"configmaps {name} already exists", status=409)
        return self.store(name, body.get("data") or {}, **{k: v for k, v in body["metadata"].items() if k != "name"})

    async def replace(self, namespace: str, name: str, body: Object) -> Object:
        raise AssertionError("records are never replaced as a whole")

    async def merge(self, namespace: str, name: str, patch: Object) -> Object:
        self.requests["merge"] += 1
        self.before_merge(patch)
        found = await self._found(name)
        metadata = patch.get("metadata") or {}
        if metadata.get("resourceVersion") not in (None, found["metadata"]["resourceVersion"]):
            raise ConflictError("the object has been modified", status=409)
        data = {**found["data"], **patch["data"]}
        self.patches.append(patch)
        annotations = (found["metadata"].get("annotations") or {}) | (metadata.get("annotations") or {})
        kept = {key: value for key, value in found["metadata"].items() if key in ("labels",)}
        stored = self.store(
            name,
            {k: v for k, v in data.items() if v is not None},
            uid=found["metadata"]["uid"],
            annotations=annotations,
            **kept,
        )
        self.after_merge(patch)
        return {"metadata": copy.deepcopy(stored["metadata"])}

    async def delete(self, namespace: str, name: str, *, resource_version: str | None = None) -> None:
        del self.objects[name]

    def store(self, name: str, data: dict[str, str], **metadata: Any) -> Object:
        """Put it there, as somebody else."""
        if sum(len(text.encode()) for text in data.values()) > 1024 * 1024:
            raise TooLargeError("data: Too long: must have at most 1048576 bytes")
        version = str(next(self._versions))
        before = self.objects.get(name, {}).get("metadata", {})
        full = {"name": name, "uid": before.get("uid", f"uid-{version}"), **metadata, "resourceVersion": version}
        self.objects[name] = {"metadata": full, "data": dict(data)}
        return copy.deepcopy(self.objects[name])

    def put(self, name: str, key: str, text: str) -> None:
        """One entry, as somebody else."""
        metadata = {k: v for k, v in self.objects[name]["metadata"].items() if k not in ("name", "resourceVersion")}
        self.store(name, {**self.objects[name]["data"], key: text}, **metadata)

    def data(self, name: str = STORE) -> dict[str, str]:
        return self.objects[name]["data"]

    async def _found(self, name: str) -> Object:
        if name not in self.objects:
            raise NotFoundError(f"configmaps {name} not found", status=404)
        return self.objects[name]


def client_on(maps: RecordMaps, clock: Any, *, namespace: str = NAMESPACE, owner: Owner | None = None) -> Client:
    """A client on these ConfigMaps. It has the threshold of a policy that says nothing."""

    async def opener(stack: Any, its_clock: Any) -> ConfigMapBackend:
        return ConfigMapBackend(maps, namespace=namespace, name=STORE, owner=owner, active=DAY_MS, clock=its_clock)

    return Client(opener, clock=clock)


async def together(*calls: Awaitable[Any]) -> list[Any]:
    return list(await asyncio.gather(*calls))
