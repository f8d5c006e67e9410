"""`periodic-sync status`: policies, what waits and what runs of them, as a tree."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from periodic_sync.cli import completing
from periodic_sync.cli.errors import CommandError, explained, told
from periodic_sync.cli.options import Context, Kubeconfig, Namespace, Output, OutputFormat, RedisUrl
from periodic_sync.cli.output import show, standard_output
from periodic_sync.cli.reach import Opened, Reach, flight_of, sight, store_of
from periodic_sync.cli.session import Session, session

if TYPE_CHECKING:
    from periodic_sync.cli.overview import Overview
    from periodic_sync.core.tick import Tick
    from periodic_sync.inspection.waiting import Waiting
    from periodic_sync.kube.client import Object

REFRESH_SECONDS = 2.0
STORE_SECONDS = 10.0
"""A store that takes longer to answer is told as one that does not."""
MOST_LOOKED_AT = 200
"""Of the users in Redis who are due: the first are enough to tell who waits longest."""


def status(
    policy: Annotated[
        str | None,
        typer.Argument(metavar="POLICY", help="By default all of the namespace.", autocompletion=completing.policies),
    ] = None,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="The policies of all of them.")
    ] = False,
    users: Annotated[
        bool, typer.Option("--users/--no-users", help="Read the users too: who waits, and how far it is behind.")
    ] = True,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it until it is stopped.")] = False,
    output: OutputFormat = Output.TABLE,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Show policies as a tree: how each is, who waits by priority, and the Jobs that run.

    Behind: how long ago the one of those who wait came due that came due first. Users who were never synced are not in
    it, since nobody can tell from when on they were due.
    """
    if policy and all_namespaces:
        raise typer.BadParameter("give either POLICY or --all-namespaces")
    if watch and (output is not Output.TABLE or not standard_output().is_terminal):
        raise typer.BadParameter("--watch takes a terminal: leave it out here")
    reach = Reach(kubeconfig, context, namespace, redis_url)
    with told("status"):
        if watch:
            asyncio.run(_watch(reach, policy, all_namespaces, users))
        else:
            asyncio.run(_print(reach, policy, all_namespaces, users, output))


async def _print(reach: Reach, policy: str | None, everywhere: bool, users: bool, output: Output) -> None:
    from periodic_sync.cli.overview import document, tree

    async with session(reach.kubeconfig, reach.context, reach.namespace) as entered:
        found = await _look(entered, policy, everywhere, users, reach.redis_url)
    documents: Any = [document(each) for each in found]
    show(output, documents[0] if policy else {"policies": documents}, lambda: tree(found, entered.namespace))


async def _watch(reach: Reach, policy: str | None, everywhere: bool, users: bool) -> None:
    from rich.live import Live

    from periodic_sync.cli.overview import tree

    async with session(reach.kubeconfig, reach.context, reach.namespace) as entered:
        with Live(console=standard_output(), auto_refresh=False, screen=True, vertical_overflow="crop") as live:
            while True:
                found = await _look(entered, policy, everywhere, users, reach.redis_url)
                live.update(tree(found, entered.namespace), refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)


async def _look(
    entered: Session, policy: str | None, everywhere: bool, users: bool, redis_url: str | None
) -> "list[Overview]":
    from periodic_sync.kube.parallel import results

    bodies = [await entered.policy(policy)] if policy else await entered.policies(everywhere=everywhere)
    bodies.sort(key=lambda body: (body["metadata"]["namespace"], body["metadata"]["name"]))
    return await results(_look_at(entered, body, users, redis_url) for body in bodies)


async def _look_at(entered: Session, body: "Object", users: bool, redis_url: str | None) -> "Overview":
    """Whatever can't be looked at is told in a note, and hides nothing else."""
    from periodic_sync.api.errors import ApiError
    from periodic_sync.cli.overview import Overview, troubles_of
    from periodic_sync.client.backend import SystemClock
    from periodic_sync.core.views import job_view, pod_view
    from periodic_sync.kube.policy_objects import PolicyObjects

    about, now = body["metadata"], SystemClock().now
    seen = Overview(body, now())
    try:
        await _look_at_users(entered, body, redis_url, seen, users=users)
    except _untellable() as error:
        seen.notes.append(f"who waits is not known: {explained(error)}")
    try:
        if seen.ledger.jobs:
            objects = PolicyObjects(entered.client, about["namespace"], about["name"], about["uid"])
            jobs, pods = (await objects.jobs()).own, await objects.pods()
            seen.troubles = troubles_of(map(job_view, jobs), map(pod_view, pods))
    except ApiError as error:
        seen.notes.append(f"how Jobs and pods are is not known: {explained(error)}")
    seen.now = now()
    return seen


async def _look_at_users(
    entered: Session, body: "Object", redis_url: str | None, seen: "Overview", *, users: bool
) -> None:
    from periodic_sync.api.names import Condition

    flight = await flight_of(entered, body)
    seen.ledger = flight.ledger
    if flight.doubt:
        seen.notes.append(flight.doubt)
    if users and seen.is_enabled and seen.condition(Condition.STORE_READY).get("status") != "False":
        try:
            async with asyncio.timeout(STORE_SECONDS), store_of(entered, body, redis_url) as found:
                again = await sight(found, flight)
                seen.body = again.body
                seen.waiting = await _waiting(found, again.tick(seen.now))
        except TimeoutError:
            raise CommandError(f"the store gave no answer within {STORE_SECONDS:.0f} s") from None


async def _waiting(found: Opened, tick: "Tick") -> "Waiting":
    """On Redis by its indexes, however many users there are; else of all."""
    from periodic_sync.core.users import NEVER_SYNCED
    from periodic_sync.inspection.waiting import Waiting, of_population
    from periodic_sync.stores.redis.peek import peek

    if found.redis is not None:
        peeked = await peek(found.redis.commands, found.redis.keys, tick, most=MOST_LOOKED_AT)
        if peeked is not None:
            return of_population(peeked, tick)
    waiting = Waiting()
    async for record, state in found.backend.users():
        waiting.note(record, state or NEVER_SYNCED, tick)
    return waiting


def _untellable() -> tuple[type[Exception], ...]:
    from periodic_sync.api.errors import ApiError
    from periodic_sync.client import StoreUnavailableError
    from periodic_sync.core.calendar import UnknownTimeZoneError
    from periodic_sync.stores.base import StoreNotReady

    return ApiError, StoreUnavailableError, StoreNotReady, UnknownTimeZoneError, CommandError
