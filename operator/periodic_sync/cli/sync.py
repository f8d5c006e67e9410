"""`periodic-sync sync`: ask for syncs by the policy's annotations, and follow them until they are over."""

import asyncio
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from periodic_sync.api.durations import SECOND, parse_duration
from periodic_sync.api.names import REQUESTED_AT_ANNOTATION, SYNC_USERS_ANNOTATION
from periodic_sync.cli.errors import FAILED, CommandError, told
from periodic_sync.cli.options import (
    Context,
    Kubeconfig,
    Namespace,
    Output,
    OutputFormat,
    PolicyName,
    RedisUrl,
    Timeout,
)
from periodic_sync.cli.output import columns, relative, show
from periodic_sync.cli.reach import Opened, Reach, opened

if TYPE_CHECKING:
    from rich.console import RenderableType

    from periodic_sync.client.backend import Known
    from periodic_sync.kube.client import Object

LOOK_EVERY_SECONDS = 0.5
MOST_NAMED = 10
MOST_FOLLOWED = 50
"""Named users who are looked at one by one while they are waited for."""
LONGEST_ANNOTATION = 200 * 1024
"""All annotations of an object may have 256 KiB."""
AT_ONCE = 100


@dataclass(slots=True)
class Asked:
    """One request. Instants in milliseconds."""

    policy: str
    token: str
    scope: str
    """`all`, `active` or `named`."""
    users: Sequence[str]
    """Of a named one."""
    at: int
    is_over: bool = False
    failed: "list[Known]" = field(default_factory=list)


def sync(
    policy: PolicyName,
    users: Annotated[list[str] | None, typer.Argument(metavar="USER", help="Ids of users.")] = None,
    active: Annotated[bool, typer.Option("--active", help="All active users, in place of some by their ids.")] = False,
    everybody: Annotated[bool, typer.Option("--all", help="All users, the inactive too.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until each was synced or failed; the exit code tells.")] = False,
    timeout: Timeout = "10m",
    output: OutputFormat = Output.TABLE,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    redis_url: RedisUrl = None,
) -> None:
    """Have users synced now: those named ahead of all others, all or the active when there is room.

    A policy has one request at a time: a newer one takes the place of one that is not over. With --wait the exit code
    is 1 where somebody failed.
    """
    if sum((bool(users), active, everybody)) != 1:
        raise typer.BadParameter("name users, or give one of --active and --all")
    scope = "all" if everybody else "active" if active else "named"
    patience = parse_duration(timeout) if wait else 0
    reach = Reach(kubeconfig, context, namespace, redis_url)
    with told("sync", stopped="stopped waiting; what was asked for goes on"):
        asked = asyncio.run(_sync(reach, policy, list(dict.fromkeys(users or ())), scope, patience))
    show(output, document(asked), lambda: _table(asked))
    if asked.failed:
        raise typer.Exit(FAILED)


def annotation(scope: str, users: Sequence[str]) -> str:
    """What the annotation says. `all` and `active` alone are scopes, so an id that reads like one gets a comma.

    Raises: CommandError where it is too long.
    """
    text = scope if scope != "named" else ",".join(users)
    if scope == "named" and text in ("all", "active"):
        text += ","
    if len(text) > LONGEST_ANNOTATION:
        raise CommandError(f"{len(users)} ids are more than an annotation holds: ask for fewer at a time, or --active")
    return text


async def _sync(reach: Reach, policy: str, users: list[str], scope: str, patience: int) -> Asked:
    """patience: milliseconds; 0: not waiting."""
    async with opened(reach, policy) as found:
        text = annotation(scope, users)
        if users:
            await _check_known(found, users)
        now = found.clock.now()
        asked = Asked(policy, _new_token(now), scope, users, now)
        before = found.body.get("status") or {}
        await _ask(found, asked, text)
        if not found.policy.spec.enabled:
            print(f"{policy} is paused: the request waits until it is enabled", file=sys.stderr)
        if patience:
            await _follow(found, asked, before, patience)
            asked.is_over = True
            asked.failed = await _failed(found, asked, before)
        return asked


def _new_token(now: int) -> str:
    from periodic_sync.server.shown import instant

    return f"{instant(now)}-{secrets.token_hex(2)}"


async def _check_known(found: Opened, users: Sequence[str]) -> None:
    """Raises: CommandError that names those who are not registered, InvalidUserError."""
    from periodic_sync.client.errors import store_errors
    from periodic_sync.client.values import user_ids_of

    wanted = user_ids_of(users)
    with store_errors():
        known = {each.record.user_id for each in await _of(found, wanted)}
    unknown = [user_id for user_id in wanted if user_id not in known]
    if unknown:
        some, more = ", ".join(unknown[:MOST_NAMED]), len(unknown) - MOST_NAMED
        raise CommandError(
            f"not registered, or not readable: {some}{f' and {more} more' if more > 0 else ''}. "
            "Nothing was asked for: correct these ids, or register them first"
        )


async def _of(found: Opened, users: Sequence[str]) -> "list[Known]":
    """Those of them that are registered."""
    if found.redis is None and len(users) > 1:
        wanted = frozenset(users)
        return [known async for known in found.backend.users() if known.record.user_id in wanted]
    known: list[Known] = []
    for start in range(0, len(users), AT_ONCE):
        answers = await asyncio.gather(*map(found.backend.get, users[start : start + AT_ONCE]))
        known += [answer for answer in answers if answer is not None]
    return known


async def _ask(found: Opened, asked: Asked, text: str) -> None:
    from periodic_sync.kube.resources import SYNC_POLICIES

    annotations = {SYNC_USERS_ANNOTATION: text, REQUESTED_AT_ANNOTATION: asked.token}
    body = {"metadata": {"uid": found.policy.uid, "annotations": annotations}}
    await found.session.client.merge(SYNC_POLICIES, found.policy.namespace, asked.policy, body)


async def _follow(found: Opened, asked: Asked, before: "Object", patience: int) -> None:
    """Until it is over. Raises: CommandError where it is not in time, or a newer request took its place."""
    from periodic_sync.cli.progress import progress_bar

    status: Object = {}
    try:
        async with asyncio.timeout(patience / SECOND):
            with progress_bar("syncing", unit="users") as shown:
                while status.get("lastCompletedRequest") != asked.token:
                    body = await found.session.policy(asked.policy)
                    status = body.get("status") or {}
                    _check_still_ours(body, asked)
                    shown(*await _progress(found, asked, before, status))
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
    except TimeoutError:
        taken = status.get("lastHandledRequest") == asked.token
        why = "not everybody was synced yet" if taken else "the operator has not taken it up yet: is it running?"
        raise CommandError(
            f"request {asked.token} is not over, and goes on: {why} "
            f"`periodic-sync status {asked.policy} -n {found.policy.namespace}` shows more"
        ) from None


def _check_still_ours(body: "Object", asked: Asked) -> None:
    """Raises: CommandError."""
    current = (body["metadata"].get("annotations") or {}).get(REQUESTED_AT_ANNOTATION)
    is_over = (body.get("status") or {}).get("lastCompletedRequest") == asked.token
    if current != asked.token and not is_over:
        raise CommandError(
            f"request {asked.token} was replaced by a newer one, {current}: it is over, and not everybody was synced"
            if current
            else f"request {asked.token} was taken back, since its annotation is gone: not everybody was synced"
        )


async def _progress(found: Opened, asked: Asked, before: "Object", status: "Object") -> tuple[int, int | None, str]:
    """Of a few named users exactly; else by the policy's totals, in which other users' syncs are too."""
    synced, failed = (status.get(f"users{word}", 0) - before.get(f"users{word}", 0) for word in ("Synced", "Failed"))
    word = f"{synced} synced, {failed} failed"
    if asked.scope != "named":
        total = status.get("activeUsers" if asked.scope == "active" else "totalUsers")
        return min(synced + failed, total or 0), total, word
    total = len(asked.users)
    if total > MOST_FOLLOWED:
        return min(synced + failed, total), total, word
    claim = await _claim(found, asked)
    answered = [] if claim is None else [it for it in await _of(found, asked.users) if _is_answered(it, claim)]
    return len(answered), total, word


def _is_answered(known: "Known", claim: int) -> bool:
    return known.state is not None and known.state.last_outcome > claim


async def _failed(found: Opened, asked: Asked, before: "Object") -> "list[Known]":
    """Whose last outcome since the request is a failure."""
    from periodic_sync.client.errors import store_errors

    status = (await found.session.policy(asked.policy)).get("status") or {}
    claim = await _claim(found, asked)
    if claim is None or status.get("usersFailed", 0) == before.get("usersFailed", 0):
        return []
    with store_errors():
        if asked.scope == "named":
            known = await _of(found, asked.users)
        else:
            known = [each async for each in found.backend.users()]
    return [it for it in known if _is_answered(it, claim) and it.state and (it.state.failures or it.state.unexplained)]


async def _claim(found: Opened, asked: Asked) -> int | None:
    """A later claim answers the request; None: the operator has not taken it, or has a newer one by now."""
    from periodic_sync.core.objects import PolicyRef, ledger_name, metadata
    from periodic_sync.kube.ledgers import Ledgers, LedgerUnreadableError

    policy = PolicyRef(found.policy.namespace, found.policy.name, found.policy.uid)
    try:
        version = await Ledgers(found.session.client, metadata(policy, ledger_name(policy.name, policy.uid))).read()
    except LedgerUnreadableError:
        return None
    request = version.ledger.request if version else None
    return request.claim if request is not None and request.token == asked.token else None


def document(asked: Asked) -> dict[str, Any]:
    """For programs."""
    from periodic_sync.server.shown import instant

    return {
        "policy": asked.policy,
        "token": asked.token,
        "scope": asked.scope,
        "users": list(asked.users),
        "requestedAt": instant(asked.at),
        "completed": asked.is_over,
        "failed": [
            {
                "userId": record.user_id,
                "failures": state.failures if state else 0,
                "unexplained": state.unexplained if state else 0,
                "failedAt": instant(state.failed_at) if state and state.failed_at else None,
            }
            for record, state in asked.failed
        ],
    }


def _table(asked: Asked) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    count = len(asked.users)
    whom = f"{asked.scope} users" if asked.scope != "named" else f"{count} user{'' if count == 1 else 's'}"
    if not asked.is_over:
        return Text(f"asked to sync {whom}, as request {asked.token}: --wait follows it to its end")
    if not asked.failed:
        return Text(f"{whom} synced")
    table = columns("failed", "failures", "since", right=["failures"])
    for record, state in asked.failed:
        at = state.failed_at if state and state.failed_at else None
        table.add_row(record.user_id, str(state.failures if state else ""), "" if at is None else relative(at, _now()))
    return Group(Text(f"{whom} tried, {len(asked.failed)} failed"), table)


def _now() -> int:
    from periodic_sync.client.backend import SystemClock

    return SystemClock().now()
