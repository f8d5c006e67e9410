"""The command itself."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from periodic_sync.cli import completing
from periodic_sync.cli.errors import told
from periodic_sync.cli.options import (
    CLUSTER,
    Context,
    Kubeconfig,
    Namespace,
    Output,
    OutputFormat,
    RedisUrl,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from periodic_sync.cli.check.lines import Line
    from periodic_sync.cli.reach import Reach

FOUND = 1
"""Exit code."""

OperatorNamespace = Annotated[
    str, typer.Option(metavar="NAMESPACE", help="Where the operator is.", rich_help_panel=CLUSTER)
]


def check(
    policy: Annotated[
        str | None,
        typer.Argument(
            metavar="POLICY",
            help="A SyncPolicy to look at closely. By default all, briefly.",
            autocompletion=completing.policies,
        ),
    ] = None,
    namespace: Namespace = None,
    operator_namespace: OperatorNamespace = "periodic-sync",
    redis_url: RedisUrl = None,
    output: OutputFormat = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Look whether everything is there: cluster, CRD, operator, rights, and all that a policy needs.

    Nothing is changed. The exit code is 1 where something failed; what could not be looked at is no failure.
    """
    from periodic_sync.cli.output import show
    from periodic_sync.cli.reach import Reach

    with told("check"):
        lines = asyncio.run(_collected(Reach(kubeconfig, context, namespace, redis_url), policy, operator_namespace))
    show(output, [entry(line) for line in lines], lambda: _table(lines))
    if any(line.mark.value == "failed" for line in lines):
        raise typer.Exit(FOUND)


async def _collected(reach: "Reach", policy: str | None, operator_namespace: str) -> "list[Line]":
    from periodic_sync.cli.check.all import check_all

    return [line async for line in check_all(reach, policy, operator_namespace)]


def entry(line: "Line") -> dict[str, Any]:
    """For programs."""
    return {"result": line.mark.value, "topic": line.topic, "message": line.message, "fix": line.fix}


def _table(lines: "list[Line]") -> "RenderableType":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "warning": "yellow", "failed": "bold red", "not looked at": "dim"}
    table = Table.grid(padding=(0, 2))
    for line in lines:
        fix = f"\n→ {line.fix}" if line.fix else ""
        mark = Text(line.mark.value, style=colours[line.mark.value])
        table.add_row(mark, Text(line.topic), Text(f"{line.message}{fix}"))
    counts = ", ".join(f"{sum(line.mark.value == mark for line in lines)} {mark}" for mark in colours)
    return Group(table, Text(counts))
