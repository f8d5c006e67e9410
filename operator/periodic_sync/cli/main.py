"""`periodic-sync`, and the same as `kubectl syncpolicy`: one program for everything that people and manifests start."""

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from periodic_sync import __version__
from periodic_sync.cli import (
    export,
    import_users,
    migrate,
    operator,
    pausing,
    plan,
    purge,
    registering,
    server,
    simulate,
    status,
    sync,
    users,
    why,
)
from periodic_sync.cli.check.command import check
from periodic_sync.cli.convert_env.command import convert_env
from periodic_sync.cli.lint.command import lint
from periodic_sync.cli.report.command import report

LOOK, STEER, USERS, SET_UP, RUN = "Look", "Steer", "Users", "Set up", "Run"
"""The panels of help that commands are in."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they show the values of variables, among which are tokens and wallets
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _help(command: Callable[..., None]) -> str:
    """The docstring without the line breaks of its source, which typer takes out of the first paragraph only."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


for panel, commands in (
    (LOOK, (status.status, users.users, why.why, plan.plan, simulate.simulate)),
    (STEER, (sync.sync, pausing.pause, pausing.resume)),
    (USERS, (registering.register, registering.activity, registering.remove)),
    (USERS, (import_users.import_users, export.export, migrate.migrate, purge.purge)),
    (SET_UP, (convert_env, lint, check, report)),
    (RUN, (operator.operator, server.server)),
):
    for command in commands:
        name = command.__name__.removesuffix("_users").replace("_", "-")
        app.command(name, help=_help(command), rich_help_panel=panel)(command)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = (
        False
    ),
) -> None:
    """Keep the data of a product's active users fresh."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns: the exit code."""
    is_plugin = Path(sys.argv[0]).name.startswith("kubectl-syncpolicy")
    if is_plugin and {"--install-completion", "--show-completion"} & set(
        sys.argv[1:] if arguments is None else arguments
    ):
        return _told(
            "kubectl completes this itself, by kubectl_complete-syncpolicy on the PATH: see `kubectl completion -h`"
        )
    try:
        app(
            args=None if arguments is None else list(arguments),
            prog_name="kubectl syncpolicy" if is_plugin else "periodic-sync",
        )
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else _told(ended.code)
    return 0


def _told(code: str | None) -> int:
    if code is not None:
        print(code, file=sys.stderr)
    return 0 if code is None else 1


if __name__ == "__main__":
    sys.exit(main())
