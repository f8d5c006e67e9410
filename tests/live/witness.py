"""A witness of one namespace: it sees every Job, pod and batch file, and forgets none of them when it is deleted."""

import threading
import time
from dataclasses import dataclass, field

from live.api import Api, LookError, Object

OURS = "labelSelector=sync.moonx.farm/policy"


@dataclass
class Seen:
    """One object as it was last seen."""

    body: Object
    made_at: int
    """The resource version at which it was there first: these count the writes of the whole cluster, in order."""
    gone_at: float | None = None
    """When its deletion was seen, in seconds since the epoch."""

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])


@dataclass
class Collection:
    """All objects of one kind that ever were, by UID."""

    api: Api
    path: str
    _seen: dict[str, Seen] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """List once, so that nothing is missed that is made from here on; then follow."""
        since = self._list()
        threading.Thread(target=self._follow, args=(since,), daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def all(self) -> list[Seen]:
        with self._lock:
            return list(self._seen.values())

    def present(self) -> list[Seen]:
        return [seen for seen in self.all() if seen.gone_at is None]

    def _follow(self, since: str) -> None:
        while not self._over.is_set():
            try:
                for event in self.api.events(self.path, since):
                    if event["type"] == "ERROR":
                        break
                    self._note(event["object"], is_gone=event["type"] == "DELETED")
                since = self._list()
            except LookError:
                self._over.wait(0.3)

    def _list(self) -> str:
        listed = self.api.get(self.path)
        for item in listed["items"]:
            self._note(item, is_gone=False)
        there = {item["metadata"]["uid"] for item in listed["items"]}
        with self._lock:
            for uid, seen in self._seen.items():
                if uid not in there and seen.gone_at is None:
                    seen.gone_at = time.time()
        return str(listed["metadata"]["resourceVersion"])

    def _note(self, body: Object, *, is_gone: bool) -> None:
        about = body["metadata"]
        with self._lock:
            seen = self._seen.setdefault(about["uid"], Seen(body, int(about["resourceVersion"])))
            seen.body = body
            seen.gone_at = seen.gone_at or (time.time() if is_gone else None)


class Witness:
    """Follows what belongs to the SyncPolicies of a namespace until it is stopped."""

    def __init__(self, api: Api, namespace: str) -> None:
        batches = "labelSelector=sync.moonx.farm/role=batch"
        self.jobs = Collection(api, f"/apis/batch/v1/namespaces/{namespace}/jobs?{OURS}")
        self.pods = Collection(api, f"/api/v1/namespaces/{namespace}/pods?{OURS}")
        self.files = Collection(api, f"/api/v1/namespaces/{namespace}/configmaps?{batches}")

    def start(self) -> "Witness":
        for collection in (self.jobs, self.pods, self.files):
            collection.start()
        return self

    def stop(self) -> None:
        for collection in (self.jobs, self.pods, self.files):
            collection.stop()
