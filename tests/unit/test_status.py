"""The status, folded from what a turn found."""

from dataclasses import replace
from typing import Any

import pytest

from ledger_support import open_job
from periodic_sync.api.names import Priority
from periodic_sync.core.ledger import Breaker, Ledger, ManualRequest, Phase, Refusal, Scope, Totals
from periodic_sync.core.status import LONGEST_MESSAGE, Counts, Findings, Obstacle, Status, fold
from periodic_sync.core.status_writes import NOTHING_WRITTEN, Written, changes, is_urgent
from scheduling import NOON, instant

LEDGER = Ledger(generation=3, enabled=True)
COUNTS = Counts(
    total=10,
    active=4,
    stale=1,
    due=2,
    in_flight=3,
    next_due=instant("2026-11-25T12:05:00Z"),
    due_by_priority={Priority.HIGH: 1, Priority.MEDIUM: 1},
)
FOUND = Findings(
    now=NOON,
    generation=3,
    enabled=True,
    store="ConfigMap/users",
    is_market_hours=True,
    ledger=LEDGER,
    counts=COUNTS,
    is_store_read=True,
)
MEND = Obstacle("NotReady", "create it")


def status_of(found: Findings = FOUND, previous: Status | None = None) -> Status:
    return fold(previous or {}, found)


def conditions(status: Status) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}


def message(status: Status, kind: str = "Ready") -> str:
    (found,) = [one["message"] for one in status["conditions"] if one["type"] == kind]
    return str(found)


def test_everything_a_turn_found() -> None:
    ledger = replace(
        LEDGER,
        jobs=(open_job(),),
        last_schedule=NOON,
        last_sync=NOON - 500,
        totals=Totals(synced={"high": 5, "low": 6}, failed={"medium": 2}),  # type: ignore[dict-item]
        request=ManualRequest("t2", Scope.ALL, 5),
        last_completed_request="t1",
    )
    status = status_of(replace(FOUND, ledger=ledger, skipped=7))
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "observedGeneration": 3,
        "enabled": True,
        "running": True,
        "isMarketHours": True,
        "store": "ConfigMap/users",
        "totalUsers": 10,
        "activeUsers": 4,
        "staleUsers": 1,
        "dueUsers": 2,
        "dueUsersByPriority": {"high": 1, "medium": 1, "low": 0},
        "inFlightUsers": 3,
        "skippedEntries": 7,
        "activeJobs": 1,
        "lastScheduleTime": "2026-11-25T12:00:00Z",
        "lastSyncTime": "2026-11-25T11:59:59Z",
        "nextScheduledSync": "2026-11-25T12:05:00Z",
        "lastHandledRequest": "t2",
        "lastCompletedRequest": "t1",
        "usersSynced": 11,
        "usersFailed": 2,
    }


REFUSED = replace(LEDGER, refusal=Refusal(1, NOON, 3, "exceeded quota"))
FAILING = replace(LEDGER, breaker=Breaker(failed_batches=3))


@pytest.mark.parametrize(
    ("found", "ready", "running"),
    [
        pytest.param(FOUND, ("True", "Scheduling"), True, id="all is well"),
        pytest.param(replace(FOUND, counts=None), ("True", "Scheduling"), True, id="the users are being read"),
        pytest.param(replace(FOUND, enabled=False), ("True", "Paused"), False, id="disabled"),
        pytest.param(
            replace(FOUND, enabled=False, store_obstacle=MEND), ("True", "Paused"), False, id="disabled beats all else"
        ),
        pytest.param(
            replace(FOUND, stalled=MEND, store_obstacle=MEND), ("False", "Stalled"), False, id="stalled beats the store"
        ),
        pytest.param(replace(FOUND, rebuilding=MEND), ("False", "RebuildingLedger"), False, id="no ledger yet"),
        pytest.param(replace(FOUND, store_obstacle=MEND), ("False", "StoreNotReady"), False, id="store missing"),
        pytest.param(replace(FOUND, ledger=FAILING), ("False", "WorkerFailing"), True, id="the breaker is open"),
        pytest.param(replace(FOUND, ledger=REFUSED), ("False", "JobRefused"), True, id="a Job was refused"),
        pytest.param(
            replace(FOUND, worker_obstacle=Obstacle("WorkerFailing", "no image")),
            ("False", "WorkerFailing"),
            True,
            id="worker pods can't start",
        ),
    ],
)
def test_the_ready_condition_has_the_first_reason_that_applies(
    found: Findings, ready: tuple[str, str], running: bool
) -> None:
    status = status_of(found)
    assert conditions(status)["Ready"] == ready
    assert status["running"] is running


def test_messages_say_what_to_know() -> None:
    assert message(status_of()) == "Syncing 4 active users, in market hours."
    assert message(status_of(), "StoreReady") == "All entries are readable."
    assert "next try after 2026-11-25T12:00:30Z: exceeded quota" in message(status_of(replace(FOUND, ledger=REFUSED)))
    assert "3 batches in a row" in message(status_of(replace(FOUND, ledger=FAILING)))
    paused = replace(FOUND, enabled=False, ledger=replace(LEDGER, jobs=(open_job(sizes=(1, 1)),)))
    assert "2 batches claimed before still run" in message(status_of(paused))


def test_stalled_is_there_only_while_true() -> None:
    stalled = status_of(replace(FOUND, stalled=Obstacle("UnknownTimeZone", "no such zone")))
    assert conditions(stalled)["Stalled"] == ("True", "UnknownTimeZone")
    assert "Stalled" not in conditions(status_of(FOUND, stalled))


def test_store_ready_is_always_there() -> None:
    unread = replace(FOUND, counts=None, is_store_read=False)
    first = status_of(unread)
    assert conditions(first)["StoreReady"] == ("Unknown", "NotRead")
    assert conditions(status_of(unread, status_of()))["StoreReady"] == ("True", "Readable")


def test_counters_that_are_unknown_keep_what_was_known() -> None:
    gone = status_of(replace(FOUND, counts=None, store_obstacle=MEND), status_of())
    assert (gone["totalUsers"], gone["dueUsers"]) == (10, 2)
    assert conditions(gone)["StoreReady"] == ("False", "NotReady")


def test_a_disabled_policy_has_nothing_due_and_no_next_sync() -> None:
    status = status_of(replace(FOUND, enabled=False), status_of())
    assert status["dueUsers"] == 0
    assert status["dueUsersByPriority"] == {"high": 0, "medium": 0, "low": 0}
    assert "nextScheduledSync" not in status


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    def at(status: Status) -> str:
        return str(status["conditions"][0]["lastTransitionTime"])

    first = status_of()
    later = status_of(replace(FOUND, now=NOON + 60_000, generation=4, ledger=replace(LEDGER, generation=4)), first)
    assert at(later) == at(first) == "2026-11-25T12:00:00Z"
    assert later["conditions"][0]["observedGeneration"] == 4
    turned = status_of(replace(FOUND, now=NOON + 60_000, store_obstacle=MEND), first)
    assert at(turned) == "2026-11-25T12:01:00Z"


@pytest.mark.parametrize(
    ("found", "acknowledged"),
    [
        pytest.param(FOUND, (3, True), id="the ledger acted on it"),
        pytest.param(replace(FOUND, ledger=replace(LEDGER, generation=2)), (None, None), id="the ledger is behind"),
        pytest.param(replace(FOUND, ledger=replace(LEDGER, generation=4)), (None, None), id="it was superseded"),
        pytest.param(
            replace(FOUND, enabled=False, ledger=replace(LEDGER, enabled=False)), (3, False), id="nothing is claimed"
        ),
        pytest.param(
            replace(FOUND, enabled=False, ledger=replace(LEDGER, enabled=False, jobs=(open_job(phase=Phase.CLAIMED),))),
            (None, None),
            id="a claim may yet become a Job",
        ),
        pytest.param(
            replace(FOUND, enabled=False, ledger=replace(LEDGER, enabled=False, jobs=(open_job(phase=Phase.CREATED),))),
            (3, False),
            id="a Job that runs to its end is no hindrance",
        ),
        pytest.param(replace(FOUND, ledger=None, stalled=MEND), (3, True), id="an obstacle is told of this spec"),
        pytest.param(replace(FOUND, enabled=False, ledger=None), (None, None), id="a pause needs the ledger"),
    ],
)
def test_a_generation_is_acknowledged_once_it_is_in_force(
    found: Findings, acknowledged: tuple[int | None, bool | None]
) -> None:
    status = status_of(found)
    assert (status.get("observedGeneration"), status.get("enabled")) == acknowledged


def test_a_pause_that_is_not_in_force_is_not_shown_as_one() -> None:
    enabled = status_of()
    ledger = replace(LEDGER, generation=4, enabled=False, jobs=(open_job(phase=Phase.CLAIMED),))
    waiting = status_of(replace(FOUND, generation=4, enabled=False, ledger=ledger), enabled)
    assert (waiting["observedGeneration"], waiting["enabled"]) == (3, True)


def test_long_messages_are_cut() -> None:
    status = status_of(replace(FOUND, store_obstacle=Obstacle("NotReady", "x" * 99_999)))
    assert len(message(status, "StoreReady")) == LONGEST_MESSAGE


def test_a_store_that_works_all_the_same_says_what_to_know() -> None:
    assert message(status_of(replace(FOUND, store_note="u1 is there twice")), "StoreReady") == "u1 is there twice"


@pytest.mark.parametrize(
    ("previous", "new", "patch"),
    [
        pytest.param({"a": 1}, {"a": 1}, {}, id="nothing changed"),
        pytest.param({"a": 1}, {"a": 2, "b": 0}, {"a": 2, "b": 0}, id="changed and new"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, {"b": None}, id="gone"),
        pytest.param({"a": False}, {"a": 0}, {}, id="equal in JSON's eyes or not, harmless"),
    ],
)
def test_changes(previous: Status, new: Status, patch: Status) -> None:
    assert changes(previous, new) == patch


def test_a_turn_that_finds_the_same_changes_nothing() -> None:
    first = status_of()
    assert changes(first, status_of(replace(FOUND, now=NOON + 1_000), first)) == {}


def condition(reason: str = "Scheduling", words: str = "4 users", generation: int = 3) -> dict[str, Any]:
    about = {"type": "Ready", "status": "True", "reason": reason, "message": words, "observedGeneration": generation}
    return {"conditions": [{**about, "lastTransitionTime": "2026-11-25T12:00:00Z"}]}


@pytest.mark.parametrize(
    ("patch", "urgent"),
    [
        pytest.param({"dueUsers": 3, "lastSyncTime": "x", "usersSynced": 1}, False, id="counters"),
        pytest.param({"nextScheduledSync": None}, False, id="a counter that goes"),
        pytest.param(condition(words="5 users"), False, id="other words of a condition"),
        pytest.param(condition(reason="Paused"), True, id="another reason"),
        pytest.param(condition(generation=4), True, id="a condition of another generation"),
        pytest.param({"observedGeneration": 4}, True, id="an acknowledgement"),
        pytest.param({"enabled": False}, True, id="a pause"),
        pytest.param({"lastHandledRequest": "t"}, True, id="a token"),
        pytest.param({"dueUsers": 3, "lastCompletedRequest": "t"}, True, id="a token among counters"),
    ],
)
def test_what_a_person_waits_for_is_urgent(patch: Status, urgent: bool) -> None:
    assert is_urgent(condition(), patch) is urgent


OLDER = Written(sent={"totalUsers": 3, "new": 1}, kept={"totalUsers": 3})
"""Written where the CRD does not know the field `new`."""


@pytest.mark.parametrize(
    ("previous", "new", "unsent"),
    [
        pytest.param({"totalUsers": 3}, {"totalUsers": 3, "new": 1}, {}, id="what was dropped is sent once"),
        pytest.param({"totalUsers": 3}, {"totalUsers": 3, "new": 2}, {"new": 2}, id="it has changed"),
        pytest.param({"totalUsers": 3}, {"totalUsers": 4, "new": 1}, {"totalUsers": 4}, id="something else has"),
        pytest.param({"totalUsers": 9}, {"totalUsers": 3, "new": 1}, {"totalUsers": 3}, id="others have changed it"),
        pytest.param({}, {"totalUsers": 3, "new": 1}, {"totalUsers": 3}, id="others have removed it"),
        pytest.param(
            {"totalUsers": 3, "new": 7}, {"totalUsers": 3, "new": 1}, {"new": 1}, id="a newer CRD, and others wrote it"
        ),
        pytest.param({"totalUsers": 3, "odd": 1}, {"totalUsers": 3, "new": 1}, {"odd": None}, id="others added one"),
    ],
)
def test_what_the_api_server_would_drop_again_is_not_written_again(
    previous: Status, new: Status, unsent: Status
) -> None:
    assert OLDER.unsent(previous, changes(previous, new)) == unsent


def test_an_operator_that_has_written_nothing_writes_all_that_differs() -> None:
    patch = changes({"a": 1, "b": 2}, {"b": 3, "c": 0})
    assert NOTHING_WRITTEN.unsent({"a": 1, "b": 2}, patch) == patch == {"a": None, "b": 3, "c": 0}
