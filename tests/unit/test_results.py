"""The verdict on an ended index, by the worker's contract, and what it adds to the ledger."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_support import CLAIM, batch, file_of
from periodic_sync.core.batch_files import BatchUser
from periodic_sync.core.outcomes import FAILED_UNEXPLAINED, RETURNED, SUCCEEDED, Ending, Verdict, apply, failed_users
from periodic_sync.core.results import (
    NO_REASON,
    End,
    Judgement,
    UnreadableMessageError,
    end_of,
    judge,
    outcomes,
    read_message,
    tally,
)
from periodic_sync.core.transitions import Tally
from periodic_sync.core.users import UserState
from periodic_sync.core.views import Exit, PodView

USERS = batch("u0", "u1", "u2").users


def exit_of(code: int = 1, message: str = "", *, signal: int | None = None, reason: str = "Error", at: int = 9) -> Exit:
    return Exit(code, signal, reason, message, at)


def pod(end: Exit | None = None, **fields: object) -> PodView:
    """A pod of the index that has ended."""
    view = PodView(
        name="pod",
        uid="pod-uid",
        policy="portfolios",
        job_name="job",
        job_uid="job-uid",
        index=0,
        unfinished=False,
        gone_by=None,
        created_at=1,
        worker_exit=end,
        disrupted=False,
        deleting=False,
        deadline_exceeded=False,
        waiting=None,
        node="node-1",
    )
    return replace(view, **fields)  # type: ignore[arg-type]


def said(**fields: object) -> str:
    return json.dumps({"version": 1, **fields})


NAMES_U1 = exit_of(1, said(failed={"u1": "rpc timeout"}))

VERDICTS: dict[str, tuple[End, list[PodView], Verdict, str]] = {
    "a completed index needs no pod": (End.COMPLETED, [], SUCCEEDED, "completed"),
    "a completed index is synced whatever its pods say": (End.COMPLETED, [pod(NAMES_U1)], SUCCEEDED, "completed"),
    "an index of a Job that is gone": (End.GONE, [], RETURNED, "gone before its result was read"),
    "a Job that is gone is never a success, whatever its pods say": (
        End.GONE,
        [pod(exit_of(0))],
        RETURNED,
        "gone before its result was read",
    ),
    "a failed index without a pod": (End.FAILED, [], RETURNED, "no pod is left to tell"),
    "the named user has failed": (
        End.FAILED,
        [pod(NAMES_U1)],
        failed_users(["u1"]),
        "exit code 1, 1 of 3 users named as failed",
    ),
    "exit 0, though a helper failed": (
        End.FAILED,
        [pod(exit_of(0, reason="Completed"))],
        SUCCEEDED,
        "its worker succeeded, though its pod did not",
    ),
    "exit 0 whatever the message says": (
        End.FAILED,
        [pod(exit_of(0, said(failed={"u1": "x"})))],
        SUCCEEDED,
        "its worker succeeded, though its pod did not",
    ),
    "no message": (End.FAILED, [pod(exit_of(3))], FAILED_UNEXPLAINED, "exit code 3 and no termination message"),
    "a message that is not JSON": (
        End.FAILED,
        [pod(exit_of(2, "Traceback of 0xwallet"))],
        FAILED_UNEXPLAINED,
        "exit code 2 and a termination message that is not JSON, or was cut off at 4 KiB",
    ),
    "out of memory": (
        End.FAILED,
        [pod(exit_of(137, reason="OOMKilled"))],
        FAILED_UNEXPLAINED,
        "its worker was killed: exit code 137 (OOMKilled)",
    ),
    "killed, with a message from before": (
        End.FAILED,
        [pod(exit_of(143, said(failed={"u1": "x"})))],
        FAILED_UNEXPLAINED,
        "its worker was killed: exit code 143",
    ),
    "a signal that the runtime tells as one": (
        End.FAILED,
        [pod(exit_of(0, signal=9))],
        FAILED_UNEXPLAINED,
        "its worker was killed: exit code 0",
    ),
    "exit 255 is no signal": (
        End.FAILED,
        [pod(exit_of(255, said(failed={"u1": "x"})))],
        failed_users(["u1"]),
        "exit code 255, 1 of 3 users named as failed",
    ),
    "a command that is not there": (
        End.FAILED,
        [pod(exit_of(128, 'exec: "/nope": no such file', reason="StartError"))],
        FAILED_UNEXPLAINED,
        "exit code 128 (StartError) and a termination message that is not JSON, or was cut off at 4 KiB",
    ),
    "longer than its deadline, whatever it says at the end": (
        End.FAILED,
        [pod(NAMES_U1, deadline_exceeded=True)],
        FAILED_UNEXPLAINED,
        "it ran longer than jobs.deadline",
    ),
    "longer than its deadline, and then exit 0 on being told to stop": (
        End.FAILED,
        [pod(exit_of(0), deadline_exceeded=True)],
        FAILED_UNEXPLAINED,
        "it ran longer than jobs.deadline",
    ),
    "never started before its deadline": (
        End.FAILED,
        [pod(None, deadline_exceeded=True)],
        RETURNED,
        "its worker was never seen to end",
    ),
    "disrupted, whatever it says at the end": (
        End.FAILED,
        [pod(NAMES_U1, disrupted=True)],
        RETURNED,
        "its pod was evicted, preempted or deleted",
    ),
    "disrupted at its deadline": (
        End.FAILED,
        [pod(NAMES_U1, disrupted=True, deadline_exceeded=True)],
        RETURNED,
        "its pod was evicted, preempted or deleted",
    ),
    "deleted": (
        End.FAILED,
        [pod(exit_of(0), deleting=True)],
        RETURNED,
        "its pod was evicted, preempted or deleted",
    ),
    "no exit of the worker seen": (End.FAILED, [pod(None)], RETURNED, "its worker was never seen to end"),
    "of two pods, the one that tells": (
        End.FAILED,
        [pod(NAMES_U1, name="a"), pod(None, name="b"), pod(exit_of(3, at=99), name="c", deleting=True)],
        failed_users(["u1"]),
        "exit code 1, 1 of 3 users named as failed",
    ),
    "of two that tell, the last": (
        End.FAILED,
        [pod(exit_of(3, at=10), name="a"), pod(NAMES_U1, name="b")],
        FAILED_UNEXPLAINED,
        "exit code 3 and no termination message",
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdict_on(case: str) -> None:
    end, pods, verdict, why = VERDICTS[case]
    for order in (pods, pods[::-1]):
        judgement = judge(USERS, end, order)
        assert (judgement.verdict, judgement.why) == (verdict, why)


@pytest.mark.parametrize(("index", "end"), [(0, End.COMPLETED), (1, End.FAILED), (2, End.GONE)])
def test_how_an_index_ended_stands_in_its_job(index: int, end: End) -> None:
    assert end_of(index, completed=frozenset({0}), failed=frozenset({1})) is end


NAMED: dict[str, tuple[str, dict[str, str]]] = {
    "an id with its reason": (said(failed={"u1": "rpc timeout"}), {"u1": "rpc timeout"}),
    "positions": (said(failedIndexes="0,2"), {"u0": NO_REASON, "u2": NO_REASON}),
    "both, which may overlap": (
        said(failed={"u2": "slow"}, failedIndexes="1-2"),
        {"u1": NO_REASON, "u2": "slow"},
    ),
    "everyone": (said(failedIndexes="0-2"), {"u0": NO_REASON, "u1": NO_REASON, "u2": NO_REASON}),
    "somebody of another batch beside one of this": (said(failed={"u1": "x", "u9": "x"}), {"u1": "x"}),
    "positions far beyond the batch": (said(failedIndexes="2-999999999"), {"u2": NO_REASON}),
    "an empty reason": (said(failed={"u1": ""}), {"u1": NO_REASON}),
    "a reason that is null": (said(failed={"u1": None}), {"u1": NO_REASON}),
    "a reason that is a number": (said(failed={"u1": 503}), {"u1": "503"}),
    "a reason that is an object": (said(failed={"u1": {"code": 503}}), {"u1": '{"code": 503}'}),
    "null for empty, as some languages write it": (said(failed=None, failedIndexes="1"), {"u1": NO_REASON}),
    "fields of later days": (said(failedIndexes="1", synced=2), {"u1": NO_REASON}),
    "a line break at the end": (said(failedIndexes="1") + "\n", {"u1": NO_REASON}),
    "control characters": (said(failed={"u1": "a\x1b[31mred\nb\x00"}), {"u1": "a [31mred b"}),
    "the user's wallet": (said(failed={"u1": "no such 0xWALLET-of-u1!"}), {"u1": "no such (wallet)!"}),
    "another user's wallet": (said(failed={"u1": "like 0xwallet-of-u2"}), {"u1": "like (wallet)"}),
    "what looks like a wallet": (said(failed={"u1": f"0x{'aB' * 20} is unknown"}), {"u1": "(wallet) is unknown"}),
    "a reason without an end": (said(failed={"u1": "x" * 5000}), {"u1": "x" * 199 + "…"}),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_message_names(case: str) -> None:
    message, named = NAMED[case]
    assert read_message(message, USERS) == named


UNREADABLE: dict[str, tuple[str, str]] = {
    "nothing": ("", "no termination message"),
    "white space": (" \n", "no termination message"),
    "a log line": ("panic: runtime error", "not JSON"),
    "a message cut off by the kubelet": (said(failedIndexes="1")[:-3], "not JSON"),
    "two messages": (said(failedIndexes="1") * 2, "not JSON"),
    "JSON that is no object": ('["u1"]', "not of version 1"),
    "no version": ('{"failed":{"u1":"x"}}', "not of version 1"),
    "a version to come": ('{"version":2,"failed":{"u1":"x"}}', "not of version 1"),
    "a version in quotes": ('{"version":"1","failed":{"u1":"x"}}', "not of version 1"),
    "a version that is true": ('{"version":true,"failed":{"u1":"x"}}', "not of version 1"),
    "nobody": (said(), "names nobody"),
    "nobody, twice": (said(failed={}, failedIndexes=""), "names nobody"),
    "only users of other batches": (said(failed={"u9": "x"}, failedIndexes="3-7"), "names nobody"),
    "ids in a list": (said(failed=["u1"]), "failed is no object"),
    "a position as a number": (said(failedIndexes=1), "failedIndexes no string"),
    "positions in a list": (said(failedIndexes=[1]), "failedIndexes no string"),
    "a range that falls, beside one that doesn't": (said(failedIndexes="0,2-1"), "ends before it begins"),
    "positions that are none, beside a good id": (said(failed={"u1": "x"}, failedIndexes="all"), "wrong failedIndexes"),
    "nested beyond reason": ("[" * 60_000, "not JSON"),
    "a number beyond reason": ('{"version":' + "1" * 10_000 + "}", "not JSON"),
    "a message beyond reason": (said(failedIndexes="1", note="x" * 70_000), "far too long"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_message_that_nobody_is_judged_by(case: str) -> None:
    message, why = UNREADABLE[case]
    with pytest.raises(UnreadableMessageError, match=why):
        read_message(message, USERS)
    judgement = judge(USERS, End.FAILED, [pod(exit_of(1, message))])
    assert judgement.verdict == FAILED_UNEXPLAINED
    assert why in judgement.why


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["u1", "0-2", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["version", "failed", "failedIndexes", "u0", "u1", "u9"]), inner, max_size=4)
    ),
    max_leaves=10,
)
ends = st.builds(
    Exit,
    code=st.integers(0, 256),
    signal=st.none() | st.integers(0, 64),
    reason=st.text(max_size=20),
    message=st.text(max_size=40) | json_values.map(json.dumps) | st.just(said(failedIndexes="1")),
    finished_at=st.none() | st.integers(),
)
pods = st.builds(
    pod,
    st.none() | ends,
    name=st.text(max_size=3),
    disrupted=st.booleans(),
    deleting=st.booleans(),
    deadline_exceeded=st.booleans(),
)


@given(end=st.sampled_from(End), some=st.lists(pods, max_size=3))
def test_any_end_gives_each_user_one_outcome_and_one_line_for_logs(end: End, some: list[PodView]) -> None:
    file = file_of(batch("u0", "u1", "u2", request=7))
    judgement = judge(USERS, end, some)
    ended = outcomes(file, 0, judgement.verdict, ended_at=99)
    assert [outcome.user_id for outcome in ended] == ["u0", "u1", "u2"]
    assert all((it.claim, it.claimed_at, it.batch_size, it.request) == (CLAIM, CLAIM, 3, 7) for it in ended)
    for line in (judgement.why, *judgement.reasons.values()):
        assert line.isprintable()
        assert len(line) <= 500
    assert set(judgement.reasons) == judgement.verdict.failed


@given(end=st.sampled_from(End), some=st.lists(pods, max_size=3))
def test_only_an_exit_that_was_seen_counts_against_anybody(end: End, some: list[PodView]) -> None:
    judgement = judge(USERS, end, some)
    seen = [it for it in some if it.worker_exit is not None and not it.disrupted and not it.deleting]
    if judgement.verdict.failed or not judgement.verdict.explained:
        assert end is End.FAILED
        assert seen


@given(some=st.permutations([pod(NAMES_U1, name="a"), pod(exit_of(0, at=5), name="b"), pod(None, name="c")]))
def test_the_order_of_pods_does_not_matter(some: list[PodView]) -> None:
    assert judge(USERS, End.FAILED, some) == judge(USERS, End.FAILED, some[::-1])


@given(st.text(st.characters(), min_size=1, max_size=12), st.text(max_size=20), st.text(max_size=20))
def test_no_reason_shows_a_wallet_of_the_batch(wallet: str, before: str, after: str) -> None:
    user = BatchUser("u1", wallet)
    named = read_message(json.dumps({"version": 1, "failed": {"u1": before + wallet.upper() + after}}), [user])
    hidden = named["u1"].replace("(wallet)", "")
    assert len(wallet.strip()) < 6 or wallet not in hidden


def test_a_full_batch_in_which_everyone_failed_can_be_told() -> None:
    everyone = batch(*(f"u{number}" for number in range(1000))).users
    assert len(read_message(said(failedIndexes="0-999"), everyone)) == 1000


def ends_of(judgement: Judgement, *, probe: bool) -> list[Ending]:
    file = file_of(batch("u0", "u1", "u2"), probe=probe)
    return [outcome.ending for outcome in outcomes(file, 0, judgement.verdict, ended_at=1)]


def test_nobody_is_blamed_for_a_probe() -> None:
    partly = judge(USERS, End.FAILED, [pod(NAMES_U1)])
    assert ends_of(partly, probe=False) == [Ending.SYNCED, Ending.FAILED, Ending.SYNCED]
    assert ends_of(partly, probe=True) == [Ending.SYNCED, Ending.UNBLAMED, Ending.SYNCED]
    for end, some in ((End.FAILED, [pod(exit_of(3))]), (End.GONE, [])):
        assert set(ends_of(judge(USERS, end, some), probe=True)) == {Ending.UNBLAMED}


FAILED_BEFORE = UserState(last_synced=1, last_claim=5, last_outcome=5, failures=2)
FINE = UserState(last_synced=1, last_claim=5, last_outcome=5)
EVERYONE = ["u0", "u1", "u2"]

TALLIES: dict[str, tuple[list[str], bool, bool, Verdict, dict[str, UserState], Tally]] = {
    "all synced": (EVERYONE, False, False, SUCCEEDED, {}, Tally(synced=3, is_success=True)),
    "one of three failed": (
        EVERYONE,
        False,
        False,
        failed_users(["u1"]),
        {},
        Tally(synced=2, failed=1, is_success=True),
    ),
    "all three named": (EVERYONE, False, False, failed_users(EVERYONE), {}, Tally(failed=3, is_failure_evidence=True)),
    "an unexplained failure of many: all failed, though nobody is blamed": (
        EVERYONE,
        False,
        False,
        FAILED_UNEXPLAINED,
        {},
        Tally(failed=3, is_failure_evidence=True),
    ),
    "an unexplained failure of one is its own": (
        ["u0"],
        False,
        False,
        FAILED_UNEXPLAINED,
        {"u0": FINE},
        Tally(failed=1, is_failure_evidence=True),
    ),
    "alone and failed before: rather the user's than the worker's": (
        ["u0"],
        False,
        False,
        failed_users(["u0"]),
        {"u0": FAILED_BEFORE},
        Tally(failed=1),
    ),
    "alone, failed before, and the only active user there is": (
        ["u0"],
        True,
        False,
        failed_users(["u0"]),
        {"u0": FAILED_BEFORE},
        Tally(failed=1, is_failure_evidence=True),
    ),
    "two that failed before": (
        ["u0", "u1"],
        False,
        False,
        failed_users(["u0", "u1"]),
        {"u0": FAILED_BEFORE, "u1": FAILED_BEFORE},
        Tally(failed=2, is_failure_evidence=True),
    ),
    "never heard of before": (
        ["u0"],
        False,
        False,
        failed_users(["u0"]),
        {},
        Tally(failed=1, is_failure_evidence=True),
    ),
    "returned: neither total, no evidence": (EVERYONE, True, False, RETURNED, {}, Tally()),
    "a probe that failed": (EVERYONE, False, True, FAILED_UNEXPLAINED, {}, Tally(failed=3, is_failure_evidence=True)),
    "a probe that was returned": (EVERYONE, False, True, RETURNED, {}, Tally()),
    "a probe that synced somebody": (
        EVERYONE,
        False,
        True,
        failed_users(["u0"]),
        {},
        Tally(synced=2, failed=1, is_success=True),
    ),
}


@pytest.mark.parametrize("case", TALLIES)
def test_the_ledger_adds(case: str) -> None:
    ids, whole, probe, verdict, states, expected = TALLIES[case]
    file = file_of(batch(*ids, whole=whole), probe=probe)
    ended = outcomes(file, 0, verdict, ended_at=1)
    assert tally(file.batches[0], verdict, ended, states) == expected
    # A crash may have come between storing the outcomes and closing the index: the ledger adds the same.
    stored = {it.user_id: apply(states.get(it.user_id, UserState()), it) for it in ended}
    assert tally(file.batches[0], verdict, ended, stored) == expected
