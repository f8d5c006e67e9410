"""All checks, one after the other: what can't be reached keeps only what needs it from being looked at."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from periodic_sync.api.errors import ApiError, NotFoundError
from periodic_sync.api.policy import InvalidPolicyError, SyncPolicy
from periodic_sync.cli.check import cluster, conditions, operators, references, rights, room, users
from periodic_sync.cli.check.lines import Line, Mark, failed, ok, tried, unseen, warning
from periodic_sync.cli.errors import CommandError
from periodic_sync.cli.reach import Reach
from periodic_sync.cli.session import Session, session
from periodic_sync.core.calendar import UnknownTimeZoneError, find_zone
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.resources import LEASES, SYNC_POLICIES


async def check_all(reach: Reach, policy: str | None, operator_namespace: str) -> AsyncIterator[Line]:
    """policy: None for the conditions of all in the namespace."""
    try:
        async with session(reach.kubeconfig, reach.context, reach.namespace) as opened:
            async for line in _checked(opened, reach, policy, operator_namespace):
                yield line
    except (CommandError, OSError) as error:
        yield failed("kubeconfig", str(error))


async def _checked(opened: Session, reach: Reach, policy: str | None, operator_namespace: str) -> AsyncIterator[Line]:
    server = await tried(cluster.look_at_server(opened.client))
    if isinstance(server, ApiError):
        yield failed("API server", str(server), "see the kubeconfig's server and credentials, and the way there")
        return
    yield ok("API server", f"it answers; policies are looked for in namespace {opened.namespace}")
    yield cluster.judge_version(server.version)
    yield cluster.judge_clock("clock", server.ahead, "the API server")
    definition = await cluster.look_at_definition(opened.client)
    for line in definition:
        yield line
    missing = any(line.mark is Mark.FAILED for line in definition)
    body = None if missing or policy is None else await tried(_get(opened, policy))
    found = await operators.find_operators(opened.client, operator_namespace)
    serving = _serving(found, opened.namespace)
    async for line in _operator(opened, found, serving, operator_namespace, server.ahead or 0.0, body):
        yield line
    yield await rights.look_at_own_rights(opened.client, opened.namespace)
    if missing:
        return
    if policy is None:
        for line in await _policies(opened):
            yield line
    elif body is not None:
        async for line in _policy(opened, reach, policy, body, serving[0].worker_image if serving else ""):
            yield line


async def _get(opened: Session, name: str) -> Object:
    return await opened.client.get(SYNC_POLICIES, opened.namespace, name)


def _serving(found: list[operators.Operator] | ApiError, namespace: str) -> list[operators.Operator]:
    """Those that look after the namespace."""
    return [] if isinstance(found, ApiError) else [it for it in found if it.serves in ("", namespace)]


async def _operator(
    opened: Session,
    found: list[operators.Operator] | ApiError,
    serving: list[operators.Operator],
    namespace: str,
    ahead: float,
    body: Object | ApiError | None,
) -> AsyncIterator[Line]:
    if isinstance(found, ApiError):
        yield unseen("operator", found)
    elif not serving:
        yield await _without_deployment(opened.client, namespace)
    if not serving:
        for line in await operators.look_at_lease(opened.client, namespace, operators.NAME, ahead):
            yield line
    for operator in serving:
        for line in await operators.look_at_operator(opened.client, operator, ahead):
            yield line
        inside = opened.namespace if body is not None else None
        wanted = rights.operators_rights(operator, inside, _redis_secret(body))
        yield await rights.look_at_operators_rights(opened.client, operator, wanted)


async def _without_deployment(client: KubeClient, namespace: str) -> Line:
    lease = await tried(client.get(LEASES, namespace, operators.NAME))
    message = f"there is no Deployment of the operator, in {namespace} or elsewhere"
    if isinstance(lease, ApiError):
        fix = "install it: `kubectl apply --server-side -k deploy/kustomize`, or --operator-namespace says where it is"
        return failed("operator", message, fix)
    return warning("operator", f"{message}; the Lease says that one runs outside of the cluster, or did")


def _redis_secret(body: Object | ApiError | None) -> str | None:
    if body is None or isinstance(body, ApiError):
        return None
    redis = ((body.get("spec") or {}).get("store") or {}).get("redis") or {}
    name: str | None = (redis.get("urlSecretRef") or {}).get("name")
    return name


async def _policies(opened: Session) -> list[Line]:
    found = await tried(opened.client.list(SYNC_POLICIES, opened.namespace))
    if isinstance(found, ApiError):
        return [unseen("policies", found)]
    if not found:
        return [ok("policies", f"there are none in namespace {opened.namespace}")]
    return [line for body in found for line in conditions.judge_conditions(body)]


async def _policy(
    opened: Session, reach: Reach, name: str, body: Object | ApiError, worker_image: str
) -> AsyncIterator[Line]:
    topic = f"policy {name}"
    if isinstance(body, NotFoundError):
        fix = "`kubectl get syncpolicy --all-namespaces` lists them"
        yield failed(topic, f"there is none of that name in namespace {opened.namespace}", fix)
        return
    if isinstance(body, ApiError):
        yield unseen(topic, body)
        return
    for line in conditions.judge_conditions(body):
        yield line
    try:
        policy = SyncPolicy.parse(body)
        find_zone(policy.spec.market_hours.time_zone)
    except InvalidPolicyError as error:
        yield failed(topic, str(error))
        return
    except UnknownTimeZoneError as error:
        yield failed(topic, f"spec.marketHours.timeZone: {error}")
    async for line in _needs(opened.client, policy, reach.redis_url, worker_image):
        yield line


async def _needs(
    client: KubeClient, policy: SyncPolicy, redis_url: str | None, worker_image: str
) -> AsyncIterator[Line]:
    ref = PolicyRef(policy.namespace, policy.name, policy.uid)
    for look in (
        _store(client, policy, redis_url),
        references.look_at_references(client, policy.namespace, references.references(policy.spec)),
        room.look_at_room(client, policy, worker_image, int(time.time() * 1000)),
        conditions.look_at_pods(client, ref),
        conditions.look_at_events(client, ref, datetime.now(UTC)),
    ):
        for line in await look:
            yield line


async def _store(client: KubeClient, policy: SyncPolicy, redis_url: str | None) -> list[Line]:
    store = policy.spec.store
    if store.config_map is not None:
        return await users.look_at_config_maps(client, policy.namespace, store.config_map.name)
    from periodic_sync.cli.check.redis import look_at_redis

    return await look_at_redis(client, policy, redis_url)
