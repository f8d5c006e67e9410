"""`periodic-sync import`: users from a CSV or NDJSON file, or from standard input."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from periodic_sync.cli.errors import CommandError, told
from periodic_sync.cli.options import Context, Kubeconfig, Namespace, RedisUrl
from periodic_sync.cli.reach import Reach, opened
from periodic_sync.cli.session import default_namespace

if TYPE_CHECKING:
    from periodic_sync.client import Client, ImportProgress

LINES_SKIPPED, COULD_NOT_GO_ON = 1, 2
"""Exit codes."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The store that was named: by one of policy, config_map and key_prefix."""

    policy: str | None
    config_map: str | None
    key_prefix: str | None
    reach: Reach


def import_users(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV with a header, or NDJSON; - for standard input.")],
    policy: Annotated[str | None, typer.Option(help="The SyncPolicy whose store it is.")] = None,
    config_map: Annotated[str | None, typer.Option(metavar="NAME", help="The store's main ConfigMap.")] = None,
    key_prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Of users in Redis; --redis-url says in which.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Register the users of a CSV or NDJSON file, one a line.

    Lines that are no users are told and skipped; the exit code is 1 then.
    """
    if sum(name is not None for name in (policy, config_map, key_prefix)) != 1:
        raise typer.BadParameter("name the store by one of --policy, --config-map and --key-prefix")
    chosen = Chosen(policy, config_map, key_prefix, Reach(kubeconfig, context, namespace, redis_url))
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


@asynccontextmanager
async def _client(chosen: Chosen) -> "AsyncIterator[Client]":
    """On the store, for as long as the block runs. Raises: CommandError, StoreNotReady, ApiError, ValueError."""
    if chosen.policy is None:
        async with _named(chosen) as client:
            yield client
    else:
        async with opened(chosen.reach, chosen.policy) as found:
            yield found.client


def _named(chosen: Chosen) -> "Client":
    """On a store that is named itself. Raises: CommandError, ValueError."""
    from periodic_sync.client import Client

    reach = chosen.reach
    if chosen.key_prefix:
        if not reach.redis_url:
            raise CommandError(
                "set REDIS_URL, or give --redis-url, with the URL of the Redis server, such as "
                "redis://:PASSWORD@host:6379/0"
            )
        return Client.for_redis(reach.redis_url, chosen.key_prefix)
    namespace = reach.namespace or default_namespace(reach.kubeconfig, reach.context)
    return Client.for_config_map(namespace, chosen.config_map or "", kubeconfig=reach.kubeconfig, context=reach.context)
