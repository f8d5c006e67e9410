"""`periodic-sync simulate`: a policy played in virtual time, before it is deployed or changed."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from periodic_sync.api.durations import HOUR, parse_duration
from periodic_sync.cli import completing
from periodic_sync.cli.errors import CommandError, told
from periodic_sync.cli.options import (
    Context,
    Kubeconfig,
    Namespace,
    Output,
    OutputFormat,
    RedisUrl,
    checked_duration,
    checked_instant,
)
from periodic_sync.cli.output import show
from periodic_sync.cli.reach import Reach

if TYPE_CHECKING:
    from periodic_sync.api.spec import SyncPolicySpec
    from periodic_sync.cli.variants import Body
    from periodic_sync.core.plan import User
    from periodic_sync.simulation.assumptions import Assumptions
    from periodic_sync.simulation.people import People
    from periodic_sync.simulation.simulate import Simulation

WHAT, USERS, ASSUMED = "What is played", "With which users", "What is assumed"
"""Panels of help."""
MANY_SYNCS = 1_000_000
"""So many and more take long enough to say so first."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Users that nobody has yet."""

    count: int
    active: int
    """Of these on any day."""


@dataclass(frozen=True, slots=True)
class Played:
    """start: milliseconds."""

    start: int
    hours: int
    assumptions: "Assumptions"


Chosen = Annotated[
    str | None,
    typer.Argument(
        metavar="POLICY", help="Of the cluster, with its users; or one in FILE.", autocompletion=completing.policies
    ),
]
File = Annotated[
    str | None,
    typer.Option("--file", "-f", metavar="FILE", help="A SyncPolicy in YAML; takes no cluster.", rich_help_panel=WHAT),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Beside it the same with this changed: spec.batchSize=20. Can be given again.",
        rich_help_panel=WHAT,
    ),
]
Compare = Annotated[
    str | None, typer.Option(metavar="FILE", help="Beside it the SyncPolicy of this file.", rich_help_panel=WHAT)
]
Hours = Annotated[int, typer.Option(min=1, max=24 * 31, help="How long.", rich_help_panel=WHAT)]
Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        callback=checked_instant,
        metavar="TIME",
        help="RFC 3339. By default the hour that has begun.",
        rich_help_panel=WHAT,
    ),
]
Users = Annotated[int | None, typer.Option(min=1, max=1_000_000, help="So many, made up.", rich_help_panel=USERS)]
Active = Annotated[
    int | None, typer.Option(min=0, help="So many of them come on any day. By default all.", rich_help_panel=USERS)
]
Sync = Annotated[
    str, typer.Option(callback=checked_duration, help="One user's sync takes so long.", rich_help_panel=ASSUMED)
]
PodStart = Annotated[
    str, typer.Option(callback=checked_duration, help="A pod's start and end.", rich_help_panel=ASSUMED)
]
Failing = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="The share of syncs that fail.", rich_help_panel=ASSUMED)
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Of a worker of one's own, in a pod.", rich_help_panel=ASSUMED)
]


def simulate(
    policy: Chosen = None,
    file: File = None,
    changes: Changes = None,
    compare: Compare = None,
    hours: Hours = 24,
    start: Start = None,
    users: Users = None,
    active: Active = None,
    sync: Sync = "1s",
    pod_start: PodStart = "4s",
    failing: Failing = 0.0,
    concurrency: Concurrency = None,
    output: OutputFormat = Output.TABLE,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Play a policy in virtual time: syncs an hour, with the Jobs, pods and writes to the API server that they take.

    It is the operator's own scheduling. With -f and --users it takes no cluster, so that intervals and batch size can
    be chosen before anything is deployed.
    """
    if file is None and policy is None:
        raise typer.BadParameter("name a POLICY, or give one in a file with -f FILE")
    if file is not None and users is None:
        raise typer.BadParameter("a policy in a file has no users: say for how many, with --users")
    if active is not None and (users is None or active > users):
        raise typer.BadParameter("--active is how many of --users come on a day")
    crowd = None if users is None else Crowd(users, users if active is None else active)
    reach = Reach(kubeconfig, context, namespace, redis_url)
    with told("simulate"):
        from periodic_sync.simulation.assumptions import Assumptions

        assumed = Assumptions(
            sync=parse_duration(sync), pod_start=parse_duration(pod_start), failing=failing, concurrency=concurrency
        )
        body, known = _read(file, policy) if file else asyncio.run(_fetch(reach, policy or "", crowd is None))
        specs = _variants(body, changes or [], compare)
        _tell_length([spec for _, spec in specs], hours, crowd.active if crowd else len(known))
        played = [_play(name, spec, Played(_start(start), hours, assumed), crowd, known) for name, spec in specs]
    from periodic_sync.cli.simulated import document, table

    names = [name for name, _ in specs]
    show(output, document(names, played), lambda: table(names, played))


def _tell_length(specs: "list[SyncPolicySpec]", hours: int, active: int) -> None:
    """Intervals of seconds, as one has them to try things, make a day as much work as months of others."""
    from periodic_sync.cli.progress import console
    from periodic_sync.simulation.simulate import most_syncs

    most = sum(most_syncs(spec, users=active, hours=hours) for spec in specs)
    if most >= MANY_SYNCS:
        words = f"up to {most / 1e6:.1f} million syncs are played, some seconds for each hundred thousand"
        console().print(
            f"periodic-sync simulate: {words}; --hours and --users make it less", highlight=False, soft_wrap=True
        )


def _start(given: str | None) -> int:
    from periodic_sync.client.backend import SystemClock
    from periodic_sync.stores.instants import parse_instant

    return SystemClock().now() // HOUR * HOUR if given is None else parse_instant(given)


def _read(file: str, policy: str | None) -> "tuple[Body, list[User]]":
    from periodic_sync.cli.variants import from_file

    return from_file(file, policy), []


async def _fetch(reach: Reach, policy: str, with_users: bool) -> "tuple[Body, list[User]]":
    """A policy of the cluster, and its users where they are wanted."""
    from periodic_sync.cli.progress import progress_bar
    from periodic_sync.cli.reach import opened
    from periodic_sync.cli.session import session
    from periodic_sync.client.errors import store_errors
    from periodic_sync.core.users import NEVER_SYNCED

    if not with_users:
        async with session(reach.kubeconfig, reach.context, reach.namespace) as entered:
            return await entered.policy(policy), []
    async with opened(reach, policy) as found:
        total = (found.body.get("status") or {}).get("totalUsers")
        known: dict[str, User] = {}
        with store_errors(), progress_bar("reading", unit="users") as shown:
            async for record, state in found.backend.users():
                known[record.user_id] = (record, state or NEVER_SYNCED)
                shown(len(known), total, "")
        return found.body, list(known.values())


def _variants(body: "Body", changes: list[str], compare: str | None) -> "list[tuple[str, SyncPolicySpec]]":
    """By what they are called."""
    from periodic_sync.cli.variants import changed, from_file, spec_of

    specs = [("as it is", spec_of(body, "The policy"))]
    if changes:
        specs.append(("changed", spec_of(changed(body, changes), "The policy with --set")))
    if compare is not None:
        specs.append((compare, spec_of(from_file(compare, None), f"The policy of {compare}")))
    return specs


def _play(name: str, spec: "SyncPolicySpec", played: Played, crowd: Crowd | None, known: "list[User]") -> "Simulation":
    from periodic_sync.cli.progress import progress_bar
    from periodic_sync.core.calendar import UnknownTimeZoneError
    from periodic_sync.simulation.simulate import Inputs
    from periodic_sync.simulation.simulate import simulate as play

    inputs = Inputs(spec, _people(spec, played, crowd, known), played.start, played.hours, played.assumptions)
    with progress_bar(name, unit="hours") as shown:
        shown(0, played.hours, "")
        try:
            return play(inputs, lambda hours: shown(hours, played.hours, ""))
        except UnknownTimeZoneError as error:
            raise CommandError(f"spec.marketHours.timeZone: {error}") from None


def _people(spec: "SyncPolicySpec", played: Played, crowd: Crowd | None, known: "list[User]") -> "People":
    from periodic_sync.simulation.people import as_before, made_up

    if crowd is None:
        return as_before(known, start=played.start, hours=played.hours, threshold=spec.thresholds.active)
    return made_up(crowd.count, share=crowd.active / crowd.count, start=played.start, hours=played.hours)
