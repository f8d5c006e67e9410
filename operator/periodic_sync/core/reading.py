"""Reading objects of the API server, which may hold anything: what is missing or odd reads as absent."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from periodic_sync.api.names import KIND

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MILLISECOND = timedelta(milliseconds=1)

NOTHING: Mapping[str, Any] = {}

LONGEST_TEXT = 200


def mapping(holder: object, *path: str) -> Mapping[str, Any]:
    """The mapping at that path, empty where there is none."""
    for key in path:
        holder = holder.get(key) if isinstance(holder, Mapping) else None
    return holder if isinstance(holder, Mapping) else NOTHING


def mappings(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The mappings in the list of that key."""
    items = holder.get(key)
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def number(holder: Mapping[str, Any], key: str) -> int | None:
    value = holder.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def instant(holder: Mapping[str, Any], key: str) -> int | None:
    """An instant as Kubernetes writes it, in milliseconds since the epoch."""
    try:
        moment = datetime.fromisoformat(text(holder, key))
        return (moment - _EPOCH) // _MILLISECOND
    except (ValueError, TypeError, OverflowError):  # TypeError: no time zone
        return None


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """The condition of that type, while it is true."""
    conditions = mappings(status, "conditions")
    return next((each for each in conditions if each.get("type") == kind and each.get("status") == "True"), None)


def controller(metadata: Mapping[str, Any], kind: str = KIND) -> Mapping[str, Any]:
    """The owner reference of the controller, if that is of such a kind; else empty."""
    owners = mappings(metadata, "ownerReferences")
    return next((owner for owner in owners if owner.get("controller") is True and owner.get("kind") == kind), NOTHING)


def one_line(value: str) -> str:
    """One printable line of at most 200 characters: nobody's control characters get into a log or a terminal."""
    line = " ".join("".join(char if char.isprintable() else " " for char in value[: 20 * LONGEST_TEXT]).split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1].rstrip() + "…"
