"""A ledger from nothing: what may run is in it, whatever is known of it."""

import pytest

from job_support import CLAIM, POLICY, batch, file_of
from ledger_support import job_seen
from periodic_sync.api.names import Priority
from periodic_sync.core.batch_files import BatchFile
from periodic_sync.core.ledger import Ledger, ManualRequest, Phase, Scope
from periodic_sync.core.objects import object_name
from periodic_sync.core.rebuild import rebuild
from result_support import pod

FILE = file_of(batch("u1", "u2", priority=Priority.HIGH), batch("u3"))
LATER = file_of(batch("u4"), claim=CLAIM + 5, probe=True)


def made(
    files: tuple[BatchFile, ...] = (),
    *jobs: str,
    unreadable: tuple[str, ...] = (),
    running: tuple[str, ...] = (),
    finished: bool = False,
    **status: object,
) -> Ledger:
    views = [job_seen(name, finished=finished, completions=2) for name in jobs]
    pods = [pod(job_name=name, unfinished=True) for name in running]
    return rebuild(files, unreadable, views, pods, status=status)


def test_a_new_policy_has_an_empty_ledger() -> None:
    assert made() == Ledger(totals=made().totals)
    assert not made().enabled


def test_the_objects_names_are_those_of_their_claims() -> None:
    assert FILE.name == object_name(POLICY.name, POLICY.uid, CLAIM)


def test_a_job_with_its_batch_file_goes_on_as_it_was() -> None:
    (job,) = made((FILE,), FILE.name).jobs
    assert job == FILE.open_job(Phase.CREATED)
    assert (job.sizes, job.priorities, job.open) == ((2, 1), (Priority.HIGH, Priority.MEDIUM), {0, 1})


def test_a_finished_job_with_its_batch_file_is_yet_to_be_settled() -> None:
    assert [job.phase for job in made((FILE,), FILE.name, finished=True).jobs] == [Phase.CREATED]


def test_a_batch_file_without_a_job_is_never_created() -> None:
    """Two operators that raced for a claim may each have proposed the same users."""
    assert made((FILE,)).jobs == (FILE.open_job(Phase.ABANDONED),)


def test_a_finished_job_without_a_batch_file_is_history() -> None:
    assert made((), "old", finished=True).jobs == ()


def test_a_running_pod_without_job_and_batch_file_is_waited_for() -> None:
    """Its Job was deleted by hand and given up, and it has its grace period left."""
    (job,) = made(running=("gone",)).jobs
    assert (job.name, job.phase, job.open, job.sizes) == ("gone", Phase.CREATED, {0}, (0,))


def test_the_pods_of_what_is_known_add_nothing() -> None:
    assert made((FILE,), FILE.name, "running", running=(FILE.name, "running")) == made((FILE,), FILE.name, "running")


def test_a_running_job_without_a_batch_file_is_waited_for() -> None:
    (job,) = made((), "running").jobs
    assert (job.name, job.phase, job.open, job.sizes) == ("running", Phase.CREATED, {0, 1}, (0, 0))


def test_an_unreadable_batch_file_without_a_job_is_open_until_it_is_deleted() -> None:
    (job,) = made(unreadable=("odd",)).jobs
    assert (job.name, job.phase, job.open) == ("odd", Phase.CREATED, {0})


def test_a_running_job_with_an_unreadable_batch_file_is_one_flight() -> None:
    assert [job.name for job in made((), "odd", unreadable=("odd",)).jobs] == ["odd"]


def test_the_next_claim_is_above_all_that_is_found() -> None:
    ledger = made((FILE, LATER), FILE.name)
    assert ledger.last_claim == CLAIM + 5
    assert ledger.next_claim(now=0, highest_in_store=0) == CLAIM + 6


def test_everything_that_is_open_is_named_in_the_order_of_names() -> None:
    names = [job.name for job in made((LATER, FILE), "z", unreadable=("a",)).jobs]
    assert names == sorted(names)
    assert len(names) == 4


def test_a_probe_stays_a_probe() -> None:
    assert [job.probe for job in made((LATER,), LATER.name).jobs] == [True]


@pytest.mark.parametrize(
    ("status", "request_", "completed"),
    [
        pytest.param({}, None, "", id="no request"),
        pytest.param(
            {"lastHandledRequest": "t1", "lastCompletedRequest": "t1"},
            ManualRequest("t1", Scope.NAMED, 0, completed=True),
            "t1",
            id="a request that is completed stays so",
        ),
        pytest.param({"lastHandledRequest": "t2", "lastCompletedRequest": "t1"}, None, "t1", id="one under way"),
        pytest.param({"lastHandledRequest": "t2"}, None, "", id="the first one, under way"),
    ],
)
def test_requests(status: dict[str, str], request_: ManualRequest | None, completed: str) -> None:
    ledger = made(**status)
    assert (ledger.request, ledger.last_completed_request) == (request_, completed)


@pytest.mark.parametrize(
    ("status", "synced", "failed"),
    [
        pytest.param({}, 0, 0, id="a new policy"),
        pytest.param({"usersSynced": 70, "usersFailed": 3}, 70, 3, id="as the status says"),
        pytest.param({"usersSynced": "many"}, 0, 0, id="a status that says nonsense"),
    ],
)
def test_the_running_totals_go_on_from_the_status(status: dict[str, object], synced: int, failed: int) -> None:
    totals = made(**status).totals
    assert (sum(totals.synced.values()), sum(totals.failed.values())) == (synced, failed)
