"""The command itself: reads, redacts, and writes one file."""

import asyncio
import io
import json
import os
import platform
import secrets
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from periodic_sync import __version__
from periodic_sync.cli import completing
from periodic_sync.cli.check.command import OperatorNamespace, entry
from periodic_sync.cli.errors import told
from periodic_sync.cli.options import Context, Kubeconfig, Namespace, RedisUrl

if TYPE_CHECKING:
    from periodic_sync.cli.reach import Reach
    from periodic_sync.cli.report.collecting import Collection

_README = """\
A support bundle of Periodic Sync {version}, made at {time} for namespace {namespace}.

What is in it:
  check.json                 what `periodic-sync check` found
  versions.json              of this program, of Python and of the API server
  policies/NAME/             the SyncPolicy, its ledger, figures of its users' state, metadata of its batch files, its
                             Jobs, its pods' statuses, and events about all of these
  operator/                  Deployments as far as they matter, and by namespace: Leases, pods' statuses, the last
                             {lines} lines of their logs, and metrics

What is not in it, by design: users' records, batch files' contents, Secrets, ConfigMaps of yours.
What was taken out: wallets; credentials and what looks like one; values of variables, annotations and HTTP headers;
commands and arguments of workers; what workers said when they ended.
Users' ids: {users}.
Read it before you send it: what people wrote into names, labels and addresses is as they wrote it.

What could not be had:
{missing}
"""


def report(
    policy: Annotated[
        str | None,
        typer.Argument(
            metavar="POLICY",
            help="One SyncPolicy. By default all of the namespace.",
            autocompletion=completing.policies,
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="To write. By default periodic-sync-report-TIME.tar.gz.")
    ] = None,
    with_user_ids: Annotated[bool, typer.Option("--with-user-ids", help="Users' ids as they are, not hashed.")] = False,
    log_lines: Annotated[int, typer.Option(min=1, max=100_000, help="Of each operator pod's log.")] = 2000,
    namespace: Namespace = None,
    operator_namespace: OperatorNamespace = "periodic-sync",
    redis_url: RedisUrl = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Pack what helps others to help you into one file: policies, ledgers, Jobs, events, logs, and `check`'s result.

    Wallets, credentials and values of variables are taken out, users' ids are hashed. A README inside says what is in
    it, and what could not be had.
    """
    from periodic_sync.cli.reach import Reach

    now = datetime.now(UTC)
    with told("report"):
        name = f"periodic-sync-report-{now:%Y%m%dT%H%M%SZ}"
        target = file or Path(f"{name}.tar.gz")
        reach = Reach(kubeconfig, context, namespace, redis_url)
        found = asyncio.run(_collected(reach, policy, operator_namespace, log_lines, with_user_ids))
        users = "as they are" if with_user_ids else "hashed; the same id has the same hash within this bundle alone"
        found.files["README.txt"] = _README.format(
            version=__version__,
            time=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            namespace=found.namespace,
            lines=log_lines,
            users=users,
            missing="\n".join(f"  {each}" for each in sorted(set(found.missing))) or "  nothing",
        )
        write(target, name, found.redaction.files(found.files), now)
    print(f"{target}: {len(found.files)} files; README.txt in it says what they are")


async def _collected(
    reach: "Reach", policy: str | None, operator_namespace: str, lines: int, with_user_ids: bool
) -> "Collection":
    from periodic_sync.cli.check.all import check_all
    from periodic_sync.cli.report.collecting import Collection, collect_operator, collect_policy, learn_users
    from periodic_sync.cli.report.redaction import Redaction
    from periodic_sync.cli.session import session

    async with session(reach.kubeconfig, reach.context, reach.namespace) as opened:
        found = Collection(opened.client, opened.namespace, Redaction(secrets.token_bytes(16), with_user_ids))
        bodies = [await opened.policy(policy)] if policy else await opened.policies()
        await learn_users(found, bodies)
        for body in bodies:
            await collect_policy(found, body)
        await collect_operator(found, operator_namespace, lines)
        checked = [line async for line in check_all(reach, policy, operator_namespace)]
        shown = found.redaction.value([entry(line) for line in checked])
        found.files["check.json"] = json.dumps(shown, indent=2, ensure_ascii=False)
        answer = await found.asked("the API server's version", opened.client.read("/version"))
    versions = {
        "periodic-sync": __version__,
        "python": platform.python_version(),
        "apiServer": json.loads(answer.body) if answer else None,
    }
    found.files["versions.json"] = json.dumps(versions, indent=2)
    return found


def write(target: Path, folder: str, files: dict[str, str], now: datetime) -> None:
    """For its owner's eyes. Raises: OSError."""
    opened = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(opened, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in sorted(files.items()):
            about = tarfile.TarInfo(f"{folder}/{name}")
            about.size, about.mtime, about.mode = len(text.encode()), int(now.timestamp()), 0o600
            archive.addfile(about, io.BytesIO(text.encode()))
