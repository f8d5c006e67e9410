"""`periodic-sync plan`: what the operator would schedule now, or at another instant."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from periodic_sync.api.wallets import shown_id
from periodic_sync.cli.errors import told
from periodic_sync.cli.options import (
    Context,
    Kubeconfig,
    Namespace,
    Output,
    OutputFormat,
    PolicyName,
    RedisUrl,
    checked_instant,
)
from periodic_sync.cli.output import columns, printable, relative, show
from periodic_sync.cli.reach import Reach, known_zone, opened, sight

if TYPE_CHECKING:
    from rich.console import RenderableType

    from periodic_sync.core.batches import PlannedJob
    from periodic_sync.core.plan import Plan

AT_ONCE = 500
MOST_JOBS = 20


def plan(
    policy: PolicyName,
    at: Annotated[
        str | None,
        typer.Option(callback=checked_instant, metavar="TIME", help="At this instant, RFC 3339. By default now."),
    ] = None,
    enabled: Annotated[bool, typer.Option("--enabled", help="As if a paused policy were enabled.")] = False,
    output: OutputFormat = Output.TABLE,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Show what the operator would schedule now, or at another instant with the users as they are now.

    At a later instant the batches that run now have ended, and synced all of their users. All users are read, and
    nothing is written.
    """
    from periodic_sync.stores.instants import parse_instant

    instant = None if at is None else parse_instant(at)
    with told("plan"):
        made, note = asyncio.run(_plan(Reach(kubeconfig, context, namespace, redis_url), policy, instant, enabled))
    show(output, document(made, note), lambda: _table(made, note))


async def _plan(reach: Reach, policy: str, at: int | None, enabled: bool) -> "tuple[Plan, str]":
    """Returns: why nothing is claimed, where that is so, too."""
    from periodic_sync.cli.progress import progress_bar
    from periodic_sync.client.errors import store_errors
    from periodic_sync.inspection.foresight import Foresight

    async with opened(reach, policy) as found:
        seen = await sight(found)
        if enabled:
            seen = replace(
                seen, policy=replace(seen.policy, spec=seen.policy.spec.model_copy(update={"enabled": True}))
            )
        total = (seen.body.get("status") or {}).get("totalUsers")
        with known_zone(found):
            foresight = Foresight(seen.tick(found.clock.now()), at)
            with store_errors(), progress_bar("reading", unit="users") as shown:
                read = 0
                async for known in found.backend.users():
                    foresight.add(known)
                    read += 1
                    if read % AT_ONCE == 0:
                        shown(read, total, "")
            made = foresight.plan()
    if not seen.policy.spec.enabled:
        return made, "The policy is paused, so nothing is scheduled: --enabled shows what would be"
    return made, seen.trouble or seen.flight.doubt


def document(made: "Plan", note: str) -> dict[str, Any]:
    """For programs."""
    from periodic_sync.api.durations import format_duration
    from periodic_sync.server.shown import instant

    counters, held = made.counters, made.hold
    return {
        "at": instant(made.tick.now),
        "note": note,
        "isMarketHours": made.is_market_open,
        "interval": format_duration(made.interval),
        "jobs": [_job(job) for job in made.jobs],
        "claimedUsers": counters.claimed,
        "totalUsers": counters.total,
        "activeUsers": counters.active,
        "staleUsers": counters.stale,
        "dueUsers": counters.due,
        "inFlightUsers": counters.in_flight,
        "byReason": {reason.value: count for reason, count in counters.by_reason.items() if count},
        "held": held and {"reason": held.reason.value, "until": None if held.until is None else instant(held.until)},
        "unknownUsers": sorted(map(shown_id, made.unknown_users)),  # anything may stand in an annotation
        "nextDue": None if made.next_due is None else instant(made.next_due),
        "nextChange": None if made.wake_at is None else instant(made.wake_at),
    }


def _job(job: "PlannedJob") -> dict[str, Any]:
    return {
        "priority": job.priority.value,
        "probe": job.probe,
        "batches": [
            {"priority": batch.priority.value, "users": [user.record.user_id for user in batch.users]}
            for batch in job.batches
        ],
    }


def _table(made: "Plan", note: str) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from periodic_sync.api.durations import format_duration
    from periodic_sync.server.shown import instant

    counters, now = made.counters, made.tick.now
    market = "open" if made.is_market_open else "closed"
    parts: list[Any] = [
        Text(f"At {instant(now)}, market {market}, interval {format_duration(made.interval)}", style="bold"),
        Text(
            f"{counters.total} users: {counters.active} active, {counters.stale} stale, {counters.due} due, "
            f"{counters.in_flight} in flight"
        ),
    ]
    if note:
        parts.append(Text(printable(note), style="yellow"))
    parts += [Text(), *_jobs(made), Text(), _reasons(made)]
    if made.hold is not None:
        until = f" until {instant(made.hold.until)}" if made.hold.until is not None else ""
        parts.append(Text(f"Who is due and not claimed waits{until}: {made.hold.reason.value}"))
    if made.next_due is not None:
        parts.append(Text(f"Next due {relative(made.next_due, now)}, at {instant(made.next_due)}"))
    return Group(*parts)


def _jobs(made: "Plan") -> "list[RenderableType]":
    from rich.text import Text

    if not made.jobs:
        return [Text("No Jobs")]
    table = columns(
        "job", "batches", "high", "medium", "low", "users", right=["batches", "high", "medium", "low", "users"]
    )
    for number, job in enumerate(made.jobs[:MOST_JOBS], 1):
        by_priority = [sum(batch.priority.value == name for batch in job.batches) for name in ("high", "medium", "low")]
        shown = [str(count or "") for count in by_priority]
        name = f"{number} (probe)" if job.probe else str(number)
        table.add_row(name, str(len(job.batches)), *shown, str(sum(len(batch.users) for batch in job.batches)))
    more = len(made.jobs) - MOST_JOBS
    users, batches = made.counters.claimed, sum(len(job.batches) for job in made.jobs)
    total = f"{len(made.jobs)} Jobs with {batches} batches and {users} users"
    return [table, Text(f"and {more} more; {total} in all" if more > 0 else f"{total} in all")]


def _reasons(made: "Plan") -> "RenderableType":
    table = columns("reason", "users", right=["users"])
    for reason, count in made.counters.by_reason.items():
        if count:
            table.add_row(reason.value, str(count))
    return table
