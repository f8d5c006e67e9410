"""The Lease in the API server: read fresh, written only by compare-and-swap."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from periodic_sync.api.durations import SECOND
from periodic_sync.api.errors import NotFoundError
from periodic_sync.core.election import LEASE, LeaseRecord
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.resources import LEASES
from periodic_sync.kube.watch import follow_changes


@dataclass(frozen=True, slots=True)
class LeaseVersion:
    """A Lease as it was read or written. `body`: with what the next compare-and-swap compares."""

    record: LeaseRecord
    body: Object


class Leases:
    """One Lease."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self._client = client
        self.namespace = namespace
        self.name = name

    async def read(self) -> LeaseVersion | None:
        """Returns: None where there is no Lease. Raises: ApiError."""
        try:
            return _version(await self._client.get(LEASES, self.namespace, self.name))
        except NotFoundError:
            return None

    async def create(self, record: LeaseRecord) -> LeaseVersion:
        """Raises: AlreadyExistsError where somebody else was first."""
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": _spec(record),
        }
        return _version(await self._client.create(LEASES, self.namespace, body))

    async def swap(self, before: LeaseVersion, record: LeaseRecord) -> LeaseVersion:
        """Raises: ConflictError where `before` is no longer what there is, also where it was deleted.

        The body carries the UID: without one, the API server would make a Lease that was deleted again.
        """
        body = {**before.body, "spec": _spec(record)}
        return _version(await self._client.replace(LEASES, self.namespace, self.name, body))

    async def follow(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever somebody writes the Lease, until cancelled."""
        name = f"metadata.name={self.name}"
        await follow_changes(self._client, LEASES, self.namespace, lambda _: tell(), fields=name)


def micro_time(milliseconds: int) -> str:
    """Milliseconds since the epoch as the API writes `renewTime`."""
    return datetime.fromtimestamp(milliseconds / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _version(body: Object) -> LeaseVersion:
    spec = body.get("spec") or {}
    record = LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        acquired=spec.get("acquireTime") or "",
        renewed=spec.get("renewTime") or "",
        transitions=spec.get("leaseTransitions") or 0,
    )
    return LeaseVersion(record, body)


def _spec(record: LeaseRecord) -> Object:
    times = {"acquireTime": record.acquired, "renewTime": record.renewed}
    return {
        "holderIdentity": record.holder,
        "leaseDurationSeconds": LEASE // SECOND,
        "leaseTransitions": record.transitions,
        **{key: value for key, value in times.items() if value},
    }
