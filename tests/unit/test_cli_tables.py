"""The tables of `periodic-sync users`, `why`, `plan` and `sync`, as people see them at 80 columns and in a pipe."""

from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from periodic_sync.api.durations import HOUR, MINUTE, SECOND
from periodic_sync.api.names import Priority, Reason
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.cli import plan as plans
from periodic_sync.cli import sync, users, why
from periodic_sync.cli.options import Output
from periodic_sync.cli.output import columns, show
from periodic_sync.cli.selection import Found
from periodic_sync.client.backend import Known
from periodic_sync.core.due import Decision
from periodic_sync.core.ledger import ManualRequest, Scope
from periodic_sync.core.plan import plan
from periodic_sync.core.users import NEVER_SYNCED, UserState
from periodic_sync.inspection.why import Why
from scheduling import NOON, ledger_of, policy, tick_of, user


def drawn(shown: RenderableType, width: int = 80) -> str:
    console = Console(width=width, markup=False, highlight=False, emoji=False, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def listed(*known: Known, **more: object) -> Found:
    spec = policy()
    tick = tick_of(spec, in_flight={"flying": NOON - SECOND})
    found = Found(SyncPolicy("p", "shop", "uid", 1, spec), tick, **more)  # type: ignore[arg-type]
    for each in known:
        found.add(each)
    return found


def test_users_stand_in_rows_with_what_is_to_be_known_of_them() -> None:
    found = listed(
        Known(user("auth0:smile:[b]"), UserState(last_synced=NOON - 6 * MINUTE)),
        Known(user("flying", last_active=NOON - HOUR), NEVER_SYNCED),
        Known(user("failed"), UserState(last_synced=NOON - 2 * HOUR, failures=12, failed_at=NOON - 10 * SECOND)),
        Known(user("unknown"), None),
    )
    assert drawn(users._table(found, False)) == (
        "USER             REASON      DUE        SYNCED  ACTIVE  FAILURES\n"
        "auth0:smile:[b]  DueRegular  1m ago     6m ago  0s ago\n"
        "flying           InFlight    in 4m59s   never   1h ago\n"
        "failed           BackingOff  in 59m50s  2h ago  0s ago        12\n"
        "unknown          DueStale    0s ago     ?       0s ago"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cursor": "dTE="}, "There are more: --cursor dTE=, or --all"),
        ({"has_more": True}, "There are more: --limit, or --all"),
    ],
)
def test_that_there_are_more_is_said(more: dict[str, object], said: str) -> None:
    assert drawn(users._table(listed(Known(user(), None), **more), False)).endswith(said)
    assert drawn(users._table(listed(**more), False)).startswith("No such users")


def test_an_id_that_is_long_is_folded_and_not_cut_off() -> None:
    shown = drawn(users._table(listed(Known(user("x" * 128), None)), True))
    assert shown.count("x") == 128 + 129  # the wallet is 0x and the id
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    table = columns("user", "wallet")
    table.add_row("u" * 128, "w" * 128)
    show(Output.TABLE, {}, lambda: table)
    assert [len(line.split()) for line in capsys.readouterr().out.splitlines()] == [2, 2]


def test_why_says_it_in_a_sentence_with_when() -> None:
    decision = Decision(Reason.RATE_LIMITED, Priority.HIGH, NOON - MINUTE, NOON + 30 * SECOND, Reason.DUE_STALE)
    assert drawn(why._table("ada", Why(decision, "Due, but usersPerMinute is used up.", NOON))) == (
        "User       ada\n"
        "Reason     RateLimited\n"
        "           Due, but usersPerMinute is used up.\n"
        "Held from  DueStale\n"
        "Priority   High\n"
        "Due        1m ago (2026-11-25T11:59:00.000Z)\n"
        "Until      in 30s (2026-11-25T12:00:30.000Z)"
    )


def test_a_plan_has_its_jobs_and_what_holds_the_others() -> None:
    spec = policy(batchSize=2, jobs={"maxConcurrentBatches": 3, "batchesPerJob": 2})
    stale = [(user(f"s{number}"), UserState(last_synced=NOON - 2 * HOUR)) for number in range(3)]
    due = [(user(f"d{number}"), UserState(last_synced=NOON - 6 * MINUTE)) for number in range(6)]
    made = plan([*stale, *due, (user("fine"), UserState(last_synced=NOON - MINUTE))], tick_of(spec))
    assert drawn(plans._table(made, "")) == (
        "At 2026-11-25T12:00:00.000Z, market open, interval 5m\n"
        "10 users: 10 active, 3 stale, 9 due, 0 in flight\n"
        "\n"
        "JOB  BATCHES  HIGH  MEDIUM  LOW  USERS\n"
        "1          2     2                   4\n"
        "2          1             1           2\n"
        "2 Jobs with 3 batches and 6 users in all\n"
        "\n"
        "REASON              USERS\n"
        "DueStale                3\n"
        "DueRegular              3\n"
        "NotDue                  1\n"
        "WaitingForCapacity      3\n"
        "Who is due and not claimed waits: WaitingForCapacity\n"
        "Next due in 4m, at 2026-11-25T12:04:00.000Z"
    )
    document = plans.document(made, "")
    assert (document["claimedUsers"], document["held"]) == (6, {"reason": "WaitingForCapacity", "until": None})


def test_a_plan_of_nothing_says_why() -> None:
    spec = policy()
    made = plan([], tick_of(spec, ledger=ledger_of(spec, request=ManualRequest("t", Scope.ALL, 1))))
    shown = drawn(plans._table(made, "The store is away"))
    assert "The store is away" in shown
    assert "No Jobs" in shown


def test_what_became_of_a_request_is_said() -> None:
    asked = sync.Asked("portfolios", "t", "named", ["u1"], NOON)
    assert drawn(sync._table(asked)) == "asked to sync 1 user, as request t: --wait follows it to its end"
    over = replace(asked, is_over=True, users=["u1", "u2"])
    assert drawn(sync._table(over)) == "2 users synced"
    failed = replace(over, failed=[Known(user("u2"), UserState(unexplained=1))])
    assert drawn(sync._table(failed)) == "2 users tried, 1 failed\nFAILED  FAILURES  SINCE\nu2             0"
