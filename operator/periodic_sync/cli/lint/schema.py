"""What happens to an object before its values are looked at: unknown fields go, so do nulls, and defaults come."""

import copy
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from periodic_sync.cli.lint.findings import Finding, Path, Severity, spelled

Schema = Mapping[str, Any]


def prune(value: Any, schema: Schema, path: Path = ()) -> Iterator[Finding]:
    """Take out, in place, what the schema doesn't know, and say so."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from prune(item, schema.get("items") or {}, (*path, index))
    if not isinstance(value, dict):
        return
    known = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    for key in list(value):
        at = (*path, key)
        if key in known:
            yield from prune(value[key], known[key], at)
        elif isinstance(others, Mapping):
            yield from prune(value[key], others, at)
        elif not schema.get("x-kubernetes-preserve-unknown-fields"):
            del value[key]
            yield unknown(at, known)


def unknown(path: Path, known: Mapping[str, Any]) -> Finding:
    """In the words of `kubectl --validate=strict`, and what may have been meant."""
    *_, key = path
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(str(key).lower().replace("_", ""), lowered, 1)
    hint = f": do you mean {lowered[near[0]]}?" if near else ""
    return Finding(Severity.WARNING, path, f'unknown field "{spelled(path)}"{hint}')


def drop_nulls(value: Any, schema: Schema) -> None:
    """An empty field counts as absent, in place."""
    for at, item, of_item in list(inside(value, schema)):
        if isinstance(value, dict) and item is None and of_item.get("default") is None:
            del value[at]
        else:
            drop_nulls(item, of_item)


def fill_in(value: Any, schema: Schema) -> None:
    """The defaults, in place."""
    if isinstance(value, dict):
        for key, of_key in (schema.get("properties") or {}).items():
            if of_key.get("default") is not None and value.get(key) is None:
                value[key] = copy.deepcopy(of_key["default"])
    for _, item, of_item in inside(value, schema):
        fill_in(item, of_item)


def inside(value: Any, schema: Schema) -> Iterator[tuple[str | int, Any, Schema]]:
    """What is in a list or an object, by its place there, each with its schema; what has none is left out."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield at, item, schema.get("items") or {}
    elif isinstance(value, dict):
        for key, item in value.items():
            of_key = child(schema, key)
            if of_key is not None:
                yield key, item, of_key


def child(schema: Schema, key: str) -> Schema | None:
    """The schema of what is at a key; None where it says nothing about it."""
    found = (schema.get("properties") or {}).get(key, schema.get("additionalProperties"))
    return found if isinstance(found, Mapping) else None
