"""The client library's one class."""

import base64
import binascii
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from periodic_sync.client import opening
from periodic_sync.client.backend import Backend, Clock, Known, SystemClock
from periodic_sync.client.errors import InvalidUserError, UnknownUserError, store_errors
from periodic_sync.client.importing import ImportProgress, ImportReport, import_lines
from periodic_sync.client.users import Removal, User, UserPage, user_of
from periodic_sync.client.values import (
    Instant,
    Span,
    instant_of,
    record_of,
    threshold_of,
    tokens_of,
    user_id_of,
    user_ids_of,
)

Opener = Callable[[AsyncExitStack, Clock], Awaitable[Backend]]


class Client:
    """Tells a policy's store about users: who there is, who was active, who is to be synced.

    Made by `for_policy`, `for_config_map` or `for_redis`, and used as an async context manager; inside any number of
    tasks may call it at once. What a call writes is stored when it returns.

    Every method raises StoreUnavailableError where the store can't be relied on, and InvalidUserError, a ValueError,
    before anything is sent where a value breaks the rules of user records. Calling again with the same does no harm.
    """

    def __init__(self, opener: Opener, *, clock: Clock | None = None) -> None:
        """Not for applications: see the class methods."""
        self._opener = opener
        self._clock = clock or SystemClock()
        self._stack = AsyncExitStack()
        self._opened: Backend | None = None

    @classmethod
    def for_policy(
        cls, namespace: str, policy: str, *, kubeconfig: str | None = None, context: str | None = None
    ) -> Self:
        """The store that a SyncPolicy names, as it is when the block begins.

        kubeconfig: a file; without one, the pod's service account, else $KUBECONFIG, else ~/.kube/config.
        context: one of the kubeconfig's, in place of its current one.
        """
        way = opening.Way(kubeconfig, context)
        return cls(lambda stack, clock: opening.policy(stack, clock, namespace, policy, way))

    @classmethod
    def for_config_map(
        cls,
        namespace: str,
        name: str,
        *,
        active_threshold: Span = "24h",
        kubeconfig: str | None = None,
        context: str | None = None,
    ) -> Self:
        """The ConfigMap of that name and its shards. kubeconfig, context: as in `for_policy`.

        active_threshold: the policy's spec.thresholds.active; a twentieth of it is how exact activity is kept.
        Raises: ValueError.
        """
        active = threshold_of(active_threshold)
        way = opening.Way(kubeconfig, context)
        return cls(lambda stack, clock: opening.config_map(stack, clock, namespace, name, active, way))

    @classmethod
    def for_redis(cls, url: str, key_prefix: str, *, ca: str = "") -> Self:
        """Redis or Valkey by its URL. key_prefix: spec.store.redis.keyPrefix. ca: PEM certificates to trust as well.

        Raises: ValueError, with nothing of the URL in it.
        """
        return cls(opening.redis(url, key_prefix, ca))

    async def __aenter__(self) -> Self:
        """Raises: StoreUnavailableError."""
        async with AsyncExitStack() as stack:
            with store_errors():
                self._opened = await self._opener(stack, self._clock)
            stack.push_async_callback(self._opened.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened = None
        await self._stack.aclose()

    async def register(
        self,
        user_id: str,
        wallet: str,
        *,
        interval: Span | None = None,
        time_zone: str | None = None,
        last_active: Instant | None = None,
    ) -> None:
        """Add a user, or update one: an interval or a time zone that is not given is taken away.

        last_active: now if not given; it only grows. interval: the user's own in place of the policy's. time_zone: of
        the user's own market hours, an IANA name.
        """
        record = record_of(
            user_id,
            wallet,
            now=self._clock.now(),
            interval=interval,
            time_zone=time_zone,
            last_active=last_active,
        )
        with store_errors():
            await self._backend.register([record])

    async def record_activity(self, user_id: str, at: Instant | None = None) -> None:
        """A user was active, now or then. Raises: UnknownUserError."""
        if await self.record_activities({user_id: at}):
            raise UnknownUserError(user_id)

    async def record_activities(self, times: Mapping[str, Instant | None] | Iterable[str]) -> frozenset[str]:
        """Users were active, each now or at its instant. Returns: those who are not registered."""
        now = self._clock.now()
        given = times if isinstance(times, Mapping) else dict.fromkeys(user_ids_of(times))
        known = {user_id_of(user_id): instant_of(at, "at", now) for user_id, at in given.items()}
        with store_errors():
            return frozenset(await self._backend.record_activity(known))

    async def request_sync(self, user_ids: str | Iterable[str], at: Instant | None = None) -> frozenset[str]:
        """Ask for these users to be synced ahead of all others, active or not. Returns: those not registered."""
        instant = instant_of(at, "at", self._clock.now())
        times = dict.fromkeys(user_ids_of(user_ids), instant)
        with store_errors():
            return frozenset(await self._backend.request_sync(times))

    async def mark_tokens_changed(self, user_id: str, tokens: str | Iterable[str], at: Instant | None = None) -> None:
        """Tokens of a user changed, now or then: a hint for the next sync, which makes nobody due.

        tokens: at most 100, of 1 to 128 characters; of a user's the 100 that changed last are kept.
        Raises: UnknownUserError.
        """
        changes = tokens_of(tokens, instant_of(at, "at", self._clock.now()))
        user = user_id_of(user_id)
        with store_errors():
            is_known = not changes or await self._backend.mark_tokens_changed(user, changes)
        if not is_known:
            raise UnknownUserError(user)

    async def remove(self, user_ids: str | Iterable[str]) -> Removal:
        """Erase users. What may be left of them for a while is said in `Removal.remains`."""
        wanted = user_ids_of(user_ids)
        with store_errors():
            return await self._backend.remove(wanted)

    async def get(self, user_id: str) -> User | None:
        """One user; None for one who is not registered, or whose record is not valid."""
        wanted = user_id_of(user_id)
        with store_errors():
            found = await self._backend.get(wanted)
        return user_of(*found) if found else None

    async def users(self) -> AsyncIterator[User]:
        """All users, page by page; one that changes meanwhile may come twice, and none is left out."""
        with store_errors():
            async for known in self._backend.users():
                yield user_of(*known)

    async def page(self, cursor: str = "", limit: int = 100) -> UserPage:
        """Users a page at a time, at most `limit`, in the store's own order; `cursor`: of the page before.

        One that changes meanwhile may come twice, and none is left out. Raises: InvalidUserError for a bad cursor.
        """
        if limit < 1:
            raise InvalidUserError("limit is below 1")
        with store_errors():
            found, rest = await page_of(self._backend, cursor, limit)
        return UserPage(tuple(user_of(*known) for known in found), rest)

    async def import_users(
        self,
        stream: Iterable[str | bytes] | AsyncIterable[str | bytes],
        *,
        progress: Callable[[ImportProgress], None] | None = None,
    ) -> ImportReport:
        """Register the users of a CSV or NDJSON stream, one a line, such as an open file.

        CSV begins with a header: userId, wallet, lastActive, and if you like interval, timeZone and syncRequestedAt.
        NDJSON has a record a line, which may have changedTokens too. A line that breaks a rule is told in the report,
        by its number, and skipped. progress: called after each write.

        Raises: InvalidImportError, a ValueError, for a header without one of the first three. After a
        StoreUnavailableError the same stream may be imported again.
        """
        with store_errors():
            return await import_lines(stream, self._backend, self._clock, progress)

    @property
    def _backend(self) -> Backend:
        if self._opened is None:
            raise RuntimeError("the client is not open: write `async with Client.for_policy(…) as client:`")
        return self._opened


async def page_of(backend: Backend, cursor: str, limit: int) -> tuple[list[Known], str]:
    """A page, and the cursor of the next. Raises: InvalidUserError for a bad cursor; as the backend does."""
    try:
        after = base64.b64decode(cursor, b"-_", validate=True).decode(errors="surrogateescape") if cursor else None
        found = await backend.page(after, limit)
    except (binascii.Error, ValueError):
        raise InvalidUserError("the cursor is none of these users': begin again without one") from None
    return found.users, "" if found.rest is None else _cursor(found.rest)


def _cursor(rest: str) -> str:
    return base64.urlsafe_b64encode(rest.encode(errors="surrogateescape")).decode()
