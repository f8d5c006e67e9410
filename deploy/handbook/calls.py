"""Calls in the program's sources, so that a page can list what is said where."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_SOURCES = Path(__file__).resolve().parents[2] / "operator" / "periodic_sync"


@cache
def calls(folder: str = "") -> tuple[ast.Call, ...]:
    """All calls in a folder of the package; "": in the whole of it."""
    files = sorted((_SOURCES / folder).rglob("*.py"))
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in files)
    return tuple(node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    """Of the function or method that is called; "" where it has none."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def constants_of(call: ast.Call) -> Iterator[object]:
    """The arguments as long as they are written out."""
    for argument in call.args:
        if not isinstance(argument, ast.Constant):
            return
        yield argument.value
