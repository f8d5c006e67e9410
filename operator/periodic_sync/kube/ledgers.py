"""The ledger in its ConfigMap: read fresh, written only by compare-and-swap."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from periodic_sync.api.errors import NotFoundError
from periodic_sync.core import ledger as ledgers
from periodic_sync.core.ledger import Ledger
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.resources import CONFIG_MAPS

KEY = "ledger.json"


class LedgerUnreadableError(Exception):
    """The ledger's ConfigMap is there but holds no ledger: the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Version:
    """A ledger as it was read or written, with what the next compare-and-swap compares."""

    ledger: Ledger
    resource_version: str


def ledger_in(config_map: Mapping[str, Any]) -> Ledger:
    """Raises: ValueError where it holds none that can be read."""
    return ledgers.from_json((config_map.get("data") or {}).get(KEY, ""))


class Ledgers:
    """One policy's ledger. `metadata` is of the ConfigMap: name, namespace, labels and owner reference."""

    def __init__(self, client: KubeClient, metadata: Object) -> None:
        self._client = client
        self._metadata = metadata

    @property
    def _where(self) -> tuple[str, str]:
        return self._metadata["namespace"], self._metadata["name"]

    async def read(self) -> Version | None:
        """Returns: None where there is no ledger. Raises: LedgerUnreadableError, ApiError."""
        namespace, name = self._where
        try:
            body = await self._client.get(CONFIG_MAPS, namespace, name)
        except NotFoundError:
            return None
        try:
            ledger = ledger_in(body)
        except ValueError as error:
            raise LedgerUnreadableError(
                f"ConfigMap {namespace}/{name} holds no readable ledger ({str(error).splitlines()[0]}): "
                f"delete it, and it is rebuilt from the batches that run"
            ) from error
        return Version(ledger, body["metadata"]["resourceVersion"])

    async def create(self, ledger: Ledger) -> Version:
        """Raises: AlreadyExistsError where another operator was first."""
        return self._version(ledger, await self._client.create(CONFIG_MAPS, self._where[0], self._body(ledger)))

    async def swap(self, before: Version, ledger: Ledger) -> Version:
        """Write a ledger in place of `before`. Raises: ConflictError where that is no longer the one there is."""
        body = self._body(ledger)
        body["metadata"] = {**self._metadata, "resourceVersion": before.resource_version}
        return self._version(ledger, await self._client.replace(CONFIG_MAPS, *self._where, body))

    def _body(self, ledger: Ledger) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self._metadata,
            "data": {KEY: ledgers.to_json(ledger)},
        }

    @staticmethod
    def _version(ledger: Ledger, body: Object) -> Version:
        return Version(ledger, body["metadata"]["resourceVersion"])
