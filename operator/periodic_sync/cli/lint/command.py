"""The command itself: files in, findings out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from periodic_sync.cli.errors import told
from periodic_sync.cli.options import Output, OutputFormat

if TYPE_CHECKING:
    from periodic_sync.cli.lint.check import Checked
    from periodic_sync.cli.lint.findings import Finding

FOUND = 1
"""Exit code."""


def lint(
    files: Annotated[list[str], typer.Argument(metavar="FILE… | -", help="YAML or JSON; - for standard input.")],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors, as they are for kubectl.")] = False,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Check SyncPolicies in files by the API server's rules, without a cluster.

    What the API server would refuse is an error, and so is what the operator could not work with, such as a time zone
    that does not exist. Unknown fields are warnings. The exit code is 1 where there are errors.
    """
    with told("lint"):
        from periodic_sync.cli.lint.check import check

        checked = [check(_read(file), "standard input" if file == "-" else file) for file in files]
    if output is Output.TABLE:
        _tell(checked)
    else:
        from periodic_sync.cli.output import show

        show(output, [_entry(each.source, found) for each in checked for found in each.findings], lambda: "")
    found = {finding.severity.value for each in checked for finding in each.findings}
    if "error" in found or (strict and "warning" in found):
        raise typer.Exit(FOUND)


def _read(file: str) -> str:
    """Raises: OSError, ValueError."""
    return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")


def _tell(checked: "list[Checked]") -> None:
    """A line a finding, as compilers write them."""
    for each in checked:
        for found in each.findings:
            field = f"{found.field}: " if found.field else ""
            print(f"{each.source}:{found.line}: {found.severity}: {field}{found.message}")
    policies = sum(each.policies for each in checked)
    severities = [found.severity.value for each in checked for found in each.findings]
    print(
        f"SyncPolicies: {policies}, errors: {severities.count('error')}, warnings: {severities.count('warning')}, "
        f"advice: {severities.count('advice')}"
    )


def _entry(source: str, found: "Finding") -> dict[str, Any]:
    return {
        "file": source,
        "line": found.line,
        "severity": found.severity.value,
        "field": found.field,
        "message": found.message,
    }
