"""The verdict on an ended index, by the worker's contract."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_support import CLAIM, batch, file_of
from periodic_sync.core.outcomes import FAILED_UNEXPLAINED, RETURNED, SUCCEEDED, Ending, Verdict, failed_users
from periodic_sync.core.results import End, Judgement, end_of, judge, outcomes
from periodic_sync.core.views import Exit, PodView
from result_support import NAMES_U1, USERS, exit_of, pod, said

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


def ends_of(judgement: Judgement, *, probe: bool) -> list[Ending]:
    file = file_of(batch("u0", "u1", "u2"), probe=probe)
    return [outcome.ending for outcome in outcomes(file, 0, judgement.verdict, ended_at=1)]


def test_nobody_is_blamed_for_a_probe() -> None:
    partly = judge(USERS, End.FAILED, [pod(NAMES_U1)])
    assert ends_of(partly, probe=False) == [Ending.SYNCED, Ending.FAILED, Ending.SYNCED]
    assert ends_of(partly, probe=True) == [Ending.SYNCED, Ending.UNBLAMED, Ending.SYNCED]
    for end, some in ((End.FAILED, [pod(exit_of(3))]), (End.GONE, [])):
        assert set(ends_of(judge(USERS, end, some), probe=True)) == {Ending.UNBLAMED}
