"""A policy and its users, open for one command."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from periodic_sync.cli.errors import CommandError
from periodic_sync.cli.session import Session, session

if TYPE_CHECKING:
    from periodic_sync.api.policy import SyncPolicy
    from periodic_sync.client import Client
    from periodic_sync.client.backend import Backend, Clock, Known
    from periodic_sync.core.tick import Tick
    from periodic_sync.inspection.why import Flight
    from periodic_sync.kube.client import KubeClient, Object
    from periodic_sync.stores.redis.commands import Commands
    from periodic_sync.stores.redis.keys import Keys


@dataclass(frozen=True, slots=True)
class Reach:
    """What was typed of where the policies are."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    redis_url: str | None = None


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """Where a policy's users are in Redis."""

    commands: "Commands"
    keys: "Keys"


@dataclass(frozen=True, slots=True)
class Opened:
    """One policy, and its store."""

    session: Session
    body: "Object"
    policy: "SyncPolicy"
    backend: "Backend"
    client: "Client"
    """On the same store."""
    redis: RedisPlace | None
    """None: the users are in ConfigMaps."""
    clock: "Clock"

    @property
    def full_name(self) -> str:
        return f"{self.policy.namespace}/{self.policy.name}"

    async def known(self, user_id: str) -> "Known":
        """Raises: UnknownUserError, InvalidUserError, StoreUnavailableError."""
        from periodic_sync.client import UnknownUserError
        from periodic_sync.client.errors import store_errors
        from periodic_sync.client.values import user_id_of

        wanted = user_id_of(user_id)
        with store_errors():
            found = await self.backend.get(wanted)
        if found is None:
            raise UnknownUserError(wanted)
        return found


@dataclass(frozen=True, slots=True)
class Sight:
    """A policy as the operator would look at it for a turn: what is read of the users after this is as new."""

    body: "Object"
    policy: "SyncPolicy"
    flight: "Flight"
    trouble: str
    """What the operator says is wrong with the store, or empty."""

    def tick(self, now: int) -> "Tick":
        return self.flight.tick(self.policy, now, store_ready=not self.trouble)


@asynccontextmanager
async def opened(reach: Reach, name: str) -> AsyncIterator[Opened]:
    """For as long as the block runs. Raises: CommandError, StoreNotReady, ApiError, ValueError."""
    async with session(reach.kubeconfig, reach.context, reach.namespace) as entered:
        body = await entered.policy(name)
        async with store_of(entered, body, reach.redis_url) as found:
            yield found


@asynccontextmanager
async def store_of(entered: Session, body: "Object", redis_url: str | None) -> AsyncIterator[Opened]:
    """The store of a policy that was read. Raises: as `opened`."""
    from periodic_sync.client import Client
    from periodic_sync.client.backend import SystemClock
    from periodic_sync.client.opening import of_policy

    policy, clock = parsed(body), SystemClock()
    redis = policy.spec.store.redis
    if redis is None:
        backend, place = await of_policy(entered.client, policy, clock), None
    else:
        counted = (body.get("status") or {}).get("totalUsers") or 0
        backend, place = await _redis(entered.client, policy, redis_url, counted)

    async def ready() -> "Backend":
        return backend

    async with Client(lambda stack, clock: ready(), clock=clock) as client:
        yield Opened(entered, body, policy, backend, client, place, clock)


async def flight_of(entered: Session, body: "Object") -> "Flight":
    """Raises: ApiError."""
    from periodic_sync.core.objects import PolicyRef
    from periodic_sync.inspection.looks import KubeLooks

    about = body["metadata"]
    looks = KubeLooks(entered.client, about["namespace"], lambda: 0.0)
    return await looks.flight(PolicyRef(about["namespace"], about["name"], about["uid"]))


async def sight(found: Opened, flight: "Flight | None" = None) -> Sight:
    """flight: where it was looked at already. Raises: CommandError where the policy was made anew meanwhile, ApiError.

    The ledger comes before policy and users: whatever it calls closed is then sure to be in what is read of them.
    """
    from periodic_sync.inspection.why import store_trouble

    policy = found.policy
    if flight is None:
        flight = await flight_of(found.session, found.body)
    body = await found.session.policy(policy.name, policy.namespace)
    again = parsed(body)
    if again.uid != policy.uid:
        raise CommandError(f"SyncPolicy {found.full_name} was made anew a moment ago: run this again")
    return Sight(body, again, flight, store_trouble(body))


@contextmanager
def known_zone(found: Opened) -> Iterator[None]:
    """For as long as users are judged. Raises: CommandError where the policy's time zone does not exist."""
    from periodic_sync.core.calendar import UnknownTimeZoneError

    try:
        yield
    except UnknownTimeZoneError as error:
        raise CommandError(f"SyncPolicy {found.full_name}: spec.marketHours.timeZone: {error}") from None


def parsed(body: "Object") -> "SyncPolicy":
    """Raises: CommandError."""
    from periodic_sync.api.policy import InvalidPolicyError, SyncPolicy

    try:
        return SyncPolicy.parse(body)
    except InvalidPolicyError as error:
        about = body["metadata"]
        raise CommandError(f"SyncPolicy {about['namespace']}/{about['name']} can't be worked with: {error}") from None


async def _redis(
    client: "KubeClient", policy: "SyncPolicy", url: str | None, counted: int
) -> tuple["Backend", RedisPlace]:
    """counted: users that the operator has seen."""
    from periodic_sync.client.opening import redis_of_policy
    from periodic_sync.client.redis_backend import RedisBackend
    from periodic_sync.stores.redis.keys import Keys

    redis = policy.spec.store.redis
    assert redis
    keys = Keys(redis.key_prefix)
    if url is None:
        commands: Commands = await redis_of_policy(client, policy.namespace, redis)
    else:
        commands = connection(url)
        try:
            await _check_owner(client, policy, commands, keys, counted)
        except BaseException:
            await commands.close()
            raise
    return RedisBackend(commands, prefix=redis.key_prefix), RedisPlace(commands, keys)


def connection(url: str) -> "Commands":
    """Raises: CommandError, with nothing of the URL in it."""
    from periodic_sync.stores.redis.connection import Connection
    from periodic_sync.stores.redis.urls import parse_url

    try:
        return Connection(parse_url(url))
    except ValueError as error:
        raise CommandError(f"--redis-url, or $REDIS_URL: {error}") from None


async def _check_owner(
    client: "KubeClient", policy: "SyncPolicy", commands: "Commands", keys: "Keys", counted: int
) -> None:
    """A URL that was typed, or is of another program's environment, may lead anywhere. Raises: CommandError."""
    from periodic_sync.kube.cluster import policy_owner
    from periodic_sync.stores.redis.meta import is_same_owner, owner_of

    owner = await owner_of(commands, keys)
    if not owner and counted:
        there = f"has no users under {keys.prefix!r} that an operator knows of, and this policy has {counted}"
    elif owner and not is_same_owner(owner, await policy_owner(client, policy.namespace, policy.name)):
        there = f"has users of SyncPolicy {owner.partition('/')[2]} under {keys.prefix!r}, and not of this one"
    else:
        return
    raise CommandError(f"The Redis of --redis-url, or $REDIS_URL, {there}: is it another server than the policy's?")
