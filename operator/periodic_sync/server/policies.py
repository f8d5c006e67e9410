"""The policies that are asked for, and their stores, which stay open between requests."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client import Client
from periodic_sync.client.backend import Backend, Clock
from periodic_sync.client.errors import store_errors
from periodic_sync.kube.answers import Answers
from periodic_sync.server.problems import policy_problems

POLICY_SECONDS = 5.0
"""How long a change of a policy's store may go unnoticed."""
MOST_OPEN = 200
"""Stores that nobody uses at the moment are closed beyond that, the longest unused first."""

PolicyReader = Callable[[str, str], Awaitable[SyncPolicy]]
BackendOpener = Callable[[SyncPolicy, Clock], Awaitable[Backend]]


@dataclass(slots=True)
class Opened:
    """One policy's store, open."""

    policy: SyncPolicy
    backend: Backend
    client: Client
    users: int = 0
    is_retired: bool = False
    is_closing: bool = False
    closed: asyncio.Event = field(default_factory=asyncio.Event)


class Policies:
    """For any number of tasks; a store is closed when nobody is in the middle of using it."""

    def __init__(self, read: PolicyReader, open_backend: BackendOpener, clock: Clock) -> None:
        """read: raises NotFoundError, InvalidPolicyError, ApiError."""
        self._read, self._open, self._clock = read, open_backend, clock
        self._known: Answers[tuple[str, str], SyncPolicy] = Answers(
            seconds=lambda _: POLICY_SECONDS, clock=clock.monotonic
        )
        self._opened: OrderedDict[tuple[str, str], Opened] = OrderedDict()
        self._opening: dict[tuple[str, str], asyncio.Lock] = {}

    @property
    def open_stores(self) -> int:
        return len(self._opened)

    async def find(self, namespace: str, name: str) -> SyncPolicy:
        """Raises: Problem where there is none that can be worked with, ApiError."""
        with policy_problems(namespace, name):
            return await self._known.get((namespace, name), lambda: self._read(namespace, name))

    @asynccontextmanager
    async def use(self, namespace: str, name: str) -> AsyncIterator[Opened]:
        """The policy's store, for as long as the block runs. Raises: Problem, StoreUnavailableError, ApiError."""
        policy = await self.find(namespace, name)
        opened = self._current(policy)
        if opened is None:
            # One at a time for each policy: one that hangs must not hold up the others.
            async with self._opening.setdefault((namespace, name), asyncio.Lock()):
                opened = self._current(policy) or await self._open_anew(policy)
        opened.users += 1
        try:
            yield opened
        finally:
            opened.users -= 1
            await self._close_if_unused(opened)

    async def close(self) -> None:
        """No request follows; what is under way is waited for."""
        for opened in list(self._opened.values()):
            opened.is_retired = True
            await self._close_if_unused(opened)
            await opened.closed.wait()
        self._opened.clear()

    def _current(self, policy: SyncPolicy) -> Opened | None:
        key = (policy.namespace, policy.name)
        opened = self._opened.get(key)
        if opened is None:
            return None
        if opened.policy is not policy:  # it was read again
            if not _is_same_store(opened.policy, policy):
                return None
            opened.policy = policy
        self._opened.move_to_end(key)
        return opened

    async def _open_anew(self, policy: SyncPolicy) -> Opened:
        key = (policy.namespace, policy.name)
        if key in self._opened:
            await self._retire(key)
        with store_errors():
            backend = await self._open(policy, self._clock)
        client = await Client(lambda stack, clock: _ready(backend), clock=self._clock).__aenter__()
        self._opened[key] = made = Opened(policy, backend, client, users=1)
        for unused in [it for it, other in self._opened.items() if not other.users]:
            if len(self._opened) <= MOST_OPEN:
                break
            self._opening.pop(unused, None)
            await self._retire(unused)
        made.users -= 1  # whoever opened it counts itself next
        return made

    async def _retire(self, key: tuple[str, str]) -> None:
        opened = self._opened.pop(key, None)
        if opened is not None:
            opened.is_retired = True
            await self._close_if_unused(opened)

    @staticmethod
    async def _close_if_unused(opened: Opened) -> None:
        if opened.is_retired and not opened.users and not opened.is_closing:
            opened.is_closing = True
            await opened.client.__aexit__(None, None, None)
            opened.closed.set()


def _is_same_store(one: SyncPolicy, other: SyncPolicy) -> bool:
    return (one.uid, one.spec.store, one.spec.thresholds.active) == (
        other.uid,
        other.spec.store,
        other.spec.thresholds.active,
    )


async def _ready(backend: Backend) -> Backend:
    return backend
