"""A scene: one namespace with its users, its policies, and a witness of what is done about them."""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cluster_support import Kubectl, eventually
from live.api import Api, Object
from live.witness import Witness

POLICY = "portfolios"
STORE = "user-activity"
LABEL = "sync.moonx.farm/policy"
HOUR = timedelta(hours=1)


class Status(dict[str, Any]):
    """A status whose missing fields are something to wait for."""

    def __missing__(self, field: str) -> Any:
        raise AssertionError(f"status.{field} is not there (yet)")


@dataclass(frozen=True)
class Scene:
    """`kubectl` works in the scene's namespace, `api` and `witness` look at it."""

    kubectl: Kubectl
    api: Api
    witness: Witness

    @property
    def namespace(self) -> str:
        return self.kubectl.namespace

    def user_ids(self, count: int, prefix: str = "u") -> list[str]:
        """Ids of the scene's own, since scenes may share a sync service."""
        return [f"{prefix}{number:03d}.{self.namespace}" for number in range(count)]

    def write_users(self, active: Iterable[str], inactive: Iterable[str] = (), *, store: str = STORE) -> None:
        """Bring the store to these users, active as of now."""
        records = {user: record() for user in active} | {user: record(seen=48 * HOUR) for user in inactive}
        self.write_entries({user: json.dumps(value) for user, value in records.items()}, store=store)

    def write_entries(
        self, entries: Mapping[str, str], *, store: str = STORE, labels: Mapping[str, str] | None = None
    ) -> None:
        about = {"name": store, "labels": dict(labels or {})}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": dict(entries)}
        self.kubectl.apply(body, "--server-side", "--force-conflicts")

    def apply(self, spec: Mapping[str, Any], name: str = POLICY) -> None:
        about = {"name": name}
        self.kubectl.apply(
            {"apiVersion": "sync.moonx.farm/v1alpha1", "kind": "SyncPolicy", "metadata": about, "spec": spec}
        )

    def patch(self, spec: Mapping[str, Any], name: str = POLICY) -> int:
        """Returns: the generation that it made."""
        patch = json.dumps({"spec": spec})
        done = self.kubectl("patch", "syncpolicy", name, "--type=merge", "-p", patch, "-o", "json")
        generation: int = json.loads(done)["metadata"]["generation"]
        return generation

    def request(self, users: str, token: str, name: str = POLICY) -> None:
        """Ask for a manual sync, as a person does."""
        pairs = (f"sync.moonx.farm/sync-users={users}", f"sync.moonx.farm/requested-at={token}")
        self.kubectl("annotate", "syncpolicy", name, "--overwrite", *pairs)

    def policy(self, name: str = POLICY) -> Object:
        found: Object = self.api.get(f"/apis/sync.moonx.farm/v1alpha1/namespaces/{self.namespace}/syncpolicies/{name}")
        return found

    def status(self, name: str = POLICY) -> Status:
        return Status(self.policy(name).get("status") or {})

    def condition(self, kind: str, name: str = POLICY) -> Status:
        """Empty where there is none."""
        conditions = self.status(name).get("conditions", ())
        return Status(next((each for each in conditions if each["type"] == kind), {}))

    def ledger(self, name: str = POLICY) -> Object:
        found = self.config_maps("ledger", name)
        assert len(found) == 1, f"{len(found)} ledgers"
        content: Object = json.loads(found[0]["data"]["ledger.json"])
        return content

    def config_maps(self, role: str, name: str = POLICY) -> list[Object]:
        """What the operator keeps: role `ledger`, `batch` or `state`."""
        selector = f"labelSelector={LABEL}={name},sync.moonx.farm/role={role}"
        return self.api.items(f"/api/v1/namespaces/{self.namespace}/configmaps?{selector}")

    def jobs(self, name: str = POLICY) -> list[Object]:
        return self.api.items(f"/apis/batch/v1/namespaces/{self.namespace}/jobs?labelSelector={LABEL}={name}")

    def pods(self, name: str = POLICY) -> list[Object]:
        return self.api.items(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={LABEL}={name}")

    def told(self, name: str = POLICY) -> list[tuple[str, str]]:
        """Reasons and notes of the events about a policy."""
        found = self.api.items(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        return [(event["reason"], event["note"]) for event in found if event["regarding"].get("name") == name]


@contextmanager
def staged(kubectl: Kubectl, api: Api, title: str) -> Iterator[Scene]:
    """A new namespace, deleted afterwards, which nobody waits for."""
    namespace = f"{title}-{secrets.token_hex(2)}"
    kubectl("create", "namespace", namespace)
    witness = Witness(api, namespace).start()
    try:
        yield Scene(kubectl.within(namespace), api, witness)
    finally:
        witness.stop()
        kubectl("delete", "namespace", namespace, "--wait=false")


def await_gone(cluster: Kubectl, *namespaces: str) -> None:
    """Wait until what an earlier run has left to be deleted is not in the way any more."""

    def are_gone() -> None:
        found = (each["metadata"] for each in cluster.get("namespaces")["items"])
        assert not {about["name"] for about in found if "deletionTimestamp" in about} & {*namespaces}

    eventually(are_gone, seconds=60)


def record(*, seen: timedelta = timedelta(), **more: object) -> Object:
    """A user's record, last seen so long ago; the key in the store is the id."""
    return {"wallet": "0x" + secrets.token_hex(20), "lastActive": (datetime.now(UTC) - seen).isoformat(), **more}


def spec(worker: Mapping[str, Any], **changes: Any) -> Object:
    """A policy's spec with intervals short enough to watch, and these changes, merged into it."""
    base: Object = {
        "intervals": {"marketHours": "1h", "offHours": "1h", "userMinimum": "1s"},
        "thresholds": {"stale": "2h"},
        "store": {"configMap": {"name": STORE}},
        "worker": deepcopy(dict(worker)),
    }
    return merged(base, changes)


def every(interval: str) -> Object:
    """That interval at any hour."""
    return {"marketHours": interval, "offHours": interval, "userMinimum": "1s"}


def merged(base: Object, changes: Mapping[str, Any]) -> Object:
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return result
