"""What the controller asks of a store, whichever it is, and what the ConfigMap store asks of the API server."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from periodic_sync.core.outcomes import Outcome
from periodic_sync.core.plan import Population
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import UserState


class StoreNotReady(Exception):  # noqa: N818
    """The store can't be decided on until a person does something.

    The text is a condition's message for that person: the cause, where, and what to do. Trouble with the API server or
    the network is no StoreNotReady: it passes as it is.
    """


@dataclass(frozen=True, slots=True)
class Report:
    """How a store is that works."""

    skipped: int = 0
    """Entries skipped, wholly or in part."""
    problems: tuple[str, ...] = ()
    """The first few of those, a sentence each, never with a wallet in it."""
    warnings: tuple[str, ...] = ()
    """What a person should know of a store that works all the same: users written twice, sizes near a limit."""
    highest_claim: int = 0
    """The highest claim number among the states, 0 without any."""
    identity: str = ""
    """Where the users are, and after a `#` what was made with them: nothing while there is nothing. A store whose users
    can't get lost unnoticed has none at all."""


def was_emptied(known: str, identity: str) -> bool:
    """Whether a store is empty that was known to hold users."""
    where, _, made = identity.rpartition("#")
    known_where, _, known_made = known.rpartition("#")
    return bool(identity) and where == known_where and not made and bool(known_made)


class Store(Protocol):
    """The users of one policy and what is known of them."""

    async def read(self, now: int) -> Report:
        """Make ready for the turn that begins: see how the store is, and read what is kept between turns.

        now: milliseconds; decides which records lie too far ahead. To plan on it, read the ledger first: results are
        stored before the ledger closes their batch, so what the ledger calls closed is then sure to be in here.
        Raises: StoreNotReady. Whatever else it raises (ApiError) is trouble on the way, never "no users".
        """
        ...

    async def states(self, user_ids: Collection[str]) -> Mapping[str, UserState]:
        """What is known of these users; those never claimed may be absent. Raises: as `read`."""
        ...

    async def active(self, since: int) -> int:
        """How many users were last active at that instant (ms) or later. Raises: as `read`."""
        ...

    async def population(self, tick: Tick) -> Population:
        """The users for one plan, with all that was applied before. Raises: as `read`; UnknownTimeZoneError."""
        ...

    async def apply(self, outcomes: Sequence[Outcome]) -> None:
        """Make outcomes durable: they are when this returns. Applying them twice changes nothing.

        Raises: StoreNotReady, ApiError: some, all or none are applied; call again with the same.
        """
        ...

    async def tidy(self, now: int) -> None:
        """Note who left and who returned, and forget the state of users who left 24 h ago or longer.

        Safe from any number of operators; meant for the one that leads, every turn: it writes only when there is
        something to note, at most once a minute. Raises: as `apply`.
        """
        ...

    def follow(self, wake: Callable[[], None]) -> None:
        """From now on until it is closed, call this whenever a user may have become due by what others wrote, as far as
        nobody else notices that."""
        ...

    async def close(self) -> None:
        """Nothing is asked of it any more."""
        ...


@dataclass(frozen=True, slots=True)
class Owner:
    """The SyncPolicy that a store's objects belong to."""

    name: str
    uid: str


class ConfigMaps(Protocol):
    """ConfigMaps in the API server. Objects are plain dicts as in JSON. Every method raises ApiError.

    Reads must be consistent ones (no `resourceVersion` parameter): a cached read could undo what was just written.
    """

    async def list_metadata(self, namespace: str, labels: str) -> list[dict[str, Any]]:
        """All objects that match a label selector, metadata only (PartialObjectMetadata), of one moment."""
        ...

    async def get_metadata(self, namespace: str, name: str) -> dict[str, Any]:
        """Metadata only. Raises: NotFoundError."""
        ...

    async def get(self, namespace: str, name: str) -> dict[str, Any]:
        """Raises: NotFound."""
        ...

    async def create(self, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        """Returns: the object as stored. Raises: AlreadyExistsError."""
        ...

    async def replace(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """PUT; with `metadata.resourceVersion` a compare-and-swap. Raises: ConflictError, NotFoundError."""
        ...

    async def delete(self, namespace: str, name: str, *, resource_version: str | None = None) -> None:
        """Delete, with a resource version only if it is still that one. Raises: ConflictError, NotFoundError."""
        ...
