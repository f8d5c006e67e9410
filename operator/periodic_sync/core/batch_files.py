"""The batch file: the immutable ConfigMap that says whom each index of a Job is to sync.

One key for each index holds what the worker of that index sees, by the worker's contract. One more key, which no worker
gets to see, holds what settling the Job needs. While a Job is open in the ledger, its users are in flight because of
what stands here, so a reader trusts nothing that is not exactly what was written.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from periodic_sync.api.names import Priority, Reason, Role
from periodic_sync.core.batches import PlannedBatch, PlannedUser
from periodic_sync.core.ledger import OpenJob, Phase
from periodic_sync.core.objects import Object, PolicyRef, metadata, object_name

CLAIM_KEY = "claim.json"
VERSION = 1

MOST_BATCHES = 1000
MOST_USERS = 1000

_T = TypeVar("_T")


class Due(NamedTuple):
    """Since when a user was due by the clock when it was claimed (ms), and how urgent it was by itself."""

    at: int
    priority: Priority


@dataclass(frozen=True, slots=True)
class BatchUser:
    """One user of a batch as its worker sees it, and the request that this sync answers."""

    user_id: str
    wallet: str = field(repr=False)
    tokens: tuple[str, ...] = ()
    """Tokens to sync; empty: all of them."""
    request: int | None = None
    """The record's `syncRequestedAt` as it was when claimed."""
    due: Due | None = None
    """None: it was due for another reason, or nobody can tell since when."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The users of one index, in order. `whole`: all of the policy's active users are in it."""

    users: tuple[BatchUser, ...]
    priority: Priority
    whole: bool = False

    @property
    def requests(self) -> dict[str, int | None]:
        """Every user with its request, in the batch's order."""
        return {user.user_id: user.request for user in self.users}


@dataclass(frozen=True, slots=True)
class BatchFile:
    """All that is known of one claim. Users by index, instants in milliseconds."""

    name: str
    """Of the Job too."""
    claim: int
    claimed_at: int
    generation: int
    """Of the spec that it was planned on."""
    batches: tuple[Batch, ...]
    probe: bool = False

    def user_ids(self, indexes: Iterable[int]) -> frozenset[str]:
        """The users of these indexes; indexes that are none of this file's have no users."""
        chosen = (self.batches[index] for index in indexes if 0 <= index < len(self.batches))
        return frozenset(user.user_id for batch in chosen for user in batch.users)

    def open_job(self, phase: Phase = Phase.CLAIMED) -> OpenJob:
        """What the ledger keeps of it: for a claim, and to rebuild a ledger that was lost."""
        return OpenJob(
            name=self.name,
            claim=self.claim,
            claimed_at=self.claimed_at,
            priorities=tuple(batch.priority for batch in self.batches),
            sizes=tuple(len(batch.users) for batch in self.batches),
            open=frozenset(range(len(self.batches))),
            phase=phase,
            probe=self.probe,
        )


def planned(batch: PlannedBatch, *, whole: bool) -> Batch:
    """A planned batch as it is written. `whole`: all of the policy's active users are in it."""
    users = (
        BatchUser(it.record.user_id, it.record.wallet, it.tokens, it.record.sync_requested_at, _due(it))
        for it in batch.users
    )
    return Batch(tuple(users), batch.priority, whole)


def _due(user: PlannedUser) -> Due | None:
    if user.due_at is None:
        return None
    return Due(user.due_at, Priority.HIGH if user.reason is Reason.DUE_STALE else Priority.MEDIUM)


def new_batch_file(
    policy: PolicyRef,
    batches: Sequence[Batch],
    *,
    claim: int,
    claimed_at: int,
    generation: int,
    probe: bool = False,
) -> BatchFile:
    """Give planned batches their claim's number and name."""
    name = object_name(policy.name, policy.uid, claim)
    return BatchFile(name, claim, claimed_at, generation, tuple(batches), probe)


def batch_file(policy: PolicyRef, file: BatchFile) -> Object:
    """The ConfigMap to write. Its data is ASCII, whatever the records hold."""
    data = {str(index): _worker_text(policy, file.name, index, batch) for index, batch in enumerate(file.batches)}
    data[CLAIM_KEY] = _dump(
        {
            "version": VERSION,
            "policyUid": policy.uid,
            "claim": file.claim,
            "claimedAt": file.claimed_at,
            "generation": file.generation,
            "probe": file.probe,
            "batches": [_kept(batch) for batch in file.batches],
        }
    )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(policy, file.name, role=Role.BATCH),
        "immutable": True,
        "data": data,
    }


def _worker_text(policy: PolicyRef, name: str, index: int, batch: Batch) -> str:
    """The worker's contract, to the letter."""
    return _dump(
        {
            "version": VERSION,
            "policy": policy.name,
            "namespace": policy.namespace,
            "batch": f"{name}-{index}",
            "priority": batch.priority,
            "users": [{"id": user.user_id, "wallet": user.wallet, "tokens": list(user.tokens)} for user in batch.users],
        }
    )


def _kept(batch: Batch) -> Object:
    """What settling needs. Users by position: an id may be long, and the file has a limit."""
    requests = {str(at): user.request for at, user in enumerate(batch.users) if user.request is not None}
    due: dict[str, dict[str, int]] = {}
    for at, user in enumerate(batch.users):
        if user.due is not None:
            due.setdefault(user.due.priority, {})[str(at)] = user.due.at
    return {"whole": batch.whole, "requests": requests, "due": due}


def _dump(value: object) -> str:
    # ASCII only: half a surrogate pair, which JSON may hold, could not be sent to the API server as UTF-8.
    return json.dumps(value, separators=(",", ":"))


def read_batch_file(body: Mapping[str, Any], policy: PolicyRef) -> BatchFile:
    """Read back what `batch_file` wrote for this policy.

    Raises: ValueError with a sentence that says what is wrong with it, and quotes nothing that may hold a wallet.
    """
    data = body.get("data")
    name = str((body.get("metadata") or {}).get("name"))
    if not isinstance(data, Mapping) or CLAIM_KEY not in data:
        raise ValueError(f"ConfigMap {name} is no batch file: it has no key {CLAIM_KEY}")
    try:
        return _read(name, data, policy)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"ConfigMap {name} is no batch file of SyncPolicy {policy.name}: {error}") from None


def _read(name: str, data: Mapping[str, Any], policy: PolicyRef) -> BatchFile:
    kept = _load(data, CLAIM_KEY)
    if _get(kept, "policyUid", str) != policy.uid:
        raise ValueError("it belongs to another SyncPolicy")
    about = _get(kept, "batches", list)
    if not 0 < len(about) <= MOST_BATCHES or set(data) != {*map(str, range(len(about))), CLAIM_KEY}:
        raise ValueError(f"its keys are not {CLAIM_KEY} and one for each batch")
    file = BatchFile(
        name=name,
        claim=_get(kept, "claim", int),
        claimed_at=_get(kept, "claimedAt", int),
        generation=_get(kept, "generation", int),
        batches=tuple(_read_batch(_load(data, str(index)), each) for index, each in enumerate(about)),
        probe=_get(kept, "probe", bool),
    )
    if name != object_name(policy.name, policy.uid, file.claim):
        raise ValueError("its name is not that of its claim")
    ids = [user.user_id for user in chain.from_iterable(batch.users for batch in file.batches)]
    if len(set(ids)) != len(ids):
        raise ValueError("it names a user twice")
    return file


def _read_batch(shown: Object, kept: object) -> Batch:
    users, requests = _get(shown, "users", list), _get(kept, "requests", dict)
    due = _read_due(kept)
    if not 0 < len(users) <= MOST_USERS:
        raise ValueError(f"a batch has 1 to {MOST_USERS} users")
    return Batch(
        users=tuple(_read_user(user, at, requests, due) for at, user in enumerate(users)),
        priority=Priority(_get(shown, "priority", str)),
        whole=_get(kept, "whole", bool),
    )


def _read_due(kept: object) -> dict[str, Due]:
    """By position. An operator of an earlier version wrote none."""
    if not isinstance(kept, dict) or "due" not in kept:
        return {}
    by_priority = _get(kept, "due", dict)
    return {
        str(at): Due(_get(by_priority[priority], at, int), priority)
        for priority in (Priority.HIGH, Priority.MEDIUM)
        if priority in by_priority
        for at in _get(by_priority, priority, dict)
    }


def _read_user(user: object, at: int, requests: Mapping[str, Any], due: Mapping[str, Due]) -> BatchUser:
    request = _get(requests, str(at), int) if str(at) in requests else None
    tokens = tuple(map(str, _get(user, "tokens", list)))
    return BatchUser(_get(user, "id", str), _get(user, "wallet", str), tokens, request, due.get(str(at)))


def _load(data: Mapping[str, Any], key: str) -> Object:
    try:
        value = json.loads(data[key])
    except (ValueError, TypeError, RecursionError):
        raise ValueError(f"key {key} is not JSON") from None
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise ValueError(f"key {key} is not of version {VERSION}")
    return value


def _get(holder: object, key: str, kind: type[_T]) -> _T:
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"a field that holds {kind.__name__} is missing or holds something else")
    return value
