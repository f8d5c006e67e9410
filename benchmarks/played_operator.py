"""The real operator in virtual time: its turns, its stores and a real API server, with Jobs that a player completes.

What is not real: the clock, which jumps to whatever comes next; and pods, of which there are none. The Jobs carry
`spec.managedBy`, so that Kubernetes' own controller leaves them alone, and the player writes their status when the
simulation would say that a batch ends.
"""

import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from heapq import heappop, heappush
from typing import Any

from periodic_sync.api.durations import HOUR, SECOND
from periodic_sync.api.errors import ConflictError
from periodic_sync.controller.store_watch import StoreWatch
from periodic_sync.controller.stores import open_store
from periodic_sync.controller.turn import PolicyTurns, Services
from periodic_sync.core.indexes import format_indexes
from periodic_sync.core.landed import BatchEnd
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.status import Findings
from periodic_sync.core.users import UserRecord
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.resources import CONFIG_MAPS, JOBS, NAMESPACES, SECRETS, SYNC_POLICIES
from periodic_sync.simulation.assumptions import batch_time
from periodic_sync.simulation.simulate import Inputs
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.records import RedisRecords
from periodic_sync.stores.redis.urls import parse_url
from periodic_sync.telemetry.protocol import StoreOperation, TurnOutcome

NAME, STORE, PREFIX = "portfolios", "user-activity", "portfolios:"
IMAGE = "registry.example.com/worker:1"
PLAYER = "sync.moonx.farm/player"
SHARD = 2_000
"""Users in one ConfigMap."""
_COUNTED = {"jobs": "jobs", "syncpolicies": "status", "events": "events", "pods": "pods"}


@dataclass(slots=True)
class Played:
    """What the operator did in one hour, or in all."""

    synced: int = 0
    failed: int = 0
    batches: int = 0
    jobs: int = 0
    writes: Counter[str] = field(default_factory=Counter)
    lags: list[int] = field(default_factory=list)

    @property
    def operators_writes(self) -> int:
        """As far as a simulation counts them too: all but Events."""
        return sum(count for kind, count in self.writes.items() if kind != "events")

    def __add__(self, other: "Played") -> "Played":
        return Played(
            self.synced + other.synced,
            self.failed + other.failed,
            self.batches + other.batches,
            self.jobs + other.jobs,
            self.writes + other.writes,
            self.lags + other.lags,
        )


@dataclass(slots=True)
class _Job:
    size: int
    """Batches in it."""
    started: str
    ended: set[int] = field(default_factory=set)


@dataclass
class Account:
    """What the operator tells of its batches, by the hour; a `Telemetry` and a `PolicyTelemetry`."""

    hour: Callable[[], Played]

    def leads(self, is_leading: bool) -> None: ...

    def policy(self, policy: PolicyRef) -> "Account":
        return self

    def turn_ended(self, outcome: TurnOutcome, seconds: float) -> None: ...

    def found(self, found: Findings) -> None: ...

    def batch_ended(self, end: BatchEnd) -> None:
        hour = self.hour()
        hour.synced += end.synced
        hour.failed += end.failed
        hour.lags += [lag.to_end for lag in end.lags]

    def store_asked(self, store: str, operation: StoreOperation, seconds: float, is_answered: bool) -> None: ...

    def close(self) -> None: ...


class WatchedClient(KubeClient):
    """The operator's client: tells the player of batch files and Jobs, and counts writes."""

    def __init__(self, like: KubeClient, player: "Player") -> None:
        super().__init__(like.api)
        self._player = player

    async def _send(self, method: str, path: str, **more: Any) -> Object:
        body, kind = more.get("body"), _kind(path, more.get("body"))
        if method == "POST" and kind == "jobs" and body is not None:
            more["body"] = {**body, "spec": {**body["spec"], "managedBy": PLAYER}}
        answer = await super()._send(method, path, **more)
        if method != "GET":
            self._player.hour.writes[kind] += 1
        if method == "POST" and body is not None:
            if kind == "batch_files":
                self._player.files[body["metadata"]["name"]] = _sizes(body)
            elif kind == "jobs":
                self._player.start(body["metadata"]["name"])
        return answer


@dataclass
class Player:
    """One policy of one operator. Make it by `new_player`."""

    client: KubeClient
    inputs: Inputs
    spec: Object
    """That of the inputs, as it is applied."""
    namespace: str
    redis_url: str | None
    now: int = 0
    turns: int = 0
    hours: list[Played] = field(default_factory=list)
    files: dict[str, list[int]] = field(default_factory=dict)
    """How many users each batch of a Job has."""
    _jobs: dict[str, _Job] = field(default_factory=dict)
    _running: list[tuple[int, str, int]] = field(default_factory=list)
    _seen: dict[str, int] = field(default_factory=dict)

    @property
    def hour(self) -> Played:
        return self.hours[min((self.now - self.inputs.start) // HOUR, len(self.hours) - 1)]

    def start(self, name: str) -> None:
        """A Job was created: its batches run from here."""
        sizes = self.files.pop(name)
        self._jobs[name] = _Job(len(sizes), _real_time())
        self.hour.jobs += 1
        self.hour.batches += len(sizes)
        for index, size in enumerate(sizes):
            end = self.now + batch_time(size, self.inputs.spec, self.inputs.assumptions)
            heappush(self._running, (end, name, index))

    async def play(self, tell: Callable[[str], None] = lambda line: None) -> list[Played]:
        """All the hours. Returns: what happened in each."""
        self.hours = [Played() for _ in range(self.inputs.hours)]
        self.now, end = self.inputs.start, self.inputs.start + self.inputs.hours * HOUR
        await self._write([record for record, _ in self.inputs.people.users])
        policy = await self._policy()
        client = WatchedClient(self.client, self)
        opened, account = partial(open_store, client), Account(lambda: self.hour)
        services = Services(client, lambda: self.now, IMAGE, "player", opened, StoreWatch(client), account)
        turns, visits = PolicyTurns(policy, services, lambda: None), list(reversed(self.inputs.people.visits))
        began, told = time.monotonic(), 0
        while self.now < end:
            await self._visit(visits)
            await self._complete()
            at = await self._turn(turns)
            moments = [at, self._running[0][0] if self._running else None, self._next_return(visits)]
            next_moment = min((moment for moment in moments if moment is not None), default=end)
            self.now = min(end, max(next_moment, self.now + self.inputs.assumptions.rest))
            if (self.now - self.inputs.start) // HOUR > told:
                past = self.hours[told]
                told += 1
                took = time.monotonic() - began
                tell(f"{told} h in {took:.0f} s; in the last {past.synced} syncs, {past.jobs} Jobs")
        await turns.stopped()
        return self.hours

    async def _turn(self, turns: PolicyTurns) -> int | None:
        while True:
            self.turns += 1
            try:
                return (await turns.turn()).at
            except ConflictError:
                continue

    def _next_return(self, visits: Sequence[tuple[int, UserRecord]]) -> int | None:
        """The next visit of somebody who is not active by then, which alone calls for a turn; None: there is none."""
        threshold = self.inputs.spec.thresholds.active
        for at, record in reversed(visits):
            if at - self._seen.get(record.user_id, 0) > threshold:
                return at
        return None

    async def _visit(self, visits: list[tuple[int, UserRecord]]) -> None:
        """Write what applications have written by now."""
        come: list[UserRecord] = []
        while visits and visits[-1][0] <= self.now:
            come.append(visits.pop()[1])
        if come:
            await self._write(come)

    async def _complete(self) -> None:
        """End the batches that are over: the status of their Jobs says so."""
        changed: set[str] = set()
        while self._running and self._running[0][0] <= self.now:
            _, name, index = heappop(self._running)
            self._jobs[name].ended.add(index)
            changed.add(name)
        for name in changed:
            job = self._jobs[name]
            is_over = len(job.ended) == job.size
            path = JOBS.path(self.namespace, name, "status")
            patch = {"status": _status(job, is_over=is_over)}
            await self.client._send("PATCH", path, body=patch, content_type="application/merge-patch+json")
            if is_over:
                del self._jobs[name]

    async def _policy(self) -> PolicyRef:
        if self.redis_url is not None:
            secret: Object = {"metadata": {"name": "redis"}, "stringData": {"url": self.redis_url}}
            await self.client.create(SECRETS, self.namespace, secret)
        body: Object = {
            "apiVersion": "sync.moonx.farm/v1alpha1",
            "kind": "SyncPolicy",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": self.spec,
        }
        made = await self.client.create(SYNC_POLICIES, self.namespace, body)
        return PolicyRef(self.namespace, NAME, made["metadata"]["uid"])

    async def _write(self, records: Sequence[UserRecord]) -> None:
        """As the client library does it: the same records again are their activity."""
        is_first = not self._seen
        self._seen |= {record.user_id: record.last_active for record in records}
        if self.redis_url is None:
            await self._write_shards(records, is_first=is_first)
            return
        connection = Connection(parse_url(self.redis_url))
        store = RedisRecords(connection, prefix=PREFIX)
        if is_first:
            await store.register(records)
        else:
            await store.record_activity({record.user_id: record.last_active for record in records})
        await connection.close()

    async def _write_shards(self, records: Iterable[UserRecord], *, is_first: bool) -> None:
        shards: dict[str, dict[str, str]] = {}
        for record in records:
            number = int(record.user_id.rpartition("-")[2]) // SHARD
            name = f"{STORE}-{number}" if number else STORE
            shards.setdefault(name, {})[record.user_id] = _entry(record)
        for name, data in shards.items():
            labels = {} if name == STORE else {"sync.moonx.farm/store": STORE}
            if is_first:
                await self.client.create(
                    CONFIG_MAPS, self.namespace, {"metadata": {"name": name, "labels": labels}, "data": data}
                )
            else:
                await self.client.merge(CONFIG_MAPS, self.namespace, name, {"data": data}, metadata_only=True)


def store_spec(redis_url: str | None) -> Object:
    """`spec.store` for a player."""
    if redis_url is None:
        return {"configMap": {"name": STORE}}
    return {"redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": PREFIX}}


@asynccontextmanager
async def new_player(
    client: KubeClient, inputs: Inputs, spec: Object, redis_url: str | None = None
) -> AsyncIterator[Player]:
    """In a namespace of its own, on an API server with the CRD. redis_url: for a policy with `store_spec` of it."""
    namespace = f"played-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, None, {"metadata": {"name": namespace}})
    try:
        yield Player(client, inputs, spec, namespace, redis_url)
    finally:
        await client.delete(NAMESPACES, None, namespace)  # type: ignore[arg-type]


def _status(job: _Job, *, is_over: bool) -> Object:
    now = _real_time()
    status: Object = {
        "startTime": job.started,
        "active": job.size - len(job.ended),
        "ready": 0,
        "terminating": 0,
        "succeeded": len(job.ended),
        "completedIndexes": format_indexes(job.ended),
    }
    if is_over:
        kinds = ("SuccessCriteriaMet", "Complete")
        status["conditions"] = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds]
        status["completionTime"] = now
    return status


def _real_time() -> str:
    """The API server's own: no Job may end before it is made."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sizes(batch_file: Object) -> list[int]:
    data = batch_file["data"]
    return [len(json.loads(data[key])["users"]) for key in sorted((key for key in data if key.isdigit()), key=int)]


def _entry(record: UserRecord) -> str:
    seen = datetime.fromtimestamp(record.last_active / SECOND, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"wallet": record.wallet, "lastActive": seen})


def _kind(path: str, body: Object | None) -> str:
    """What a request writes, in the words of `simulation.writes`."""
    parts = path.split("/")
    found = next((kind for plural, kind in _COUNTED.items() if plural in parts), None)
    if found is not None or "configmaps" not in parts:
        return found or parts[-1]
    name = parts[-1] if parts[-1] != "configmaps" else str((body or {}).get("metadata", {}).get("name", ""))
    if name.endswith("-ledger"):
        return "ledger"
    return "state" if "-state-" in name else "batch_files"
