"""`periodic-sync import-users`: users from a CSV or NDJSON file, or from standard input."""

import argparse
import asyncio
import os
import stat
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from periodic_sync.client import Client, ImportProgress

URL_VARIABLE = "REDIS_URL"


def add_to(commands: Any) -> None:
    """Add the command to a parser's."""
    command: argparse.ArgumentParser = commands.add_parser(
        "import-users",
        help="register the users of a CSV or NDJSON file",
        description="Register the users of a CSV or NDJSON file, one a line. Lines that are no users are told and "
        "skipped; the exit code is 1 then.",
    )
    command.add_argument("file", metavar="FILE", help="the file; - for standard input")
    command.add_argument("--namespace", default="default", help="of the policy or ConfigMap (default: %(default)s)")
    store = command.add_mutually_exclusive_group(required=True)
    store.add_argument("--policy", help="the SyncPolicy whose store it is")
    store.add_argument("--config-map", metavar="NAME", help="the store's main ConfigMap")
    store.add_argument("--key-prefix", metavar="PREFIX", help=f"of users in Redis; its URL is in ${URL_VARIABLE}")
    command.add_argument("--kubeconfig", help="kubeconfig file (default: the pod's service account, else $KUBECONFIG)")
    command.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    # Imported only here, as the other commands start faster without.
    from periodic_sync.client import InvalidImportError, StoreUnavailableError

    try:
        with nullcontext(sys.stdin.buffer) if chosen.file == "-" else Path(chosen.file).open("rb") as file:
            return asyncio.run(_import(chosen, file))
    except (OSError, ValueError, StoreUnavailableError, InvalidImportError) as error:
        print(f"periodic-sync import-users: {error}", file=sys.stderr)
        return 2


async def _import(chosen: argparse.Namespace, file: BinaryIO) -> int:
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
    return 1 if report.skipped else 0


def _client(chosen: argparse.Namespace) -> "Client":
    """Raises: ValueError."""
    from periodic_sync.client import Client

    if chosen.policy:
        return Client.for_policy(chosen.namespace, chosen.policy, kubeconfig=chosen.kubeconfig)
    if chosen.config_map:
        return Client.for_config_map(chosen.namespace, chosen.config_map, kubeconfig=chosen.kubeconfig)
    url = os.environ.get(URL_VARIABLE)
    if not url:
        raise ValueError(f"set {URL_VARIABLE} to the URL of the Redis server, such as redis://:PASSWORD@host:6379/0")
    return Client.for_redis(url, chosen.key_prefix)
