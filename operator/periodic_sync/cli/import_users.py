"""`periodic-sync import`: users from a CSV or NDJSON file, or from standard input."""

import asyncio
import os
import stat
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from periodic_sync.cli.errors import CommandError, told
from periodic_sync.cli.options import Context, Kubeconfig, Namespace
from periodic_sync.cli.session import default_namespace

if TYPE_CHECKING:
    from periodic_sync.client import Client, ImportProgress

URL_VARIABLE = "REDIS_URL"
LINES_SKIPPED, COULD_NOT_GO_ON = 1, 2
"""Exit codes."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The store that was named: by one of policy, config_map and key_prefix."""

    policy: str | None
    config_map: str | None
    key_prefix: str | None
    namespace: str | None
    kubeconfig: str | None
    context: str | None


def import_users(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV with a header, or NDJSON; - for standard input.")],
    policy: Annotated[str | None, typer.Option(help="The SyncPolicy whose store it is.")] = None,
    config_map: Annotated[str | None, typer.Option(metavar="NAME", help="The store's main ConfigMap.")] = None,
    key_prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help=f"Of users in Redis; its URL is in ${URL_VARIABLE}.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Register the users of a CSV or NDJSON file, one a line.

    Lines that are no users are told and skipped; the exit code is 1 then.
    """
    if sum(name is not None for name in (policy, config_map, key_prefix)) != 1:
        raise typer.BadParameter("name the store by one of --policy, --config-map and --key-prefix")
    chosen = Chosen(policy, config_map, key_prefix, namespace, kubeconfig, context)
    with told("import", code=COULD_NOT_GO_ON), _opened(file) as lines:
        skipped = asyncio.run(_import(chosen, lines))
    if skipped:
        raise typer.Exit(LINES_SKIPPED)


def _opened(file: str) -> AbstractContextManager[BinaryIO]:
    """Raises: OSError."""
    return nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb")


async def _import(chosen: Chosen, file: BinaryIO) -> int:
    from periodic_sync.cli.progress import console, progress_bar

    size = os.fstat(file.fileno())
    total = size.st_size if stat.S_ISREG(size.st_mode) else None
    async with _client(chosen) as client:
        with progress_bar("importing", unit="bytes") as show:

            def told(so_far: "ImportProgress") -> None:
                show(so_far.size, total, f"{so_far.imported} users")

            report = await client.import_users(file, progress=told)
    for line in report.bad_lines:
        console().print(str(line), markup=False, highlight=False, soft_wrap=True)
    if (more := report.skipped - len(report.bad_lines)) > 0:
        console().print(f"and {more} more")
    print(f"{report.imported} lines imported, {report.skipped} skipped")
    return report.skipped


def _client(chosen: Chosen) -> "Client":
    """Raises: CommandError, ValueError."""
    from periodic_sync.client import Client

    if chosen.key_prefix:
        url = os.environ.get(URL_VARIABLE)
        if not url:
            raise CommandError(
                f"set {URL_VARIABLE} to the URL of the Redis server, such as redis://:PASSWORD@host:6379/0"
            )
        return Client.for_redis(url, chosen.key_prefix)
    namespace = chosen.namespace or default_namespace(chosen.kubeconfig, chosen.context)
    if chosen.config_map:
        return Client.for_config_map(namespace, chosen.config_map, kubeconfig=chosen.kubeconfig, context=chosen.context)
    return Client.for_policy(namespace, chosen.policy or "", kubeconfig=chosen.kubeconfig, context=chosen.context)
