"""Moving a policy's users from ConfigMaps to Redis while nothing is in flight, so that nobody is synced once more."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from periodic_sync.api.errors import ApiError, ConflictError
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.api.spec import RedisStore as RedisSpec
from periodic_sync.client.backend import Clock
from periodic_sync.client.moving import Target, Users, in_steps
from periodic_sync.client.opening import check_key_prefix, read_policy, secret_connection
from periodic_sync.client.quiet import why_not_quiet
from periodic_sync.core.users import NEVER_SYNCED
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.cluster import policy_owner
from periodic_sync.kube.config_maps import KubeConfigMaps
from periodic_sync.kube.resources import SYNC_POLICIES
from periodic_sync.stores.base import Owner
from periodic_sync.stores.configmap import ConfigMapStore, Snapshot
from periodic_sync.stores.redis.keys import Keys
from periodic_sync.stores.redis.meta import open_store
from periodic_sync.stores.redis.secrets import SecretRef

LOOK_EVERY_SECONDS = 1.0
_STEP = 500
_ROUNDS = 10


class MoveRefusedError(Exception):
    """The users are not moved; the text says why, and what to do. What was copied so far does no harm."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to."""

    secret: str
    key: str
    """Of the Secret, where the URL is."""
    prefix: str

    def __post_init__(self) -> None:
        """Raises: ValueError."""
        check_key_prefix(self.prefix)

    def patch(self) -> dict[str, Any]:
        """Of a SyncPolicy, as JSON."""
        redis = {"urlSecretRef": {"name": self.secret, "key": self.key}, "keyPrefix": self.prefix}
        return {"spec": {"store": {"configMap": None, "redis": redis}}}

    def is_store_of(self, spec: RedisSpec) -> bool:
        return (spec.url_secret_ref.name, spec.url_secret_ref.key, spec.key_prefix) == (
            self.secret,
            self.key,
            self.prefix,
        )


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied."""

    users: int
    synced: int
    """Of these, those with a state."""
    skipped: int
    """Entries of the ConfigMaps that are no valid records, and were left behind."""
    problems: tuple[str, ...]
    """The first few of these, a sentence each."""


@dataclass
class Migration:
    """One policy's move. Its methods raise MoveRefusedError, StoreNotReady and ApiError."""

    client: KubeClient
    namespace: str
    name: str
    to: Destination
    clock: Clock
    progress: Callable[[int, int], None] = lambda done, total: None
    """Told how many users are copied, and of how many."""
    say: Callable[[str], None] = lambda text: None
    """Told what is done now, and what it waits for."""

    async def run(self, *, wait_seconds: float, apply: bool) -> Moved:
        """Copy everything, and with `apply` make the policy use it: it is paused for that, and then as it was before.

        wait_seconds: how long to wait for batches that run; 0: not at all.
        """
        policy = await read_policy(self.client, self.namespace, self.name)
        if policy.spec.store.config_map is None:
            self._refuse("its store is no ConfigMap; --config-map NAME copies from one once more")
        async with self._target() as target:
            async with self._paused(policy, apply) as policy:
                await self._wait_until_quiet(wait_seconds)
                moved = await self._copy(policy, policy.spec.store.config_map.name, target)  # type: ignore[union-attr]
                await self._still_as(policy)
                if apply:
                    await self._patch(policy, self.to.patch())
            return moved

    async def copy_again(self, config_map: str) -> Moved:
        """After the move: what was written into the ConfigMaps since. Nothing newer in Redis is touched."""
        policy = await read_policy(self.client, self.namespace, self.name)
        if policy.spec.store.redis is None or not self.to.is_store_of(policy.spec.store.redis):
            self._refuse("its store is another than the one to copy to; leave out --config-map to move it there")
        async with self._target() as target:
            return await self._copy(policy, config_map, target)

    @asynccontextmanager
    async def _target(self) -> AsyncIterator[Target]:
        ref = SecretRef(self.namespace, self.to.secret, self.to.key)
        commands = await secret_connection(self.client, ref)
        try:
            owner, keys = await policy_owner(self.client, self.namespace, self.name), Keys(self.to.prefix)
            await open_store(commands, keys, owner)  # refuses what is somebody else's before anything is written
            yield Target(commands, self.to.prefix)
            await open_store(commands, keys, owner)  # takes what is new for this policy
        finally:
            await commands.close()

    async def _copy(self, policy: SyncPolicy, config_map: str, target: Target) -> Moved:
        """Until nothing was written in between."""
        owner, maps = Owner(policy.name, policy.uid), KubeConfigMaps(self.client)
        store = ConfigMapStore(maps, namespace=self.namespace, name=config_map, owner=owner)
        copied: Snapshot | None = None
        for _ in range(_ROUNDS):
            snapshot = await store.read(self.clock.now())
            if snapshot is copied:
                break
            await self._copy_users(_users(snapshot), target)
            copied = snapshot
        else:
            self._refuse(f"ConfigMap {config_map} is written all the time: stop whoever writes it for a while")
        lacking = [user_id for step in in_steps(_users(copied), _STEP) for user_id in await target.lacks(step)]
        if lacking:
            self._refuse(f"{len(lacking)} users are not in Redis as they should be, such as {lacking[0]}: run it again")
        known = sum(user_id in copied.states for user_id in copied.records)
        return Moved(len(copied.records), known, copied.skipped, copied.problems)

    async def _copy_users(self, users: Users, target: Target) -> None:
        done = 0
        self.progress(done, len(users))
        for step in in_steps(users, _STEP):
            await target.copy(step)
            done += len(step)
            self.progress(done, len(users))

    @asynccontextmanager
    async def _paused(self, policy: SyncPolicy, apply: bool) -> AsyncIterator[SyncPolicy]:
        """With `apply`, disabled inside and as it was before outside, whatever happens."""
        if not (apply and policy.spec.enabled):
            yield policy
            return
        self.say("The policy is paused")
        await self._patch(policy, {"spec": {"enabled": False}})
        try:
            yield await read_policy(self.client, self.namespace, self.name)
        finally:
            await self._resume()

    async def _resume(self) -> None:
        try:
            await self.client.merge(SYNC_POLICIES, self.namespace, self.name, {"spec": {"enabled": True}})
        except ApiError as error:
            patch = '{"spec": {"enabled": true}}'
            raise MoveRefusedError(
                f"SyncPolicy {self.namespace}/{self.name} is still paused, since the API server gave no answer to rely "
                f"on ({error}): say `kubectl patch --namespace {self.namespace} syncpolicy {self.name} --type merge "
                f"-p '{patch}'`"
            ) from error
        self.say("The policy is enabled again")

    async def _wait_until_quiet(self, wait_seconds: float) -> None:
        until, said = self.clock.monotonic() + wait_seconds, ""
        while why := await why_not_quiet(self.client, self.namespace, self.name):
            if self.clock.monotonic() >= until:
                self._refuse(why)
            if why != said:
                self.say(f"Waiting: {why}")
                said = why
            await self.clock.sleep(LOOK_EVERY_SECONDS)

    async def _still_as(self, before: SyncPolicy) -> None:
        now = await read_policy(self.client, self.namespace, self.name)
        if (now.uid, now.generation) != (before.uid, before.generation):
            self._refuse("it was changed while its users were copied: run it again")

    async def _patch(self, before: SyncPolicy, patch: Mapping[str, Any]) -> None:
        """Change the policy, unless its spec is another by now."""
        for _ in range(_ROUNDS):
            body = await self.client.get(SYNC_POLICIES, self.namespace, self.name)
            metadata = body["metadata"]
            if (metadata["uid"], metadata["generation"]) != (before.uid, before.generation):
                break
            whole = {**patch, "metadata": {"resourceVersion": metadata["resourceVersion"]}}
            try:
                await self.client.merge(SYNC_POLICIES, self.namespace, self.name, whole)
                return
            except ConflictError:
                continue  # its status was written
        self._refuse("it was changed while its users were copied: run it again")

    def _refuse(self, why: str) -> NoReturn:
        raise MoveRefusedError(f"SyncPolicy {self.namespace}/{self.name} is not moved: {why}")


def _users(snapshot: Snapshot) -> Users:
    states = snapshot.states
    return {user_id: (record, states.get(user_id, NEVER_SYNCED)) for user_id, record in snapshot.records.items()}
