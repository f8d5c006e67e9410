"""Which finished Jobs the history limits keep."""

import pytest

from ledger_support import job_seen, open_job
from periodic_sync.api.spec import History
from periodic_sync.controller.housekeeping import past_history
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.views import JobView


def succeeded(name: str, at: int | None, **fields: object) -> JobView:
    return job_seen(name, finished=True, succeeded=True, finished_at=at, **fields)


def failed(name: str, at: int | None, **fields: object) -> JobView:
    return job_seen(name, finished=True, finished_at=at, **fields)


def history(succeeded: int = 1, failed: int = 1) -> History:
    return History(succeeded=succeeded, failed=failed)


@pytest.mark.parametrize(
    ("jobs", "limits", "surplus"),
    [
        pytest.param([], history(), [], id="nothing"),
        pytest.param([succeeded("a", 1), failed("b", 2)], history(), [], id="each kind has a limit of its own"),
        pytest.param([succeeded("a", 1), succeeded("b", 3), succeeded("c", 2)], history(), ["c", "a"], id="the newest"),
        pytest.param([failed(name, 5) for name in "bac"], history(failed=2), ["a"], id="a tie is broken by name"),
        pytest.param([succeeded("a", 1), failed("b", 2)], history(0, 0), ["a", "b"], id="a history of nothing"),
        pytest.param([job_seen("a"), succeeded("b", 1)], history(0), ["b"], id="a running Job is no history"),
        pytest.param([succeeded("a", 1, deleting=True)], history(0), [], id="one that is being deleted already"),
        pytest.param([succeeded("open", 1), succeeded("b", 2)], history(0), ["b"], id="one that is open in the ledger"),
        pytest.param(
            [failed("a", None, created_at=9), failed("b", 5)],
            history(),
            ["b"],
            id="its start where its end is unknown",
        ),
    ],
)
def test_jobs_past_the_history(jobs: list[JobView], limits: History, surplus: list[str]) -> None:
    ledger = Ledger(jobs=(open_job("open"),))
    assert [job.name for job in past_history(jobs, ledger, limits)] == surplus
