"""`periodic-sync users`: the users of a policy, and how each is."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

from periodic_sync.api.names import Reason
from periodic_sync.cli.errors import told
from periodic_sync.cli.options import Context, Kubeconfig, Namespace, Output, OutputFormat, PolicyName, RedisUrl
from periodic_sync.cli.output import columns, relative, show
from periodic_sync.cli.reach import Opened, Reach, Sight, known_zone, opened, sight

if TYPE_CHECKING:
    from rich.console import RenderableType

    from periodic_sync.cli.selection import Found, Selection
    from periodic_sync.client.backend import Known

WHICH = "Which"
AT_ONCE = 500


def users(
    policy: PolicyName,
    reason: Annotated[
        list[Reason] | None,
        typer.Option(
            metavar="CODE", help="With this reason code, such as BackingOff. Can be given again.", rich_help_panel=WHICH
        ),
    ] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Active, and the data is stale.", rich_help_panel=WHICH)
    ] = False,
    failing: Annotated[
        bool, typer.Option("--failing", help="Failed since they were last synced.", rich_help_panel=WHICH)
    ] = False,
    in_flight: Annotated[
        bool, typer.Option("--in-flight", help="In a batch that has not ended.", rich_help_panel=WHICH)
    ] = False,
    inactive: Annotated[
        bool, typer.Option("--inactive", help="Not seen within thresholds.active.", rich_help_panel=WHICH)
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show.")] = 50,
    cursor: Annotated[str, typer.Option(help="Go on after an earlier page. Not with a choice of users.")] = "",
    all_users: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
    wallets: Annotated[
        bool, typer.Option("--wallets", help="Show wallets too; as JSON and YAML changed tokens as well.")
    ] = False,
    output: OutputFormat = Output.TABLE,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """List users, each with its one reason code. Of several choices a user has to fit one.

    Redis has them by their last activity, ConfigMaps by their ids. To choose some of them all have to be read.
    """
    from periodic_sync.cli.selection import Selection

    chosen = Selection(frozenset(reason or ()), stale, failing, in_flight, inactive)
    if cursor and (chosen.is_some or all_users):
        raise typer.BadParameter(
            "--cursor goes with none of --all, --reason, --stale, --failing, --in-flight, --inactive"
        )
    most = None if all_users else limit
    with told("users"):
        found = asyncio.run(_users(Reach(kubeconfig, context, namespace, redis_url), policy, chosen, most, cursor))
    show(output, found.document(wallets=wallets), lambda: _table(found, wallets))


async def _users(reach: Reach, policy: str, chosen: "Selection", most: int | None, cursor: str) -> "Found":
    from periodic_sync.cli.selection import Found
    from periodic_sync.client.client import page_of
    from periodic_sync.client.errors import store_errors

    async with opened(reach, policy) as store:
        seen = await sight(store)
        found = Found(seen.policy, seen.tick(store.clock.now()))
        with known_zone(store), store_errors():
            if chosen.is_some or most is None:
                await _choose(store, seen, chosen, most, found)
            else:
                page, found.cursor = await page_of(store.backend, cursor, most)
                for known in page:
                    found.add(known)
        return found


async def _choose(store: Opened, seen: Sight, chosen: "Selection", most: int | None, found: "Found") -> None:
    from periodic_sync.cli.progress import progress_bar

    total = (seen.body.get("status") or {}).get("totalUsers")
    with progress_bar("reading", unit="users") as shown:
        read = 0
        async for known in _candidates(store, seen, chosen):
            read += 1
            if read % AT_ONCE == 0:
                shown(read, total, f"{len(found.users)} found")
            if chosen.fits(known, found.tick):
                if most is not None and len(found.users) == most:
                    found.has_more = True
                    return
                found.add(known)


async def _candidates(store: Opened, seen: Sight, chosen: "Selection") -> "AsyncIterator[Known]":
    """All users; where only those in flight are wanted, these alone."""
    if not chosen.is_in_flight_alone:
        async for known in store.backend.users():
            yield known
        return
    for user_id in sorted(seen.flight.in_flight):
        found = await store.backend.get(user_id)
        if found is not None:
            yield found


def _table(found: "Found", wallets: bool) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    table = columns(
        "user", "reason", "due", "synced", "active", "failures", *(["wallet"] if wallets else []), right=["failures"]
    )
    now = found.tick.now
    for (record, state), decision in found.users:
        due = "" if decision.due_at is None else relative(decision.due_at, now)
        failures = str(state.failures) if state and state.failures else ""
        synced = "?" if state is None else relative(state.last_synced, now)
        row = [record.user_id, decision.reason.value, due, synced, relative(record.last_active, now), failures]
        table.add_row(*row, *([record.wallet] if wallets else []))
    if not found.users:
        return Text("No such users")
    if found.cursor:
        return Group(table, Text(f"There are more: --cursor {found.cursor}, or --all", style="dim"))
    return Group(table, Text("There are more: --limit, or --all", style="dim")) if found.has_more else table
