"""`periodic-sync why`: why a user is, or is not, synced now."""

import asyncio
from typing import TYPE_CHECKING

from periodic_sync.cli.errors import told
from periodic_sync.cli.options import (
    Context,
    Kubeconfig,
    Namespace,
    Output,
    OutputFormat,
    PolicyName,
    RedisUrl,
    UserName,
)
from periodic_sync.cli.output import printable, relative, show
from periodic_sync.cli.reach import Reach, known_zone, opened, sight

if TYPE_CHECKING:
    from rich.table import Table

    from periodic_sync.inspection.why import Why


def why(
    policy: PolicyName,
    user: UserName,
    output: OutputFormat = Output.TABLE,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Tell why a user is, or is not, synced now, and when it is due next.

    It is judged by the operator's own rules, from the policy, its ledger and its store as they are at this moment.
    """
    with told("why"):
        judged = asyncio.run(_why(Reach(kubeconfig, context, namespace, redis_url), policy, user))
    from periodic_sync.server.shown import shown_why

    document = shown_why(user, judged).model_dump(mode="json", by_alias=True)
    show(output, document, lambda: _table(user, judged))


async def _why(reach: Reach, policy: str, user: str) -> "Why":
    from periodic_sync.client import StoreUnavailableError
    from periodic_sync.inspection.why import judge, without_store

    async with opened(reach, policy) as found:
        seen = await sight(found)
        now = found.clock.now
        try:
            known = await found.known(user)
        except StoreUnavailableError as error:
            return without_store(seen.policy, str(error), now())
        with known_zone(found):
            return judge(seen.policy, seen.body, seen.flight, known, now())


def _table(user: str, judged: "Why") -> "Table":
    from rich.table import Table

    decision, now = judged.decision, judged.as_of
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("User", user)
    table.add_row("Reason", decision.reason.value)
    table.add_row("", printable(judged.message))
    if decision.held_from is not None:
        table.add_row("Held from", decision.held_from.value)
    if decision.priority is not None:
        table.add_row("Priority", decision.priority.value.capitalize())
    for name, at in (("Due", decision.due_at), ("Until", decision.until)):
        if at is not None:
            table.add_row(name, f"{relative(at, now)} ({_instant(at)})")
    return table


def _instant(at: int) -> str:
    from periodic_sync.server.shown import instant

    return instant(at)
