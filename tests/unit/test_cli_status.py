"""`periodic-sync status` as people see it, and what it counts."""

from collections.abc import Iterable
from typing import Any

import pytest
from rich.console import Console

from periodic_sync.api.durations import HOUR, MINUTE, SECOND
from periodic_sync.api.names import Priority, Reason
from periodic_sync.cli.output import duration, printable, relative
from periodic_sync.cli.overview import Overview, document, tree, troubles_of
from periodic_sync.core.ledger import Ledger, ManualRequest, OpenJob, Phase, Scope, Totals
from periodic_sync.core.plan import Census, Population
from periodic_sync.core.users import NEVER_SYNCED, UserState
from periodic_sync.core.views import job_view, pod_view
from periodic_sync.inspection.waiting import Overdue, Waiting, of_all, of_population
from scheduling import NOON, ledger_of, policy, tick_of, user

HIGH, MEDIUM, LOW = Priority


def body(*, enabled: bool = True, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": "portfolios"},
        "spec": {"enabled": enabled},
        "status": status,
    }


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def job(name: str, *sizes: int, priority: Priority = HIGH, claimed_at: int = NOON, **more: Any) -> OpenJob:
    indexes = frozenset(range(len(sizes)))
    return OpenJob(name, 1, claimed_at, (priority,) * len(sizes), sizes, more.pop("open", indexes), **more)


def drawn(found: list[Overview], width: int = 80) -> str:
    console = Console(width=width, markup=False, highlight=False, emoji=False, color_system=None)
    with console.capture() as captured:
        console.print(tree(found, "shop"))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def busy() -> Overview:
    about = body(
        conditions=[
            condition("Ready", "True", "Scheduling", "Syncing 340 active users."),
            condition("StoreReady", "True", "Readable", "1 entries skipped, wholly or in part: u3: no wallet"),
        ],
        isMarketHours=True,
        store="ConfigMap/user-activity",
        totalUsers=1250,
        activeUsers=340,
        staleUsers=5,
        dueUsers=12,
        inFlightUsers=27,
        skippedEntries=1,
        lastSyncTime="2026-11-25T11:59:48Z",
        nextScheduledSync="2026-11-25T12:00:30Z",
    )
    ledger = Ledger(
        jobs=(
            job("portfolios-abc123-x1", 10, 7, 10, open=frozenset({0, 1}), claimed_at=NOON - 90 * SECOND),
            job("portfolios-abc123-x2", 10, priority=MEDIUM, phase=Phase.CREATED, claimed_at=NOON - SECOND, probe=True),
        ),
        totals=Totals({HIGH: 40, MEDIUM: 90210}, {MEDIUM: 12}),
    )
    waiting = Waiting({HIGH: 2, MEDIUM: 10, LOW: 0}, longest=Overdue("u17", NOON - 3 * MINUTE - 10 * SECOND))
    troubles = {"portfolios-abc123-x1": ["ImagePullBackOff: no such image [bold]\x1b[31m"]}
    return Overview(about, NOON, ledger, troubles, waiting)


def test_a_busy_policy_fits_into_80_columns() -> None:
    assert drawn([busy()]) == (
        "shop/portfolios  enabled, ready (Scheduling), market open\n"
        "├── 1250 users: 340 active, 5 stale, 12 due, 27 in flight\n"
        "├── 1 entries of the store are skipped: 1 entries skipped, wholly or in part:\n"
        "│   u3: no wallet\n"
        "├── last sync 12s ago, next due in 30s; users in ConfigMap/user-activity\n"
        "├── behind 3m10s: u17 is due since 2026-11-25T11:56:50.000Z\n"
        "├── High     2 waiting  17 in flight     40 synced   0 failed\n"
        "│   └── portfolios-abc123-x1  2 of 3 batches open, 17 users, claimed 1m30s ago,\n"
        "│       claimed\n"
        "│       └── ImagePullBackOff: no such image [bold] [31m\n"
        "├── Medium  10 waiting  10 in flight  90210 synced  12 failed\n"
        "│   └── portfolios-abc123-x2  1 batch, 10 users, claimed 1s ago, created, a\n"
        "│       probe\n"
        "└── Low      0 waiting   0 in flight      0 synced   0 failed"
    )


def test_a_policy_that_is_in_trouble_says_so_first() -> None:
    no_store = condition("StoreReady", "False", "NotReady", "ConfigMap shop/users does not exist")
    not_ready = condition("Ready", "False", "StoreNotReady", "ConfigMap shop/users does not exist")
    seen = Overview(body(conditions=[not_ready, no_store], store="ConfigMap/users"), NOON, notes=["pods: no right"])
    assert drawn([seen]) == (
        "shop/portfolios  enabled, not ready (StoreNotReady)\n"
        "├── ConfigMap shop/users does not exist\n"
        "├── last sync never; users in ConfigMap/users\n"
        "├── pods: no right\n"
        "├── High    ? waiting  0 in flight  0 synced  0 failed\n"
        "├── Medium  ? waiting  0 in flight  0 synced  0 failed\n"
        "└── Low     ? waiting  0 in flight  0 synced  0 failed"
    )


@pytest.mark.parametrize(
    ("following", "enabled", "is_silent"),
    [
        pytest.param("2026-11-25T11:58:59Z", True, True, id="due for more than a minute, and nothing was said"),
        pytest.param("2026-11-25T11:59:01Z", True, False, id="the word may be on its way"),
        pytest.param("2026-11-25T11:58:59Z", False, False, id="paused, the old word says nothing"),
    ],
)
def test_an_operator_that_says_nothing_any_more_is_noticed(following: str, enabled: bool, is_silent: bool) -> None:
    shown = drawn([Overview(body(enabled=enabled, nextScheduledSync=following), NOON)], width=200)
    assert ("is it running? `periodic-sync check portfolios -n shop` looks" in shown) is is_silent


def test_who_is_in_flight_is_told_as_the_queues_tell_it() -> None:
    seen = busy()
    seen.body["status"]["inFlightUsers"] = 3  # some seconds old
    assert "12 due, 27 in flight" in drawn([seen])
    seen.ledger = Ledger()
    assert "12 due, 3 in flight" in drawn([seen])


def test_without_a_look_at_the_users_who_waits_is_what_the_operator_said() -> None:
    seen = Overview(body(dueUsersByPriority={"high": 1, "medium": 20, "low": 0}), NOON)
    assert [seen.queue(priority).waiting for priority in Priority] == [1, 20, 0]
    seen.waiting = Waiting({HIGH: 0, MEDIUM: 3, LOW: 0})
    assert seen.queue(MEDIUM).waiting == 3


def test_several_policies_are_one_tree_and_none_is_a_sentence() -> None:
    paused = Overview(body(enabled=False), NOON)
    assert drawn([paused, busy()]).startswith("2 policies\n├── shop/portfolios  paused, not ready (no word from the")
    assert drawn([]) == "No SyncPolicies in namespace shop: --all-namespaces looks everywhere"


def test_of_hundreds_of_jobs_the_first_are_shown() -> None:
    seen = Overview(body(), NOON, Ledger(jobs=tuple(job(f"job-{n}", 10) for n in range(25))))
    assert "job-9 " in drawn([seen])
    assert "job-10 " not in drawn([seen])
    assert "and 15 more Jobs" in drawn([seen])
    assert len(document(seen)["jobs"]) == 25


def test_programs_get_the_same_with_instants() -> None:
    found = document(busy())
    assert found["byPriority"]["high"] == {"waiting": 2, "inFlight": 17, "synced": 40, "failed": 0}
    assert found["behind"] == {"userId": "u17", "dueSince": "2026-11-25T11:56:50.000Z", "duration": "3m10s"}
    assert found["jobs"][0] | {"troubles": []} == {
        "name": "portfolios-abc123-x1",
        "priority": "high",
        "phase": "claimed",
        "probe": False,
        "claimedAt": "2026-11-25T11:58:30.000Z",
        "batches": 3,
        "openBatches": 2,
        "users": 27,
        "openUsers": 17,
        "troubles": [],
    }
    assert document(Overview(body(), NOON))["behind"] is None


def pod(name: str, **status: Any) -> Any:
    return pod_view({"metadata": {"name": name, "labels": {"batch.kubernetes.io/job-name": "j"}}, "status": status})


def container(**state: Any) -> list[dict[str, Any]]:
    return [{"name": "worker", "state": state}]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"phase": "Running", "containerStatuses": container(running={})}, []),
        ({"containerStatuses": container(waiting={"reason": "ContainerCreating"})}, []),
        (
            {"containerStatuses": container(waiting={"reason": "ErrImagePull", "message": "denied"})},
            ["ErrImagePull: denied"],
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"}]},
            ["Unschedulable: full"],
        ),
        (
            {"phase": "Running", "containerStatuses": container(terminated={"exitCode": 3})},
            ["the worker of p ended with 3"],
        ),
        ({"phase": "Failed", "containerStatuses": container(terminated={"exitCode": 3})}, []),
    ],
)
def test_pods_tell_what_holds_them_up(status: dict[str, Any], said: list[str]) -> None:
    assert troubles_of([], [pod("p", **status)]) == ({"j": said} if said else {})


def test_jobs_tell_what_holds_them_up() -> None:
    failed = [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]
    views: Iterable[Any] = [
        job_view({"metadata": {"name": "queued"}, "spec": {"suspend": True}}),
        job_view({"metadata": {"name": "late"}, "status": {"conditions": failed}}),
    ]
    assert troubles_of(views, []) == {
        "queued": ["suspended, such as by a queue: it starts once that lets it"],
        "late": ["DeadlineExceeded: too long"],
    }


class TestWaiting:
    def test_who_waits_longest_is_the_one_that_came_due_first_by_the_clock(self) -> None:
        users = [
            (user("regular"), UserState(last_synced=NOON - 6 * MINUTE)),
            (user("stale"), UserState(last_synced=NOON - 2 * HOUR)),
            (user("never"), NEVER_SYNCED),
            (user("flying"), UserState(last_synced=NOON - 9 * HOUR)),
            (user("asked", sync_requested_at=NOON - SECOND), UserState(last_synced=NOON - 3 * HOUR)),
            (user("gone", last_active=NOON - 48 * HOUR), UserState(last_synced=NOON - 72 * HOUR)),
            (user("not-due"), UserState(last_synced=NOON - MINUTE)),
            (user("backing-off"), UserState(last_synced=NOON - 8 * HOUR, failures=1, failed_at=NOON - SECOND)),
        ]
        found = of_all(users, tick_of(in_flight={"flying": NOON - SECOND}))
        assert found.by_priority == {HIGH: 3, MEDIUM: 1, LOW: 0}
        assert found.longest == Overdue("stale", NOON - 2 * HOUR + 5 * MINUTE)
        assert found.never_synced == 1

    def test_a_request_for_all_waits_at_low(self) -> None:
        spec = policy()
        ledger = ledger_of(spec, request=ManualRequest("t", Scope.ALL, 5))
        found = of_all([(user("u1"), UserState(last_synced=NOON - MINUTE))], tick_of(spec, ledger=ledger))
        assert (found.by_priority[LOW], found.longest) == (1, None)

    def test_a_census_counts_those_who_are_not_at_hand(self) -> None:
        counts = {Reason.DUE_REQUESTED: 1, Reason.DUE_STALE: 20, Reason.DUE_REGULAR: 300, Reason.DUE_BULK: 4000}
        census = Census(10_000, 9_000, 20, 4321, 4000, counts, None)
        users = [(user("u1"), UserState(last_synced=NOON - 6 * MINUTE))]
        found = of_population(Population(users, census), tick_of())
        assert found.by_priority == {HIGH: 21, MEDIUM: 300, LOW: 4000}
        assert found.longest == Overdue("u1", NOON - MINUTE)
        assert of_population(Population(users), tick_of()).by_priority == {HIGH: 0, MEDIUM: 1, LOW: 0}

    def test_whom_a_request_for_many_has_not_come_to_waits_at_low_as_the_operator_counts(self) -> None:
        counts = {Reason.DUE_STALE: 20, Reason.DUE_BULK: 100}
        census = Census(10_000, 9_000, 20, 9_000, 9_000, counts, None)
        assert of_population(Population([], census), tick_of()).by_priority == {HIGH: 20, MEDIUM: 0, LOW: 8_980}


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (-5, "0s"),
        (999, "0s"),
        (59 * SECOND, "59s"),
        (MINUTE, "1m"),
        (90 * SECOND, "1m30s"),
        (HOUR, "1h"),
        (HOUR + 59 * SECOND, "1h"),
        (25 * HOUR + 3 * MINUTE, "1d1h"),
        (100 * 24 * HOUR, "100d"),
    ],
)
def test_durations_have_two_units_at_most(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


def test_instants_are_told_beside_now() -> None:
    told = [relative(at, NOON) for at in (None, NOON, NOON - MINUTE, NOON + MINUTE)]
    assert told == ["never", "0s ago", "1m ago", "in 1m"]


def test_control_characters_of_others_stay_out_of_the_terminal() -> None:
    assert printable("a\x1b]0;title\x07b\nc\u202ed") == "a ]0;title b c d"
