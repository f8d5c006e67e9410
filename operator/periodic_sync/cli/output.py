"""What commands print: tables for people, JSON and YAML for programs, in the field names of the API."""

import json
import os
import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import yaml

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.cli.options import Output

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_ANY_WIDTH = 1000


def show(output: Output, document: Any, table: Callable[[], "RenderableType"]) -> None:
    """document: what `json` and `yaml` print. table: makes what people see.

    What it shows of others' texts goes in as `rich.text.Text`, never as markup.
    """
    if output is Output.JSON:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    elif output is Output.YAML:
        yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True)
    else:
        print_table(table())


def print_table(shown: "RenderableType") -> None:
    """As wide as the terminal; in a pipe as wide as it needs to be, so that a row is a line."""
    from rich.measure import Measurement

    out = standard_output()
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = max(out.width, Measurement.get(out, out.options.update(width=_ANY_WIDTH), shown).maximum)
    out.print(shown)


def standard_output() -> "Console":
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def columns(*names: str, right: Collection[str] = ()) -> "Table":
    """A table for people: what doesn't fit is folded, never cut off. right: columns of numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name.upper(), overflow="fold", justify="right" if name in right else "left")
    return table


def printable(text: str) -> str:
    """Others' texts: nobody's control characters get into a terminal."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def duration(milliseconds: int) -> str:
    """In at most two units, as people say it."""
    rest, parts = max(0, milliseconds), list[str]()
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")):
        count, rest = divmod(rest, size)
        if count or parts or unit == "s":
            parts.append(f"{count}{unit}")
    return "".join(part for part in parts[:2] if not part.startswith("0") or len(parts) == 1)


def relative(at: int | None, now: int) -> str:
    """An instant beside another, both in milliseconds."""
    if at is None:
        return "never"
    return f"in {duration(at - now)}" if at >= now + SECOND else f"{duration(now - at)} ago"
