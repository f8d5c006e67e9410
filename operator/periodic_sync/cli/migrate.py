"""`periodic-sync migrate`: a policy's users from ConfigMaps to Redis, with all that is known of them."""

import argparse
import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

from periodic_sync.api.durations import MINUTE, SECOND, parse_duration

if TYPE_CHECKING:
    from periodic_sync.client.migration import Migration, Moved


def add_to(commands: Any) -> None:
    """Add the command to a parser's."""
    command: argparse.ArgumentParser = commands.add_parser(
        "migrate",
        help="move a policy's users from ConfigMaps to Redis",
        description="Copy the users of a policy, with all that is known of their syncs, from ConfigMaps to Redis while "
        "nothing is in flight, and print the patch that makes the policy use it; with --apply, pause the policy, "
        "apply the patch and enable it again. It can be run again at any time.",
    )
    command.add_argument("--namespace", default="default", help="of the policy and the Secret (default: %(default)s)")
    command.add_argument("--policy", required=True, help="the SyncPolicy")
    command.add_argument("--to-redis-secret", required=True, metavar="NAME", help="the Secret with the URL")
    command.add_argument(
        "--secret-key", default="url", metavar="KEY", help="the URL's key in it (default: %(default)s)"
    )
    command.add_argument("--key-prefix", required=True, metavar="PREFIX", help="such as portfolios:")
    command.add_argument("--wait", action="store_true", help="wait for batches that run, in place of giving up")
    command.add_argument("--timeout", type=_duration, default=15 * MINUTE, help="for that (default: 15m)")
    command.add_argument("--apply", action="store_true", help="do it all: pause, wait, copy, patch, enable again")
    command.add_argument(
        "--config-map",
        metavar="NAME",
        help="after the move: copy once more from this ConfigMap, where applications wrote it meanwhile",
    )
    command.add_argument("--kubeconfig", help="kubeconfig file (default: the pod's service account, else $KUBECONFIG)")
    command.set_defaults(run=run)


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(chosen: argparse.Namespace) -> int:
    # Imported only here, as the other commands start faster without.
    from kubernetes.aio.config import ConfigException

    from periodic_sync.api.errors import ApiError
    from periodic_sync.client.migration import MoveRefusedError
    from periodic_sync.stores.base import StoreNotReady

    try:
        return asyncio.run(_migrate(chosen))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("periodic-sync migrate: stopped; it can be run again", file=sys.stderr)
        return 130
    except (MoveRefusedError, StoreNotReady, ApiError, ConfigException, OSError, ValueError) as error:
        print(f"periodic-sync migrate: {error}", file=sys.stderr)
        return 1


async def _migrate(chosen: argparse.Namespace) -> int:
    from periodic_sync.cli.progress import console, progress_bar
    from periodic_sync.client.backend import SystemClock
    from periodic_sync.client.migration import Destination, Migration
    from periodic_sync.kube.connect import connected

    task = asyncio.current_task()
    assert task
    # A policy that was paused is enabled again whatever ends this, except SIGKILL.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    to = Destination(chosen.to_redis_secret, chosen.secret_key, chosen.key_prefix)
    async with connected(chosen.kubeconfig) as client:
        migration = Migration(client, chosen.namespace, chosen.policy, to, SystemClock())
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
        print(f"kubectl patch --namespace {chosen.namespace} syncpolicy {chosen.policy} --type merge -p '{patch}'")
    return 0


async def _move(migration: "Migration", chosen: argparse.Namespace) -> "Moved":
    if chosen.config_map:
        return await migration.copy_again(chosen.config_map)
    seconds = chosen.timeout / SECOND if chosen.wait or chosen.apply else 0.0
    return await migration.run(wait_seconds=seconds, apply=chosen.apply)
