"""What the tests of turns share: a policy in a namespace of a real API server, its operators, and a clock to set."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from kubelet import Kubelet
from periodic_sync.api.durations import MINUTE
from periodic_sync.api.errors import ApiError
from periodic_sync.api.names import POLICY_LABEL, Role
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.controller.loop import Schedule
from periodic_sync.controller.store_watch import StoreWatch
from periodic_sync.controller.stores import open_store
from periodic_sync.controller.turn import PolicyTurns, Services
from periodic_sync.core.calendar import WEEKDAYS
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef, ledger_name, metadata
from periodic_sync.core.transitions import SupersededError
from periodic_sync.core.users import UserState
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.ledgers import Ledgers
from periodic_sync.kube.policy_objects import PolicyObjects
from periodic_sync.kube.resources import CONFIG_MAPS, EVENTS, JOBS, SYNC_POLICIES, Resource
from periodic_sync.stores.configmap import ConfigMapStore, Snapshot
from policy_support import Spec, merged, policy_body, spec_with
from store_contract import rfc_3339
from watched_client import WatchedClient

STORE = "user-activity"
NAME = "portfolios"
IMAGE = "registry.example.com/worker:1"
INTERVAL = 10 * MINUTE
NAMESPACES, NODES = Resource("/api/v1", "namespaces"), Resource("/api/v1", "nodes")
ACCOUNTS = Resource("/api/v1", "serviceaccounts")
DEADLINE_SECONDS = 60.0

ROUND_THE_CLOCK: Spec = {"intervals": {"marketHours": "10m", "offHours": "10m"}}


def market_closed_around(now: int) -> Spec:
    """It opens days from `now` (ms) only: else some run would see it open or close, which is a change to report."""
    far_off = datetime.fromtimestamp(now / 1000, UTC) + timedelta(days=3)
    return {"marketHours": {"days": [WEEKDAYS[far_off.weekday()]]}}


@dataclass
class Operator:
    """One operator's turns of the policy, with a client of its own."""

    client: WatchedClient
    turns: PolicyTurns

    async def turn(self) -> Schedule:
        return await self.turns.turn()

    async def retried_turn(self) -> Schedule | None:
        """As the loop does it: whatever may pass is tried again later."""
        try:
            return await self.turns.turn()
        except (ApiError, SupersededError):
            return None


@dataclass
class Bench:
    """A namespace with one policy in it."""

    client: KubeClient
    namespace: str
    now: int = field(default_factory=lambda: int(time.time()) * 1000)
    """The operators' clock. It stands still until a test sets it, or lets many turns pass."""
    policy: PolicyRef = field(init=False)
    """The one that `apply` made last."""
    operators: list[Operator] = field(default_factory=list)
    kubelet: Kubelet = field(init=False)

    def __post_init__(self) -> None:
        self.kubelet = Kubelet(self.client, self.namespace)

    async def apply(self, change: Spec | None = None) -> None:
        """Make the policy: the minimal spec with this change, the same whenever the tests run."""
        spec = merged(spec_with(ROUND_THE_CLOCK | market_closed_around(self.now)), change or {})
        body = policy_body(spec, name=NAME, namespace=self.namespace)
        made = await self.client.create(SYNC_POLICIES, self.namespace, body)
        self.policy = PolicyRef(self.namespace, NAME, made["metadata"]["uid"])

    async def edit(self, **patch: Any) -> Object:
        """A merge patch, as `edit(spec={"enabled": False})`."""
        return await self.client.merge(SYNC_POLICIES, self.namespace, NAME, patch)

    async def register(self, active: Iterable[str] = (), inactive: Iterable[str] = ()) -> None:
        """Add users to the store, which is made if need be."""
        old = self.now - 48 * 60 * MINUTE
        users = dict.fromkeys(active, self.now) | dict.fromkeys(inactive, old)
        records = {
            user_id: json.dumps({"wallet": f"0xwallet-of-{user_id}", "lastActive": rfc_3339(at)})
            for user_id, at in users.items()
        }
        if await self.client.list(CONFIG_MAPS, self.namespace, fields=f"metadata.name={STORE}"):
            await self.client.merge(CONFIG_MAPS, self.namespace, STORE, {"data": records})
        else:
            await self.client.create(CONFIG_MAPS, self.namespace, {"metadata": {"name": STORE}, "data": records})

    def operator(self, plan: Callable[[int, str], str] = lambda number, kind: "") -> Operator:
        client = WatchedClient(self.client, plan)
        services = Services(client, lambda: self.now, IMAGE, "test", partial(open_store, client), StoreWatch(client))
        self.operators.append(Operator(client, PolicyTurns(self.policy, services, lambda: None)))
        return self.operators[-1]

    async def orphan(self, resource: Resource, name: str) -> None:
        """Delete it as `kubectl delete --cascade=orphan` does, and wait until it is gone."""
        path = resource.path(self.namespace, name)
        await self.client._send("DELETE", path, body={"propagationPolicy": "Orphan"})

        async def gone() -> bool:
            return not await self.client.list(resource, self.namespace, fields=f"metadata.name={name}")

        await until(gone)

    async def make_again(self, resource: Resource, name: str) -> None:
        """Delete it, and make the same under another UID."""
        body = await self.client.get(resource, self.namespace, name)
        await self.client.delete(resource, self.namespace, name)
        kept = {key: body["metadata"][key] for key in ("name", "labels", "ownerReferences")}
        await self.client.create(resource, self.namespace, {**body, "metadata": kept})

    async def close(self) -> None:
        for operator in self.operators:
            await operator.turns.stopped()
        for resource in (NAMESPACES, NODES):
            await self.client.delete(resource, None, self.namespace)  # type: ignore[arg-type]

    # What is there now.

    @property
    def objects(self) -> PolicyObjects:
        return PolicyObjects(self.client, self.namespace, NAME, self.policy.uid)

    async def ledger(self) -> Ledger:
        version = await self.ledgers.read()
        assert version is not None, "there is no ledger"
        return version.ledger

    @property
    def ledgers(self) -> Ledgers:
        name = ledger_name(NAME, self.policy.uid)
        return Ledgers(self.client, metadata(self.policy, name, role=Role.LEDGER))

    async def status(self) -> Object:
        body = await self.client.get(SYNC_POLICIES, self.namespace, NAME)
        status: Object = body.get("status") or {}
        return status

    async def conditions(self) -> dict[str, tuple[str, str]]:
        return {one["type"]: (one["status"], one["reason"]) for one in (await self.status()).get("conditions", [])}

    async def condition_message(self, kind: str) -> str:
        found = [one["message"] for one in (await self.status())["conditions"] if one["type"] == kind]
        return str(found[0])

    async def jobs(self) -> list[Object]:
        return await self.client.list(JOBS, self.namespace, labels=f"{POLICY_LABEL}={NAME}")

    async def job_names(self) -> set[str]:
        return {job["metadata"]["name"] for job in await self.jobs()}

    async def batch_files(self) -> set[str]:
        return {item["metadata"]["name"] for item in (await self.objects.batch_file_metadata()).own}

    async def snapshot(self) -> Snapshot:
        spec = (await self.client.get(SYNC_POLICIES, self.namespace, NAME))["spec"]
        store = open_store(self.client, self.policy, SyncPolicySpec.model_validate(spec).store)
        assert isinstance(store, ConfigMapStore)
        return await store.read(self.now)

    async def states(self) -> dict[str, UserState]:
        return dict((await self.snapshot()).states)

    async def events(self) -> dict[str, str]:
        """Reason to note, of the newest of each reason."""
        items = await self.client.list(EVENTS, self.namespace)
        ours = [item for item in items if item["regarding"].get("uid") == self.policy.uid]
        return {item["reason"]: item["note"] for item in sorted(ours, key=lambda item: str(item["eventTime"]))}

    async def has_no_pods(self) -> bool:
        await self.kubelet.start()  # which ends those that are deleted
        return not await self.objects.pods()

    async def in_flight(self) -> set[str]:
        """Users of the ledger's open Jobs, by their batch files."""
        users: set[str] = set()
        for job in (await self.ledger()).jobs:
            body = await self.objects.batch_file(job.name)
            texts = [text for key, text in (body or {"data": {}})["data"].items() if key.isdigit()]
            users |= {user["id"] for text in texts for user in json.loads(text)["users"]}
        return users

    # Time passes.

    async def run(self, operator: Operator, *, one_by_one: bool = False, pause: float = 0.1) -> None:
        """Turns until nothing is in flight, while the kubelet does its work."""

        async def over() -> bool:
            self.now += 1  # as any clock does: proposals of one instant share a name
            await operator.retried_turn()
            await self.kubelet.start()
            await self.kubelet.end(1 if one_by_one else 1000)
            version = await self.ledgers.read()
            if version is None or version.ledger.jobs:
                return False
            return bool(version.ledger.last_schedule or version.ledger.last_sync)  # the first is not rebuilt

        await until(over, pause=pause)

    async def turns_until(self, operator: Operator, condition: Callable[[], Any]) -> None:
        async def met() -> bool:
            self.now += 1
            await operator.retried_turn()
            return bool(await condition())

        await until(met)


async def until(condition: Callable[[], Any], *, pause: float = 0.1, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until it is met, and fail at a deadline that only something broken reaches."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 the API server has no event to wait for
            await asyncio.sleep(pause)


@asynccontextmanager
async def new_bench(client: KubeClient) -> AsyncIterator[Bench]:
    """A bench in a namespace of its own, with an empty policy name: tests apply the policy."""
    namespace = f"turns-{secrets.token_hex(4)}"
    for resource in (NAMESPACES, NODES):
        await client.create(resource, None, {"metadata": {"name": namespace}})  # type: ignore[arg-type]

    async def has_account() -> bool:
        # Pods can't be created before it is there, and the Job controller would take its time to try again.
        return bool(await client.list(ACCOUNTS, namespace, fields="metadata.name=default"))

    await until(has_account, pause=0.02)
    bench = Bench(client, namespace)
    try:
        yield bench
    finally:
        await bench.close()
