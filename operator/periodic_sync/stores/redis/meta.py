"""What a store says of itself as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from periodic_sync.core.cutoffs import UserClass
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.commands import Commands
from periodic_sync.stores.redis.keys import LAYOUT_VERSION, Keys
from periodic_sync.stores.redis.schema import class_of
from periodic_sync.stores.redis.scripts import OPEN


@dataclass(frozen=True, slots=True)
class Meta:
    """As read at the beginning of a turn."""

    id: str
    """Made with the store. Empty: there is none yet."""
    highest_claim: int
    floor: int | None
    """Whoever was last active before it (ms) is not in the due index."""
    to_index: tuple[int, float] | None
    """Users last active from the first to before the second of these instants may be in the wrong place."""
    queue_token: str
    """Of the request for many that the queue was made for."""
    queue_cursor: str
    """How far that has come, by the last activity."""
    users: int
    classes: Mapping[int, UserClass]
    """By number, the plain one too."""
    broken: int
    """How many users can't be read."""
    first_broken: tuple[str, ...]


async def open_store(commands: Commands, keys: Keys, owner: str) -> Meta:
    """Read it, and take the store for this owner if it has none.

    Raises: StoreNotReady where it belongs to somebody else, or is of a version that is not known.
    """
    version, owned_by, meta = await _read(commands, keys, (owner, LAYOUT_VERSION))
    if version and version != str(LAYOUT_VERSION):
        raise StoreNotReady(
            f"The users under {keys.prefix!r} in Redis are of layout version {version}; this release knows "
            f"{LAYOUT_VERSION}: run the release that wrote them. Nothing was changed"
        )
    if owned_by and not is_same_owner(owned_by, owner):
        cluster, _, policy = owned_by.partition("/")
        raise StoreNotReady(
            f"The users under {keys.prefix!r} in Redis belong to SyncPolicy {policy}"
            f"{f' of cluster {cluster}' if cluster else ''}: choose another "
            "spec.store.redis.keyPrefix. If that policy is gone for good, delete the field owner of the hash "
            f"{keys.meta}"
        )
    return meta


async def look_at_store(commands: Commands, keys: Keys) -> Meta:
    """Read it, and change nothing. Raises: StoreNotReady, for a version that is not known too."""
    version, _, meta = await _read(commands, keys, ("", 0))  # a store of no version is taken for nobody
    if version and version != str(LAYOUT_VERSION):
        raise StoreNotReady(
            f"The users under {keys.prefix!r} in Redis are of layout version {version}; this release knows "
            f"{LAYOUT_VERSION}: use the release that wrote them"
        )
    return meta


async def owner_of(commands: Commands, keys: Keys) -> str:
    """`<cluster>/<namespace>/<policy>`; "" where the store is nobody's yet. Raises: StoreNotReady."""
    [[owner]] = await commands.read(keys.meta, [("HMGET", keys.meta, "owner")])
    return _text(owner)


async def _read(commands: Commands, keys: Keys, args: tuple[str, int]) -> tuple[str, str, Meta]:
    """Returns: its version and its owner too."""
    *fields, users, classes, broken, first_broken = await commands.run(OPEN, keys.shared, args)
    version, store_id, owned_by, highest, floor, low, high, token, cursor = (_text(value) for value in fields)
    return (
        version,
        owned_by,
        Meta(
            id=store_id,
            highest_claim=int(highest or 0),
            floor=int(floor) if floor else None,
            to_index=(int(low), float(high)) if low else None,
            queue_token=token,
            queue_cursor=cursor,
            users=users,
            classes=_classes(classes),
            broken=broken,
            first_broken=tuple(each.decode(errors="replace") for each in first_broken),
        ),
    )


def is_same_owner(one: str, other: str) -> bool:
    """A cluster that is not known may be any."""
    (cluster, _, policy), (other_cluster, _, other_policy) = one.partition("/"), other.partition("/")
    return policy == other_policy and (cluster == other_cluster or not cluster or not other_cluster)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if value is not None else ""


def _classes(pairs: list[bytes]) -> dict[int, UserClass]:
    classes = {0: UserClass()}
    for name, number in zip(pairs[::2], pairs[1::2], strict=True):
        classes[int(number)] = class_of(name.decode())
    return classes
