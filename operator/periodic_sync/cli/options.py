"""The options that commands share, named as kubectl names them."""

from enum import StrEnum
from typing import Annotated

import typer

from periodic_sync.api.durations import parse_duration
from periodic_sync.cli import completing


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"


CLUSTER = "Cluster"
"""The panel of help that says where the policies are."""

Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        help="Of the policy. By default the kubeconfig's.",
        autocompletion=completing.namespaces,
        rich_help_panel=CLUSTER,
    ),
]
Kubeconfig = Annotated[
    str | None,
    typer.Option(
        help="Kubeconfig file. By default the pod's service account, else $KUBECONFIG.", rich_help_panel=CLUSTER
    ),
]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig.", rich_help_panel=CLUSTER)]
OutputFormat = Annotated[Output, typer.Option("--output", "-o", help="How to print what was found.")]
PolicyName = Annotated[
    str, typer.Argument(metavar="POLICY", help="The SyncPolicy's name.", autocompletion=completing.policies)
]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        envvar="REDIS_URL",
        show_envvar=True,
        help="Where the policy's Redis is reached from here, such as through a port-forward.",
        rich_help_panel=CLUSTER,
    ),
]


def checked_duration(text: str) -> str:
    """For options that are durations. Raises: BadParameter."""
    try:
        parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def checked_instant(text: str | None) -> str | None:
    """For options that are instants. Raises: BadParameter."""
    from periodic_sync.stores.instants import parse_instant

    try:
        if text is not None:
            parse_instant(text)
    except ValueError:
        raise typer.BadParameter("write RFC 3339, such as 2026-01-31T09:30:00Z or 2026-01-31T09:30:00+01:00") from None
    return text


Timeout = Annotated[
    str, typer.Option(callback=checked_duration, metavar="DURATION", help="How long to wait, such as 30s or 5m.")
]
UserIds = Annotated[list[str], typer.Argument(metavar="USER", help="Ids of users.")]
UserName = Annotated[str, typer.Argument(metavar="USER", help="The user's id.")]
