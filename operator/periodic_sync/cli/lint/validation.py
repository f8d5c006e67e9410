"""Values against the schema, in the API server's words."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import jsonschema

from periodic_sync.cli.lint.findings import Cause, Finding, Path, refusal
from periodic_sync.cli.lint.schema import Schema, inside

_MOST_SHOWN = 64
"""Characters of a value, where the API server shows it."""


def validate(value: Any, schema: Schema) -> Iterator[Finding]:
    """Types, ranges, lengths, what is required; then lists that are sets or maps."""
    validator = jsonschema.Draft202012Validator(_plain(schema))
    for error in validator.iter_errors(value):
        path: Path = tuple(error.absolute_path)
        broken = Broken(error.validator_value, error.instance, error.message)
        yield from _SAID.get(str(error.validator), _unforeseen)(path, broken)
    yield from _lists(value, schema, ())


def _plain(schema: Schema) -> dict[str, Any]:
    """The part of a structural schema that JSON Schema knows."""
    kept = {key: value for key, value in schema.items() if key in _SAID}
    if schema.get("x-kubernetes-int-or-string"):
        kept["type"] = ["integer", "string"]
    if "properties" in schema:
        kept["properties"] = {name: _plain(of_name) for name, of_name in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            kept[key] = _plain(schema[key])
    return kept


class Broken(NamedTuple):
    """limit: what the schema says. message: in the library's words."""

    limit: Any
    value: Any
    message: str


Said = Callable[[Path, Broken], Iterator[Finding]]


def _type(path: Path, broken: Broken) -> Iterator[Finding]:
    wanted = broken.limit
    words = wanted if isinstance(wanted, str) else ",".join(wanted)
    yield refusal(path, f'must be of type {words}: "{_kind(broken.value)}"', Cause.TYPE)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds[type(value)]


def _enum(path: Path, broken: Broken) -> Iterator[Finding]:
    supported = ", ".join(_json(each) for each in broken.limit)
    message = f"Unsupported value: {_json(broken.value)}: supported values: {supported}"
    yield refusal(path, message, Cause.UNSUPPORTED)


def _required(path: Path, broken: Broken) -> Iterator[Finding]:
    # One error for each that is missing, which only its text names.
    missing = next(name for name in broken.limit if broken.message.startswith(repr(name)))
    yield refusal((*path, missing), "Required value", Cause.REQUIRED)


def _too_long(path: Path, broken: Broken) -> Iterator[Finding]:
    yield refusal(path, f"Too long: may not be more than {_counted(broken.limit, 'byte')}", Cause.TOO_LONG)


def _too_many(path: Path, broken: Broken) -> Iterator[Finding]:
    most = _counted(broken.limit, "item")
    yield refusal(path, f"Too many: {len(broken.value)}: must have at most {most}", Cause.TOO_MANY)


def _in_words(words: str) -> Said:
    def said(path: Path, broken: Broken) -> Iterator[Finding]:
        yield refusal(path, words.format(broken.limit))

    return said


def _nothing(path: Path, broken: Broken) -> Iterator[Finding]:
    yield from ()


def _unforeseen(path: Path, broken: Broken) -> Iterator[Finding]:
    raise ValueError(f"the schema has a rule of which nothing is known here: {broken.message}")


_SAID: Mapping[str, Said] = {
    "type": _type,
    "enum": _enum,
    "required": _required,
    "maxLength": _too_long,
    "maxItems": _too_many,
    "maxProperties": _too_many,
    "minLength": _in_words("should be at least {} chars long"),
    "minimum": _in_words("should be greater than or equal to {}"),
    "maximum": _in_words("should be less than or equal to {}"),
    "pattern": _in_words("should match '{}'"),
    "properties": _nothing,
    "items": _nothing,
    "additionalProperties": _nothing,
}
"""What JSON Schema and the CRD have in common, and how it is told."""


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _lists(value: Any, schema: Schema, path: Path) -> Iterator[Finding]:
    if isinstance(value, list):
        yield from _unique(value, schema, path)
    for at, item, of_item in inside(value, schema):
        yield from _lists(item, of_item, (*path, at))


def _unique(items: list[Any], schema: Schema, path: Path) -> Iterator[Finding]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("set", "map"):
        return
    if kind == "map":
        keys = schema["x-kubernetes-list-map-keys"]
        foreign = [at for at, item in enumerate(items) if item is not None and not isinstance(item, dict)]
        if foreign:
            yield refusal((*path, foreign[0]), "must be an object for an array of list-type map")
            return
        items = [{key: item[key] for key in keys if key in item} if item else {} for item in items]
    seen: dict[str, int] = {}
    for at, item in enumerate(items):
        text = json.dumps(item, sort_keys=True)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            yield refusal((*path, at), f"Duplicate value: {_json(item)}", Cause.DUPLICATE)


@cache
def crd_schema() -> dict[str, Any]:
    """That of this version of the program."""
    from periodic_sync.api.crd import build_crd

    (version,) = build_crd()["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema
