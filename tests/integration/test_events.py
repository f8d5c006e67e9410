"""Events as `kubectl get events` shows them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster_support import Kubectl
from job_support import POLICY
from periodic_sync.api.durations import MINUTE
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.connect import connected
from periodic_sync.kube.events import LONGEST_NOTE, PolicyEvents

NOON = 1_795_608_000_000


class Said:
    """One policy's events, a clock to set, and what the API server keeps of them."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.now = NOON
        self.kubectl = kubectl
        self.events: PolicyEvents

    def kept(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.kubectl.get("events.events.k8s.io")["items"]
        return sorted(items, key=lambda item: str(item["eventTime"]))


@pytest.fixture
async def said(api_server: Path, kubectl: Kubectl) -> AsyncIterator[Said]:
    bench = Said(kubectl)
    policy = PolicyRef(kubectl.namespace, POLICY.name, POLICY.uid)
    async with connected(str(api_server)) as client:
        bench.events = PolicyEvents(client, policy, "operator-7f", lambda: bench.now)
        yield bench


async def test_an_event_is_about_the_policy(said: Said) -> None:
    await said.events.warning("JobRefused", "exceeded quota")
    (event,) = said.kept()
    assert (event["type"], event["reason"], event["note"]) == ("Warning", "JobRefused", "exceeded quota")
    assert event["eventTime"] == "2026-11-25T12:00:00.000000Z"
    assert (event["regarding"]["kind"], event["regarding"]["uid"]) == ("SyncPolicy", POLICY.uid)
    assert (event["reportingController"], event["reportingInstance"]) == ("periodic-sync", "operator-7f")
    shown = said.kubectl("get", "events", "--field-selector", f"involvedObject.name={POLICY.name}")
    assert "exceeded quota" in shown


async def test_the_same_words_are_not_said_again_for_ten_minutes(said: Said) -> None:
    for minutes in (0, 5, 9):
        said.now = NOON + minutes * MINUTE
        await said.events.normal("Scheduling", "Syncing 4 users")
    assert len(said.kept()) == 1
    said.now = NOON + 10 * MINUTE
    await said.events.normal("Scheduling", "Syncing 4 users")
    assert len(said.kept()) == 2


async def test_other_words_are_said_at_once(said: Said) -> None:
    await said.events.normal("Scheduling", "Syncing 4 users")
    said.now += 1
    await said.events.normal("Scheduling", "Syncing 5 users")
    assert [event["note"] for event in said.kept()] == ["Syncing 4 users", "Syncing 5 users"]


async def test_long_words_are_cut_to_what_the_server_takes(said: Said) -> None:
    await said.events.warning("JobRefused", "x" * 5000)
    assert [len(event["note"]) for event in said.kept()] == [LONGEST_NOTE]


async def test_an_event_that_can_t_be_written_is_only_logged(said: Said, caplog: pytest.LogCaptureFixture) -> None:
    await said.events.warning("no reason with blanks" * 20, "refused by the server, whose reasons have 128 characters")
    assert said.kept() == []
    assert "an Event can't be written" in caplog.messages
