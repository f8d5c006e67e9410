"""The command itself: variables in, YAML on standard output, warnings on standard error."""

import os
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer

from periodic_sync.cli.errors import CommandError, told
from periodic_sync.cli.options import CLUSTER


def convert_env(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|-", help="A .env file, or - for one on standard input. By default the environment."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Of the SyncPolicy.")] = "portfolios",
    worker_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where your service syncs one user; {userId} is filled in.")
    ] = None,
    config_map: Annotated[str, typer.Option(metavar="NAME", help="The store's main ConfigMap.")] = "user-activity",
    redis_secret: Annotated[
        str | None, typer.Option(metavar="NAME", help="A store in Redis: the Secret with its URL.")
    ] = None,
    secret_key: Annotated[str, typer.Option(metavar="KEY", help="The URL's key in the Secret.")] = "url",
    key_prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Of the users' keys in Redis. By default the name and a colon.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="To write into the manifest.", rich_help_panel=CLUSTER)
    ] = None,
) -> None:
    """Turn the old service's PERIODIC_SYNC_* variables into a SyncPolicy that `kubectl apply` takes.

    They are PERIODIC_SYNC_ENABLED, _MARKET_HOURS_INTERVAL, _OFF_HOURS_INTERVAL, _STALE_THRESHOLD (milliseconds) and
    _BATCH_SIZE. What the rules refuse is mended, and told on standard error.
    """
    from periodic_sync.cli.convert_env.manifest import Place, manifest
    from periodic_sync.cli.convert_env.settings import KNOWN, read_settings

    with told("convert-env"):
        variables, source = _variables(file)
        if not any(known in variables for known in KNOWN):
            raise CommandError(f"{source} has none of {', '.join(KNOWN)}: is it that of the old service?")
        settings = read_settings(variables)
        prefix = f"{name}:" if key_prefix is None else key_prefix
        text = manifest(
            settings, Place(name, namespace, config_map, redis_secret, secret_key, prefix, worker_url), source
        )
        _check(text)
        for warning in settings.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if worker_url is None:
            print("warning: spec.worker.http.url is still to be filled in (--worker-url)", file=sys.stderr)
    print(text, end="")


def _variables(file: str | None) -> tuple[Mapping[str, str | None], str]:
    """Returns: all variables, and where they were. Raises: OSError, ValueError."""
    if file is None:
        return os.environ, "the environment"
    from dotenv import dotenv_values

    text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    # Without interpolation: nothing of this machine's environment shall get into the policy.
    return dotenv_values(stream=StringIO(text), interpolate=False), "standard input" if file == "-" else Path(file).name


def _check(text: str) -> None:
    """Names and addresses that were given may be such as the API server refuses. Raises: CommandError."""
    from periodic_sync.cli.lint.check import check

    errors = [finding for finding in check(text, "the manifest").findings if finding.is_error]
    if errors:
        raise CommandError("; ".join(f"{error.field}: {error.message}" for error in errors))
