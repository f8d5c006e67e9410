"""The next step for an open Job, from one look at what belongs to it."""

from dataclasses import dataclass, field

import pytest

from ledger_support import job_seen, open_job
from periodic_sync.api.durations import MINUTE, SECOND
from periodic_sync.core.ledger import Ledger, OpenJob, Phase
from periodic_sync.core.protocol import FAILURE_TARGET_PATIENCE, Look, Step, can_no_longer_be_claimed, next_step
from periodic_sync.core.views import JobView

NOW = 100 * MINUTE

STUCK = FAILURE_TARGET_PATIENCE
CLAIMED = open_job(phase=Phase.CLAIMED)
CREATED = open_job(phase=Phase.CREATED)
ABANDONED = open_job(phase=Phase.ABANDONED)
TWO_INDEXES = open_job(sizes=(2, 2))
SECOND_ONLY = open_job(sizes=(2, 2), open=frozenset({1}))

RUNNING = job_seen()
FINISHED = job_seen(finished=True)
DELETING = job_seen(deleting=True)
FIRST_COMPLETED = job_seen(completed=frozenset({0}), completions=2)
FIRST_FAILED = job_seen(failed=frozenset({0}), completions=2)
BOTH_ENDED = job_seen(completed=frozenset({0}), failed=frozenset({1}), completions=2)


def failing_for(milliseconds: int, **fields: object) -> JobView:
    return job_seen(failure_target_since=NOW - milliseconds, **fields)


@dataclass(frozen=True)
class Case:
    """What is seen of an open Job, and the step that follows."""

    name: str
    step: Step
    opened: OpenJob
    job: JobView | None = None
    file: bool = True
    pods: str = "none"
    """none, ended, running, or unbound: unfinished and without a node."""
    unfinished: frozenset[int] = frozenset()
    foreign: bool = False
    enabled: bool = True
    hopeless: bool = False
    look: Look = field(init=False)

    def __post_init__(self) -> None:
        look = Look(
            self.file,
            self.job,
            self.foreign,
            has_unfinished_pods=self.pods in ("running", "unbound"),
            has_pods=self.pods != "none",
            has_only_unbound_pods=self.pods == "unbound",
            unfinished_indexes=self.unfinished,
            is_hopeless=self.hopeless,
        )
        object.__setattr__(self, "look", look)


CASES = [
    # A claim whose Job was not seen.
    Case("a claim without a Job is created", Step.CREATE, CLAIMED),
    Case("a claim without a Job of a disabled policy is abandoned", Step.ABANDON, CLAIMED, enabled=False),
    Case("a claim whose Job is gone but whose pods run is waited for", Step.WAIT, CLAIMED, pods="running"),
    Case("a claim with ended pods had a Job a moment ago: look again", Step.WAIT, CLAIMED, pods="ended"),
    Case("a claim without batch file, Job and pods is over", Step.CLOSE, CLAIMED, file=False),
    Case("a claim without batch file whose pods run is waited for", Step.WAIT, CLAIMED, file=False, pods="running"),
    Case("a claim whose name a stranger's Job has is abandoned", Step.ABANDON, CLAIMED, foreign=True),
    # A Job that was created and is gone.
    Case("a deleted Job gives up its batch file first", Step.DELETE_FILE, CREATED),
    Case("a deleted Job whose pods run is waited for", Step.WAIT, CREATED, pods="running"),
    Case("a deleted Job with ended pods gives up its batch file", Step.DELETE_FILE, CREATED, pods="ended"),
    Case("a deleted Job without batch file is closed", Step.CLOSE, CREATED, file=False),
    Case("orphaned pods that no node has can't start without it", Step.DELETE_FILE, CREATED, pods="unbound"),
    Case("and are waited for once it is gone", Step.WAIT, CREATED, file=False, pods="unbound"),
    Case("orphaned pods that ended hold nobody in flight", Step.CLOSE, CREATED, file=False, pods="ended"),
    # A Job that is there.
    Case("a running Job is waited for", Step.WAIT, CREATED, RUNNING, pods="running"),
    Case("a Job whose pods are not there yet is waited for", Step.WAIT, CREATED, RUNNING),
    Case("a Job is waited for also when its policy is disabled", Step.WAIT, CREATED, RUNNING, enabled=False),
    Case("a claim whose Job is there runs like any other", Step.WAIT, CLAIMED, RUNNING),
    Case("an ended index is settled while others run", Step.SETTLE, TWO_INDEXES, FIRST_COMPLETED, pods="running"),
    Case("a failed index is settled while others run", Step.SETTLE, TWO_INDEXES, FIRST_FAILED, pods="running"),
    Case("an index that is closed is not settled again", Step.WAIT, SECOND_ONLY, FIRST_COMPLETED, pods="running"),
    Case("the last index waits until its Job says that it finished", Step.WAIT, TWO_INDEXES, BOTH_ENDED),
    Case("a finished Job gives up its batch file", Step.DELETE_FILE, CREATED, FINISHED, pods="ended"),
    Case("a finished Job whose pod still runs is waited for", Step.WAIT, CREATED, FINISHED, pods="running"),
    Case("a finished Job without batch file is closed", Step.CLOSE, CREATED, FINISHED, file=False),
    Case("a Job being deleted is waited for", Step.WAIT, CREATED, DELETING, pods="running"),
    Case("without pods that run it gives up its batch file", Step.DELETE_FILE, CREATED, DELETING),
    Case(
        "an index whose pod still runs is not settled, whatever the Job says",
        Step.WAIT,
        TWO_INDEXES,
        FIRST_COMPLETED,
        pods="running",
        unfinished=frozenset({0}),
    ),
    Case(
        "no index is settled before the ledger says that the Job was created",
        Step.WAIT,
        open_job(sizes=(2, 2), phase=Phase.CLAIMED),
        FIRST_COMPLETED,
    ),
    # A Job that can't fail, since a lost node holds it back.
    Case("a failing Job is given its time", Step.WAIT, CREATED, failing_for(FAILURE_TARGET_PATIENCE - 1)),
    Case("a Job that can't fail gives up its batch file first", Step.DELETE_FILE, CREATED, failing_for(STUCK)),
    Case("then it is deleted", Step.DELETE_JOB, CREATED, failing_for(STUCK), file=False),
    Case("it is deleted once", Step.WAIT, CREATED, failing_for(STUCK, deleting=True), pods="running"),
    Case("one whose pods can't ever start likewise", Step.DELETE_FILE, CREATED, RUNNING, pods="running", hopeless=True),
    Case("what ended of it is settled first", Step.SETTLE, TWO_INDEXES, failing_for(STUCK, failed=frozenset({1}))),
    # A Job whose batch file is gone, by a person's hand or since it is being given up.
    Case("a Job without batch file is deleted", Step.DELETE_JOB, CREATED, RUNNING, file=False),
    Case("a running Job without batch file is deleted", Step.DELETE_JOB, CREATED, RUNNING, file=False, pods="running"),
    Case("it is deleted once while it runs", Step.WAIT, CREATED, DELETING, file=False, pods="running"),
    Case("a finalizer on it holds nobody in flight", Step.CLOSE, CREATED, DELETING, file=False),
    # Abandoned claims.
    Case("an abandoned claim gives up its batch file first", Step.DELETE_FILE, ABANDONED),
    Case("an abandoned claim gives up its file before its Job", Step.DELETE_FILE, ABANDONED, RUNNING, pods="running"),
    Case("an abandoned claim with nothing left is closed", Step.CLOSE, ABANDONED, file=False),
    Case("the Job of an abandoned claim is deleted", Step.DELETE_JOB, ABANDONED, RUNNING, file=False),
    Case("deleted once", Step.WAIT, ABANDONED, DELETING, file=False, pods="running"),
    Case("a finalizer on a Job that is given up holds nobody in flight", Step.CLOSE, ABANDONED, DELETING, file=False),
    Case("pods that an abandoned claim left are waited for", Step.WAIT, ABANDONED, file=False, pods="running"),
    Case("a finished Job of an abandoned claim is no hindrance", Step.CLOSE, ABANDONED, FINISHED, file=False),
    Case("its late Job with a pod is deleted", Step.DELETE_JOB, ABANDONED, RUNNING, file=False, pods="running"),
    Case("a stranger's Job does not hold an abandoned claim", Step.CLOSE, ABANDONED, file=False, foreign=True),
    Case("nor is it ours to delete", Step.WAIT, ABANDONED, file=False, foreign=True, pods="running"),
    Case("the file goes first beside a stranger's Job", Step.DELETE_FILE, ABANDONED, foreign=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_next_step(case: Case) -> None:
    ledger = Ledger(enabled=case.enabled, jobs=(case.opened,))
    assert next_step(ledger, case.opened, case.look, now=NOW) is case.step


def test_only_files_that_no_open_job_names_can_be_swept() -> None:
    ledger = Ledger(jobs=(open_job("a"), open_job("b")))
    assert can_no_longer_be_claimed(frozenset({"a", "old", "older"}), ledger) == {"old", "older"}
    assert can_no_longer_be_claimed(frozenset(), ledger) == frozenset()


def test_a_clock_that_was_set_back_makes_nobody_impatient() -> None:
    job = job_seen(failure_target_since=NOW + 10 * SECOND)
    assert next_step(Ledger(jobs=(CREATED,)), CREATED, Look(True, job), now=NOW) is Step.WAIT
