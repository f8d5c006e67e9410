"""`periodic-sync migrate`: a policy's users from ConfigMaps to Redis, with all that is known of them."""

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from periodic_sync.api.durations import SECOND, parse_duration
from periodic_sync.cli.errors import told
from periodic_sync.cli.options import Context, Kubeconfig, Namespace, PolicyName, Timeout
from periodic_sync.cli.session import session

if TYPE_CHECKING:
    from periodic_sync.client.migration import Migration, Moved


@dataclass(frozen=True, slots=True)
class Chosen:
    """timeout: milliseconds; 0: not waiting."""

    policy: str
    secret: str
    secret_key: str
    key_prefix: str
    timeout: int
    apply: bool
    config_map: str | None
    kubeconfig: str | None
    context: str | None
    namespace: str | None


def migrate(
    policy: PolicyName,
    to_redis_secret: Annotated[str, typer.Option(metavar="NAME", help="The Secret with the URL.")],
    key_prefix: Annotated[str, typer.Option(metavar="PREFIX", help="Such as portfolios:.")],
    secret_key: Annotated[str, typer.Option(metavar="KEY", help="The URL's key in the Secret.")] = "url",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for batches that run, in place of giving up.")] = False,
    timeout: Timeout = "15m",
    apply: Annotated[bool, typer.Option("--apply", help="Do it all: pause, wait, copy, patch, enable again.")] = False,
    config_map: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="After the move: copy once more from this ConfigMap, where applications wrote it meanwhile.",
        ),
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Move a policy's users from ConfigMaps to Redis, with all that is known of their syncs.

    They are copied while nothing is in flight. Then the patch is printed that makes the policy use Redis; with --apply,
    the policy is paused, patched and enabled again. It can be run again at any time.
    """
    chosen = Chosen(
        policy=policy,
        secret=to_redis_secret,
        secret_key=secret_key,
        key_prefix=key_prefix,
        timeout=parse_duration(timeout) if wait or apply else 0,
        apply=apply,
        config_map=config_map,
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
    )
    with told("migrate", stopped="stopped; it can be run again"):
        asyncio.run(_migrate(chosen))


async def _migrate(chosen: Chosen) -> None:
    from periodic_sync.cli.progress import console, progress_bar
    from periodic_sync.client.backend import SystemClock
    from periodic_sync.client.migration import Destination, Migration

    task = asyncio.current_task()
    assert task
    # A policy that was paused is enabled again whatever ends this, except SIGKILL.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    to = Destination(chosen.secret, chosen.secret_key, chosen.key_prefix)
    async with session(chosen.kubeconfig, chosen.context, chosen.namespace) as opened:
        migration = Migration(opened.client, opened.namespace, chosen.policy, to, SystemClock())
        migration.say = lambda text: console().print(text, markup=False, highlight=False, soft_wrap=True)
        with progress_bar("copying", unit="users") as show:
            migration.progress = lambda done, total: show(done, total, "users")
            moved = await _move(migration, chosen)
    for problem in moved.problems:
        print(f"left behind: {problem}", file=sys.stderr)
    print(
        f"{moved.users} users are in Redis, {moved.synced} of them with a state; {moved.skipped} entries were skipped"
    )
    if not (chosen.apply or chosen.config_map):
        patch = json.dumps(to.patch())
        print("To make the policy use them, and then let it go on:")
        print(f"kubectl patch --namespace {migration.namespace} syncpolicy {chosen.policy} --type merge -p '{patch}'")


async def _move(migration: "Migration", chosen: Chosen) -> "Moved":
    if chosen.config_map:
        return await migration.copy_again(chosen.config_map)
    return await migration.run(wait_seconds=chosen.timeout / SECOND, apply=chosen.apply)
