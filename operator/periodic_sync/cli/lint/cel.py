"""The CEL rules of the CRD, run as the API server runs them.

The library brings CEL itself; what Kubernetes adds and the rules use is here. One thing differs: `size()` of a text
counts bytes. Every rule that asks for the size of a text also asks for ASCII, where that is the same; a test says so.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import cel

from periodic_sync.api.rules import RULES_KEY
from periodic_sync.cli.lint.findings import Finding, Path, refusal
from periodic_sync.cli.lint.schema import Schema, inside

Value = str | int | float | bool | list[Any] | dict[str, Any] | None

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?[0-9]{1,3}))?", re.ASCII
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def run_rules(value: Any, schema: Schema, path: Path = ()) -> Iterator[Finding]:
    """Those of this value, then those of what is in it. It must have the schema's types."""
    if value is None:
        return
    for rule in schema.get(RULES_KEY, ()):
        yield from _run(rule, value, path)
    for at, item, of_item in inside(value, schema):
        yield from run_rules(item, of_item, (*path, at))


def _run(rule: dict[str, str], value: Value, path: Path) -> Iterator[Finding]:
    context = cel.Context(variables={"self": value}, functions=_FUNCTIONS)
    where = (*path, *filter(None, rule.get("fieldPath", "").split(".")))
    try:
        if compiled(rule["rule"]).execute(context) is True:
            return
        message = rule["message"]
        if "messageExpression" in rule:
            message = str(compiled(rule["messageExpression"]).execute(context))
    except (ValueError, TypeError, RuntimeError, KeyError, OverflowError) as error:
        yield refusal(where, f"{error} evaluating rule: {rule['message']}")
        return
    yield refusal(where, message)


@cache
def compiled(expression: str) -> "cel.Program":
    return cel.compile(expression)


def quantity(text: str) -> Fraction:
    """Of a resource, such as 1500m or 64Mi. Raises: ValueError."""
    found = _QUANTITY.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no quantity")
    number, binary, decimal, exponent = found.groups()
    if binary:
        return Fraction(number) * Fraction(1024 ** (_BINARY.index(binary) + 1))
    power = _DECIMAL[decimal] if decimal else int(exponent or 0)
    return Fraction(f"{number}e{power}")


def _is_quantity(text: str) -> bool:
    return _QUANTITY.fullmatch(text) is not None


def _compare(one: str, other: str) -> int:
    mine, theirs = quantity(one), quantity(other)
    return (mine > theirs) - (mine < theirs)


def _as_it_is(text: str) -> str:
    """CEL has no fractions without bounds, so a quantity stays its text until two are compared."""
    return text


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "lowerAscii": lambda text: "".join(each.lower() if each.isascii() else each for each in text),
    "isQuantity": _is_quantity,
    "quantity": _as_it_is,
    "compareTo": _compare,
}
KNOWN_FUNCTIONS = frozenset(_FUNCTIONS)
