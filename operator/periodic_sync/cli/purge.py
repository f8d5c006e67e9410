"""`periodic-sync purge`: everything that stands under one prefix in Redis, of a policy that is gone."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from periodic_sync.cli.errors import CommandError, told
from periodic_sync.cli.options import Context, Kubeconfig, Namespace, RedisUrl
from periodic_sync.cli.reach import Reach, connection
from periodic_sync.cli.session import Session, session

if TYPE_CHECKING:
    from periodic_sync.stores.redis.commands import Commands
    from periodic_sync.stores.redis.keys import Keys
    from periodic_sync.stores.redis.purging import Left


@dataclass(frozen=True, slots=True)
class Chosen:
    """secret: of the namespace, with the URL in secret_key; None: the URL was typed."""

    prefix: str
    secret: str | None
    secret_key: str
    may_be_there: bool
    may_be_elsewhere: bool
    confirmed: str | None


def purge(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="The policy's spec.store.redis.keyPrefix.")],
    secret: Annotated[
        str | None, typer.Option(metavar="NAME", help="The Secret with the URL, in place of --redis-url.")
    ] = None,
    secret_key: Annotated[str, typer.Option(metavar="KEY", help="The URL's key in the Secret.")] = "url",
    yes: Annotated[bool, typer.Option("--yes", help="Also where the policy is still there, and paused.")] = False,
    other_cluster: Annotated[
        bool, typer.Option("--other-cluster", help="Also where the users belong to a policy of another cluster.")
    ] = False,
    confirm: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="The prefix again, in place of being asked for it.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Erase the users, and all else, that a policy which is gone has left in Redis.

    It says what there is, and asks for the prefix. While a policy that is enabled uses them, nothing is erased. After a
    stop the same again goes on.
    """
    if secret is None and redis_url is None:
        raise typer.BadParameter("say which Redis: --secret NAME, or --redis-url, or $REDIS_URL")
    chosen = Chosen(prefix, secret, secret_key, yes, other_cluster, confirm)
    with told("purge", stopped="stopped; the same again goes on"):
        gone = asyncio.run(_purge(Reach(kubeconfig, context, namespace, None if secret else redis_url), chosen))
    print(f"{gone} keys erased" if gone else f"There is nothing under {prefix!r}")


async def _purge(reach: Reach, chosen: Chosen) -> int:
    """Returns: how many keys are gone."""
    from periodic_sync.cli.progress import progress_bar
    from periodic_sync.client.opening import check_key_prefix
    from periodic_sync.stores.redis import purging
    from periodic_sync.stores.redis.keys import Keys

    check_key_prefix(chosen.prefix)
    keys = Keys(chosen.prefix)
    async with (
        session(reach.kubeconfig, reach.context, reach.namespace) as entered,
        _opened(entered, reach.redis_url, chosen) as commands,
    ):
        found = await purging.left(commands, keys)
        count = await purging.count_keys(commands, keys)
        if not count:
            return 0
        await _check(entered, found, chosen)
        _confirm(found, count, chosen)
        await _check(entered, await purging.left(commands, keys), chosen)  # that may have taken a while
        gone = 0
        with progress_bar("erasing", unit="keys") as shown:
            async for gone in purging.purge(commands, keys):
                shown(gone, count, "")
        await _check_empty(commands, keys)
        return gone


@asynccontextmanager
async def _opened(entered: Session, url: str | None, chosen: Chosen) -> AsyncIterator["Commands"]:
    from periodic_sync.client.opening import secret_connection
    from periodic_sync.stores.redis.secrets import SecretRef

    if url is not None:
        commands: Commands = connection(url)
    else:
        ref = SecretRef(entered.namespace, chosen.secret or "", chosen.secret_key)
        commands = await secret_connection(entered.client, ref)
    try:
        yield commands
    finally:
        await commands.close()


async def _check(entered: Session, found: "Left", chosen: Chosen) -> None:
    """Raises: CommandError where a policy uses them, ApiError."""
    from periodic_sync.kube.cluster import cluster_id

    cluster, _, owner = found.owner.partition("/")
    here = await cluster_id(entered.client) if cluster else ""
    is_elsewhere = bool(cluster and here and cluster != here)
    if is_elsewhere and not chosen.may_be_elsewhere:
        raise CommandError(
            f"the users under {chosen.prefix!r} belong to SyncPolicy {owner} of another cluster, {cluster}: purge them "
            "from there, with its --context. Where that cluster is gone for good, --other-cluster"
        )
    if not is_elsewhere:
        check_policies(await entered.policies(everywhere=True), owner, chosen.prefix, may_be_there=chosen.may_be_there)


def check_policies(policies: Iterable[Mapping[str, Any]], owner: str, prefix: str, *, may_be_there: bool) -> None:
    """owner: `<namespace>/<policy>`, whose the users are; "": whoever has that prefix. Raises: CommandError."""
    for body in policies:
        about, status = body["metadata"], body.get("status") or {}
        name, spec = f"{about['namespace']}/{about['name']}", body.get("spec") or {}
        redis = (spec.get("store") or {}).get("redis") or {}
        if redis.get("keyPrefix") != prefix or owner not in ("", name):
            continue
        pause = f"`periodic-sync pause {about['name']} -n {about['namespace']}`"
        if spec.get("enabled", True):
            raise CommandError(f"SyncPolicy {name} is enabled and uses {prefix!r}: nothing is erased. First, {pause}")
        if not may_be_there:
            raise CommandError(f"SyncPolicy {name} is paused, and still there: with --yes its users are erased")
        is_acknowledged = status.get("enabled") is False and status.get("observedGeneration") == about["generation"]
        if not is_acknowledged or status.get("activeJobs"):
            raise CommandError(f"SyncPolicy {name} is paused, but still at work: wait until {pause} says no Jobs run")


def _confirm(found: "Left", count: int, chosen: Chosen) -> None:
    """Raises: CommandError."""
    whose = f" of SyncPolicy {found.owner.partition('/')[2]}" if found.owner else ""
    print(f"Under {chosen.prefix!r} there are {found.users} users{whose}, {count} keys in all", file=sys.stderr)
    typed = chosen.confirmed
    if typed is None:
        if not sys.stdin.isatty():
            raise CommandError("nobody is there to be asked: give the prefix again, as --confirm PREFIX")
        typed = typer.prompt("To erase them for good, type the prefix", err=True)
    if typed != chosen.prefix:
        raise CommandError("that is another prefix: nothing was erased")


async def _check_empty(commands: "Commands", keys: "Keys") -> None:
    """Raises: CommandError."""
    from periodic_sync.stores.redis import purging

    if remains := await purging.count_keys(commands, keys):
        raise CommandError(
            f"{remains} keys came meanwhile: somebody still writes there. Stop the applications that register users, "
            "and run this again"
        )
