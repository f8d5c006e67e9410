"""`periodic-sync export`: users as a file that `periodic-sync import` takes again."""

import asyncio
import csv
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from periodic_sync.cli.errors import CommandError, told
from periodic_sync.cli.options import Context, Kubeconfig, Namespace, PolicyName, RedisUrl
from periodic_sync.cli.reach import Opened, Reach, opened

if TYPE_CHECKING:
    from periodic_sync.core.users import UserRecord

AT_ONCE = 500
FIELDS = ("userId", "wallet", "lastActive", "interval", "timeZone", "syncRequestedAt")


class Format(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"


def export(
    policy: PolicyName,
    file: Annotated[str, typer.Argument(metavar="FILE", help="- for standard output.")] = "-",
    style: Annotated[
        Format | None, typer.Option("--format", help="By default as FILE is called: CSV for *.csv, else NDJSON.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Write all users, with their wallets, as a file that `import` takes again.

    What the operator knows of them is not in it, and changedTokens are in NDJSON alone. A file is readable for its
    owner alone, and there as a whole or not at all.
    """
    chosen = style or (Format.CSV if file.endswith(".csv") else Format.NDJSON)
    with told("export"):
        count = asyncio.run(_export(Reach(kubeconfig, context, namespace, redis_url), policy, file, chosen))
    print(f"{count} users exported", file=sys.stderr)


async def _export(reach: Reach, policy: str, file: str, style: Format) -> int:
    async with opened(reach, policy) as found:
        with _target(file) as out:
            return await _write(found, out, style)


async def _write(found: Opened, out: TextIO, style: Format) -> int:
    """Returns: how many users were written. One that is active meanwhile may come twice, and is written once."""
    from periodic_sync.cli.progress import progress_bar
    from periodic_sync.client.errors import store_errors

    line = csv_line if style is Format.CSV else json_line
    if style is Format.CSV:
        out.write(",".join(FIELDS) + "\n")
    total = (found.body.get("status") or {}).get("totalUsers")
    written: set[str] = set()
    with store_errors(), progress_bar("exporting", unit="users") as shown:
        async for record, _ in found.backend.users():
            if record.user_id in written:
                continue
            written.add(record.user_id)
            out.write(line(record))
            if len(written) % AT_ONCE == 0:
                shown(len(written), total, "")
    return len(written)


def fields(record: "UserRecord") -> dict[str, str]:
    """As a record is written in a store; what it has not is absent."""
    from periodic_sync.api.durations import format_duration
    from periodic_sync.stores.instants import format_instant

    asked = record.sync_requested_at
    optional = {
        "interval": None if record.interval is None else format_duration(record.interval),
        "timeZone": record.time_zone,
        "syncRequestedAt": None if asked is None else format_instant(asked),
    }
    found = {"userId": record.user_id, "wallet": record.wallet, "lastActive": format_instant(record.last_active)}
    return found | {name: value for name, value in optional.items() if value is not None}


def csv_line(record: "UserRecord") -> str:
    """Raises: CommandError."""
    if {"\r", "\n"} & set(record.wallet):
        raise CommandError(f"the wallet of user {record.user_id} has a line break, which no CSV keeps: --format ndjson")
    out = io.StringIO()
    csv.DictWriter(out, FIELDS, lineterminator="\n").writerow(fields(record))
    return out.getvalue()


def json_line(record: "UserRecord") -> str:
    from periodic_sync.stores.instants import format_instant

    tokens = {token: format_instant(at) for token, at in record.changed_tokens.items()}
    found = {**fields(record), **({"changedTokens": tokens} if tokens else {})}
    return json.dumps(found, ensure_ascii=True) + "\n"


@contextmanager
def _target(file: str) -> Iterator[TextIO]:
    """Raises: OSError."""
    if file == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    target = Path(file)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        unfinished.touch(0o600, exist_ok=False)  # there are wallets in it
        with unfinished.open("w", encoding="utf-8") as out:
            yield out
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
