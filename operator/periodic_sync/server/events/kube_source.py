"""Events from what the operator writes into a policy's own ConfigMaps: its ledger, and the users' state.

Positions are resource versions. Versions of objects are compared as numbers, and the one before as one less, which is
what they are in etcd.
"""

from collections.abc import AsyncGenerator

from periodic_sync.api.errors import ExpiredError
from periodic_sync.api.names import POLICY_LABEL, ROLE_LABEL, Role
from periodic_sync.core.event_marks import LostError, Position
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import CONFIG_MAPS
from periodic_sync.server.events.source import Step
from periodic_sync.server.events.versions import Versions, position_of

SILENCE_SECONDS = 120.0


class KubeSource:
    """A `Source`. with_states: the users' state is in ConfigMaps too.

    Batch files, which hold wallets, are never asked for: the selector leaves them out.
    """

    letter = "k"

    def __init__(self, client: KubeClient, policy: PolicyRef, *, with_states: bool) -> None:
        self._client, self._policy = client, policy
        roles = f"{Role.LEDGER.value},{Role.STATE.value}" if with_states else Role.LEDGER.value
        self._labels = f"{POLICY_LABEL}={policy.name},{ROLE_LABEL} in ({roles})"

    async def now(self) -> Position:
        version = await self._client.current_version(CONFIG_MAPS, self._policy.namespace, labels=self._labels)
        return (int(version),)

    async def has_been(self, position: Position) -> bool:
        """See `Source`."""
        return len(position) == 1 and position <= await self.now()

    async def steps(self, after: Position, *, again: bool) -> AsyncGenerator[Step, None]:
        """See `Source`. Bookmarks are steps without events."""
        [version] = after if len(after) == 1 else (0,)
        start = version - 1 if again else version
        # Of the future after a restore of etcd, or by a mistake; the API server would only say that it can't wait.
        if start < 1 or not await self.has_been((version,)):
            raise LostError
        versions = Versions(self._policy)
        namespace, labels = self._policy.namespace, self._labels
        try:
            versions.load(await self._client.list(CONFIG_MAPS, namespace, labels=labels, version=str(start)))
            async for change in self._client.watch(
                CONFIG_MAPS,
                namespace,
                since=str(start),
                labels=labels,
                silence_seconds=SILENCE_SECONDS,
                metadata_only=False,
            ):
                kind, body = change["type"], change["object"]
                events = () if kind == "BOOKMARK" else versions.take(kind, body)
                yield Step(position_of(body), events)
        except ExpiredError:
            raise LostError from None

    async def close(self) -> None:
        """Nothing is held."""
