"""`periodic-sync register`, `activity` and `remove`: users of a policy, one or a few at a time."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from periodic_sync.cli.errors import FAILED, CommandError, told
from periodic_sync.cli.options import Context, Kubeconfig, Namespace, PolicyName, RedisUrl, UserIds, UserName
from periodic_sync.cli.reach import Reach, opened

if TYPE_CHECKING:
    from periodic_sync.client import Removal

At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="RFC 3339; by default now.")]


def register(
    policy: PolicyName,
    user: UserName,
    wallet: Annotated[
        str | None,
        typer.Option(
            help="The wallet. Others on this machine can see it while the command runs, and the shell keeps it."
        ),
    ] = None,
    wallet_stdin: Annotated[
        bool, typer.Option("--wallet-stdin", help="Read the wallet from standard input, where nobody else sees it.")
    ] = False,
    interval: Annotated[
        str | None, typer.Option(metavar="DURATION", help="The user's own interval, such as 2m. Not given: taken away.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Of the user's own market hours. Not given: taken away.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Add a user, or update one; it counts as active from now on."""
    if (wallet is None) is not wallet_stdin:
        raise typer.BadParameter("give the wallet by one of --wallet-stdin and --wallet")
    reach = Reach(kubeconfig, context, namespace, redis_url)

    async def work(wallet: str) -> None:
        async with opened(reach, policy) as found:
            await found.client.register(user, wallet, interval=interval, time_zone=time_zone)

    with told("register"):
        asyncio.run(work(_typed_wallet() if wallet is None else wallet))
    print(f"{user} is registered")


def _typed_wallet() -> str:
    """Raises: CommandError."""
    if sys.stdin.isatty():
        return str(typer.prompt("Wallet", hide_input=True, err=True))
    wallet = sys.stdin.readline().strip()
    if not wallet:
        raise CommandError("no wallet came on standard input: write it there as one line")
    return wallet


def activity(
    policy: PolicyName,
    users: UserIds,
    at: At = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Say that users were active, now or then; for a user who is not registered the exit code is 1."""
    reach = Reach(kubeconfig, context, namespace, redis_url)

    async def work() -> frozenset[str]:
        async with opened(reach, policy) as found:
            return await found.client.record_activities(dict.fromkeys(users, at))

    with told("activity"):
        unknown = asyncio.run(work())
    known = len(dict.fromkeys(users)) - len(unknown)
    print(f"activity of {known} user{'' if known == 1 else 's'} is recorded")
    _tell_unknown("activity", unknown)


def remove(
    policy: PolicyName,
    users: UserIds,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask first.")] = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Erase users; for one who is not registered the exit code is 1."""
    reach = Reach(kubeconfig, context, namespace, redis_url)

    async def work() -> "Removal":
        async with opened(reach, policy) as found:
            return await found.client.remove(users)

    count = len(dict.fromkeys(users))
    with told("remove"):
        if not yes:
            _confirm(f"Erase {count} user{'' if count == 1 else 's'} of {policy}?")
        removal = asyncio.run(work())
    print(f"{len(removal.removed)} removed")
    if removal.remains:
        print(removal.remains, file=sys.stderr)
    _tell_unknown("remove", frozenset(users) - removal.removed)


def _confirm(question: str) -> None:
    """Raises: CommandError where the answer is no, or nobody is there to give one."""
    if not sys.stdin.isatty():
        raise CommandError("nobody is there to be asked whether that is meant: give --yes")
    if not typer.confirm(question, err=True):
        raise CommandError("nothing was erased")


def _tell_unknown(command: str, unknown: frozenset[str]) -> None:
    if unknown:
        print(f"periodic-sync {command}: not registered: {', '.join(sorted(unknown))}", file=sys.stderr)
        raise typer.Exit(FAILED)
