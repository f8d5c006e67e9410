"""A copy of a few ConfigMaps, kept up to date at the price of one metadata LIST while nothing changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from periodic_sync.api.errors import NotFoundError, UnavailableError
from periodic_sync.stores.base import ConfigMaps, StoreNotReady

T = TypeVar("T")
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which ConfigMaps a mirror holds: those that a label selector matches, and one by its name."""

    namespace: str
    labels: str
    main: str | None = None
    """Has to be there, whatever its labels."""
    main_missing: str = ""
    """The sentence for a person when it isn't."""
    is_ours: Callable[[Object], bool] = lambda metadata: True
    """Judges the metadata of what the labels select."""
    most: int | None = None
    """More than so many are not read: all policies share the operator's memory and its time."""
    too_many: str = ""
    """The sentence for a person when there are more."""


@dataclass(frozen=True, slots=True)
class Held(Generic[T]):
    uid: str
    version: str
    value: T


class Mirror(Generic[T]):
    """Holds one value for each selected ConfigMap, parsed again only when its resourceVersion changed."""

    def __init__(self, maps: ConfigMaps, selection: Selection, parse: Callable[[Object, T | None], T]) -> None:
        """parse: from an object and the value held for the one before it. May raise StoreNotReady."""
        self._maps = maps
        self._selection = selection
        self._parse = parse
        self._held: dict[str, Held[T]] = {}
        self.generation = 0
        """Grows with every change of what is held."""
        self.settled = False
        """Whether what is held was all there at one moment."""

    @property
    def held(self) -> Mapping[str, Held[T]]:
        return self._held

    async def refresh(self, *, rounds: int, strict: bool) -> None:
        """Bring the copy up to date: fetch what changed until a LIST shows exactly what is held.

        So what is held was all there at the moment of that LIST, however the objects depend on each other. When
        somebody keeps writing in between for that many rounds: strict raises UnavailableError; else the copy stays
        unsettled, each object as it was at some moment of this call.
        Raises: StoreNotReady where the main one is missing or one can't be read, ApiError.
        """
        for _ in range(rounds):
            listed = await self._list()
            for name in self._held.keys() - listed.keys():
                self.drop(name)
            stale = [name for name, key in listed.items() if not self._is_current(name, key)]
            if not stale:
                self.settled = True
                return
            self.settled = False
            for name in stale:
                await self._fetch(name)
        if strict:
            raise UnavailableError(f"ConfigMaps {self._selection.labels} keep changing while they are read")
        if self._selection.main is not None and self._selection.main not in self._held:
            raise StoreNotReady(self._selection.main_missing)  # deleted between the last LIST and its GET

    def put(self, stored: Object, value: T) -> None:
        """Take over what was just written: `stored` is the object as the API server returned it."""
        metadata = stored["metadata"]
        self._held[metadata["name"]] = Held(metadata["uid"], metadata["resourceVersion"], value)
        self.generation += 1

    def drop(self, name: str) -> None:
        if self._held.pop(name, None) is not None:
            self.generation += 1

    def _is_current(self, name: str, key: tuple[str, str]) -> bool:
        held = self._held.get(name)
        return held is not None and (held.uid, held.version) == key

    async def _fetch(self, name: str) -> None:
        try:
            found = await self._maps.get(self._selection.namespace, name)
        except NotFoundError:
            self.drop(name)
            return
        held = self._held.get(name)
        self.put(found, self._parse(found, held.value if held else None))

    async def _list(self) -> dict[str, tuple[str, str]]:
        """UID and resource version by name, the main one first."""
        chosen = self._selection
        found = await self._main()
        labelled = [item["metadata"] for item in await self._maps.list_metadata(chosen.namespace, chosen.labels)]
        found += sorted(filter(chosen.is_ours, labelled), key=lambda metadata: str(metadata["name"]))
        listed: dict[str, tuple[str, str]] = {}
        for metadata in found:
            listed.setdefault(metadata["name"], (metadata["uid"], metadata["resourceVersion"]))
        if chosen.most is not None and len(listed) > chosen.most:
            raise StoreNotReady(chosen.too_many)
        return listed

    async def _main(self) -> list[Object]:
        if self._selection.main is None:
            return []
        try:
            item = await self._maps.get_metadata(self._selection.namespace, self._selection.main)
        except NotFoundError:
            raise StoreNotReady(self._selection.main_missing) from None
        return [item["metadata"]]
