"""Reading live events as an application does, and writing them as an operator does."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from periodic_sync.api.names import Priority, Role
from periodic_sync.core.ledger import Ledger, OpenJob
from periodic_sync.core.objects import PolicyRef, ledger_name, metadata
from periodic_sync.core.outcomes import Outcome
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.config_maps import KubeConfigMaps
from periodic_sync.kube.ledgers import Ledgers
from periodic_sync.stores.base import Owner, Store
from periodic_sync.stores.state import StateParts

PATIENCE_SECONDS = 30.0
Event = dict[str, Any]


@dataclass
class Reading:
    """A connection that reads events. `bookmark` events are kept apart."""

    connection: ClientConnection
    seen: list[Event] = field(default_factory=list)
    bookmarks: list[Event] = field(default_factory=list)

    async def next(self, count: int) -> list[Event]:
        """So many more events."""
        wanted = len(self.seen) + count
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.seen) < wanted:
                await self._take()
        return self.seen[wanted - count : wanted]

    async def until_closed(self) -> tuple[int, str]:
        """The code and the reason."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    await self._take()
        assert self.connection.close_code is not None
        return self.connection.close_code, self.connection.close_reason or ""

    async def _take(self) -> None:
        for event in json.loads(await self.connection.recv()):
            (self.bookmarks if event["type"] == "bookmark" else self.seen).append(event)


@asynccontextmanager
async def reading(base: str, path: str, token: str, *, after: str = "", **options: Any) -> AsyncIterator[Reading]:
    """path: of the policy. It reads once the block begins: nothing that happens after is missed."""
    url = f"{base.replace('http', 'ws', 1)}{path}/events" + (f"?after={after}" if after else "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with connect(url, additional_headers=headers, **options) as connection:
        found = Reading(connection)
        await found._take()
        yield found


async def refused(base: str, path: str, token: str, **options: Any) -> tuple[int, str]:
    """The status and the code of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with reading(base, path, token, **options):
            pass
    response = caught.value.response
    problem = json.loads(response.body or b"")
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["detail"]
    return response.status_code, str(problem["code"])


@dataclass
class Operator:
    """What an operator writes of a policy, without its decisions."""

    client: KubeClient
    policy: PolicyRef
    redis: Store | None = None
    """Where users' state is; None: in ConfigMaps."""
    ledger: Ledger = field(default_factory=Ledger)
    _states: StateParts | None = None

    async def change(self, **fields: Any) -> None:
        """Of the ledger."""
        self.ledger = replace(self.ledger, **fields)
        name = ledger_name(self.policy.name, self.policy.uid)
        ledgers = Ledgers(self.client, metadata(self.policy, name, role=Role.LEDGER))
        before = await ledgers.read()
        await (ledgers.create(self.ledger) if before is None else ledgers.swap(before, self.ledger))

    async def claim(self, name: str, claim: int, *priorities: Priority) -> None:
        indexes = frozenset(range(len(priorities)))
        job = OpenJob(name, claim, claim, priorities, tuple(1 for _ in priorities), indexes)
        await self.change(jobs=(*self.ledger.jobs, job))

    async def apply(self, outcomes: Sequence[Outcome]) -> None:
        if self.redis is not None:
            await self.redis.apply(outcomes)
            return
        if self._states is None:
            owner = Owner(self.policy.name, self.policy.uid)
            self._states = StateParts(KubeConfigMaps(self.client), self.policy.namespace, owner)
        await self._states.apply(outcomes)


def without_ids(events: Sequence[Event]) -> list[Event]:
    return [{key: value for key, value in event.items() if key != "id"} for event in events]


def names(events: Sequence[Event]) -> list[str]:
    """What of each id is the same on every replica."""
    return [event["id"].partition("~")[0] for event in events]
