"""`periodic-sync pause` and `resume`: `spec.enabled` of a policy, until the operator has acknowledged it."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from periodic_sync.api.durations import SECOND, parse_duration
from periodic_sync.cli.errors import CommandError, told
from periodic_sync.cli.options import Context, Kubeconfig, Namespace, PolicyName, Timeout
from periodic_sync.cli.reach import Reach
from periodic_sync.cli.session import Session, session

if TYPE_CHECKING:
    from periodic_sync.kube.client import Object

LOOK_EVERY_SECONDS = 0.2

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Until the operator has acknowledged it.")]


def pause(
    policy: PolicyName,
    namespace: Namespace = None,
    wait: Wait = True,
    timeout: Timeout = "30s",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Pause a policy, which is how to roll back: no further batch starts, and those that run are finished."""
    with told("pause"):
        patience = parse_duration(timeout) if wait else 0
        body = asyncio.run(_pause_or_resume(Reach(kubeconfig, context, namespace), policy, False, patience))
        running = (body.get("status") or {}).get("activeJobs") or 0
    print(f"{policy} is paused" + (f"; Jobs that still run: {running}" if wait and running else ""))


def resume(
    policy: PolicyName,
    namespace: Namespace = None,
    wait: Wait = True,
    timeout: Timeout = "30s",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Let a paused policy go on: whoever is due by now is synced once."""
    with told("resume"):
        patience = parse_duration(timeout) if wait else 0
        asyncio.run(_pause_or_resume(Reach(kubeconfig, context, namespace), policy, True, patience))
    print(f"{policy} is enabled")


async def _pause_or_resume(reach: Reach, name: str, enabled: bool, patience: int) -> "Object":
    """patience: milliseconds; 0: not waiting. Returns: the policy as it was last seen."""
    async with session(reach.kubeconfig, reach.context, reach.namespace) as opened:
        from periodic_sync.kube.resources import SYNC_POLICIES

        await opened.policy(name)  # for the better sentence where there is none
        body = await opened.client.merge(SYNC_POLICIES, opened.namespace, name, {"spec": {"enabled": enabled}})
        return await _acknowledged(opened, body, enabled, patience) if patience else body


async def _acknowledged(opened: Session, body: "Object", enabled: bool, patience: int) -> "Object":
    """Raises: CommandError where the operator says nothing in time."""
    metadata = body["metadata"]
    try:
        async with asyncio.timeout(patience / SECOND):
            while not _says(body, enabled, metadata["generation"]):
                await asyncio.sleep(LOOK_EVERY_SECONDS)
                body = await opened.policy(metadata["name"])
    except TimeoutError:
        raise CommandError(
            f"spec.enabled is {str(enabled).lower()} now, and the operator has not acknowledged it yet: is it running? "
            "`periodic-sync check` looks at that"
        ) from None
    return body


def _says(body: "Object", enabled: bool, generation: int) -> bool:
    status = body.get("status") or {}
    return status.get("enabled") is enabled and status.get("observedGeneration", 0) >= generation
