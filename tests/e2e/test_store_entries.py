"""What applications write into the store, good and bad."""

import json
from datetime import timedelta

import pytest

from cluster_support import eventually
from live.scene import HOUR, Scene, record, spec
from live.service import SyncService

SKIPPED = {
    "no JSON": "{",
    "a list": "[]",
    "empty": "",
    "no wallet": json.dumps({"lastActive": "2026-01-01T00:00:00Z"}),
    "no lastActive": json.dumps({"wallet": "0x1"}),
    "lastActive is no instant": json.dumps({"wallet": "0x1", "lastActive": "yesterday"}),
    "lastActive is a number": json.dumps({"wallet": "0x1", "lastActive": 1764000000}),
    "lastActive is ahead": json.dumps(record(seen=-HOUR)),
    "wallet is too long": json.dumps(record(wallet="0" * 129)),
    "wallet is an object": json.dumps(record(wallet={})),
    "userId has a blank": json.dumps(record(userId="a b")),
    "deep nesting": "[" * 50_000,
}
"""Entries that are no users at all, by what is wrong with them."""

IN_PART = {
    "interval is no duration": record(interval="often"),
    "interval is negative": record(interval="-5s"),
    "unknown time zone": record(timeZone="Mars/Olympus"),
    "request is ahead": record(syncRequestedAt="2099-01-01T00:00:00Z"),
    "changedTokens is a list": record(changedTokens=["0x1"]),
}
"""Entries of users who are synced by the policy's own values."""


@pytest.mark.parametrize("batches_per_job", [2])
def test_malformed_entries_are_counted_and_named_and_stop_nobody(
    scene: Scene, service: SyncService, batches_per_job: int
) -> None:
    good = {user: json.dumps(record()) for user in scene.user_ids(5)}
    in_part = {f"{title.replace(' ', '-')}.{scene.namespace}": value for title, value in IN_PART.items()}
    bad = {f"{title.replace(' ', '-')}.{scene.namespace}": text for title, text in SKIPPED.items()}
    scene.write_entries({**good, **{user: json.dumps(value) for user, value in in_part.items()}, **bad})
    scene.apply(spec(service.worker, jobs={"batchesPerJob": batches_per_job}))

    def all_good_ones_are_synced() -> None:
        assert set(service.synced(scene.namespace)) == set(good) | set(in_part)
        assert scene.status()["usersSynced"] == len(good) + len(in_part)

    eventually(all_good_ones_are_synced, seconds=90)
    status, store = scene.status(), scene.condition("StoreReady")
    assert (status["totalUsers"], status["skippedEntries"]) == (len(good) + len(in_part), len(bad) + len(in_part))
    assert (store["status"], scene.condition("Ready")["status"]) == ("True", "True")
    named = [title for title in (*SKIPPED, *IN_PART) if title.replace(" ", "-") in store["message"]]
    assert len(named) >= 3, store["message"]


def test_a_store_that_is_missing_is_said_and_taken_up_once_it_is_there(scene: Scene, service: SyncService) -> None:
    scene.apply(spec(service.worker))

    def is_said() -> None:
        ready, store = scene.condition("Ready"), scene.condition("StoreReady")
        assert (ready["status"], ready["reason"], store["status"]) == ("False", "StoreNotReady", "False")
        assert "user-activity" in store["message"]

    eventually(is_said)
    users = scene.user_ids(3)
    scene.write_users(users)
    eventually(lambda: _assert_synced(service, scene, set(users)), seconds=60)
    eventually(lambda: _assert_ready(scene))


def test_a_labelled_configmap_is_a_further_shard(scene: Scene, service: SyncService) -> None:
    first, second = scene.user_ids(3), scene.user_ids(3, "x")
    scene.write_users(first)
    scene.apply(spec(service.worker))
    eventually(lambda: _assert_synced(service, scene, set(first)), seconds=60)
    entries = {user: json.dumps(record(seen=timedelta(minutes=1))) for user in second}
    scene.write_entries(entries, store="more-users", labels={"sync.moonx.farm/store": "user-activity"})
    eventually(lambda: _assert_synced(service, scene, {*first, *second}), seconds=60)
    assert set(service.synced(scene.namespace).values()) == {1}


def _assert_synced(service: SyncService, scene: Scene, users: set[str]) -> None:
    assert set(service.synced(scene.namespace)) == users


def _assert_ready(scene: Scene) -> None:
    assert scene.condition("Ready")["reason"] == "Scheduling"
    assert scene.condition("StoreReady")["status"] == "True"
