"""From one ledger to the next."""

from dataclasses import replace

import pytest

from ledger_support import open_job
from periodic_sync.api.durations import MINUTE, SECOND
from periodic_sync.api.names import Priority
from periodic_sync.core import transitions
from periodic_sync.core.ledger import (
    Breaker,
    IntervalEdit,
    Intervals,
    Ledger,
    ManualRequest,
    OpenJob,
    Phase,
    RecentClaim,
    Refusal,
    Scope,
)
from periodic_sync.core.transitions import RETURNED, SupersededError, Tally

NOW = 1_000 * MINUTE
BEFORE, AFTER = Intervals(5 * MINUTE, 15 * MINUTE), Intervals(MINUTE, 15 * MINUTE)
LEDGER = Ledger(generation=2, enabled=True, intervals=BEFORE, last_claim=NOW - MINUTE)
REFUSAL = Refusal(count=1, at=NOW, generation=2, message="quota")
SUCCESS = Tally(synced=2, is_success=True)
FAILURE = Tally(failed=2, is_failure_evidence=True)


def follow(ledger: Ledger, generation: int, *, enabled: bool = True, intervals: Intervals = BEFORE) -> Ledger:
    return transitions.follow_spec(ledger, generation=generation, enabled=enabled, intervals=intervals, now=NOW)


def new_claim(number: int = NOW, **fields: object) -> OpenJob:
    return open_job(f"job-{number}", claim=number, phase=Phase.CLAIMED, **fields)


def claim(ledger: Ledger, *jobs: OpenJob, generation: int = 2) -> Ledger:
    return transitions.claim(ledger, jobs, generation=generation, now=NOW)


class TestFollowingTheSpec:
    def test_the_same_generation_changes_nothing(self) -> None:
        assert follow(LEDGER, 2) == LEDGER

    def test_a_newer_generation_is_acted_on(self) -> None:
        assert follow(LEDGER, 3, enabled=False) == replace(LEDGER, generation=3, enabled=False)

    def test_an_older_generation_is_superseded(self) -> None:
        with pytest.raises(SupersededError, match=r"generation 1 .*older than 2"):
            follow(LEDGER, 1)

    def test_an_edit_of_the_intervals_is_kept_with_what_was_before(self) -> None:
        assert follow(LEDGER, 3, intervals=AFTER).edit == IntervalEdit(NOW, BEFORE)

    def test_the_first_spec_is_no_edit(self) -> None:
        assert follow(Ledger(), 1).edit is None

    def test_an_edit_of_something_else_keeps_the_last_edit(self) -> None:
        edited = follow(LEDGER, 3, intervals=AFTER)
        assert follow(edited, 4, intervals=AFTER).edit == edited.edit

    def test_a_changed_spec_is_worth_a_try_at_once_after_a_refusal(self) -> None:
        refused = replace(LEDGER, refusal=REFUSAL)
        assert follow(refused, 2).refusal == REFUSAL
        assert follow(refused, 3).refusal is None


class TestRequests:
    def test_a_request_is_above_every_claim_given_so_far(self) -> None:
        ledger = transitions.take_request(replace(LEDGER, last_claim=50), token="t", scope=Scope.ALL, claim=70)
        assert ledger.request == ManualRequest("t", Scope.ALL, 70)
        assert ledger.next_claim(now=0, highest_in_store=0) > 70

    def test_the_same_token_changes_nothing(self) -> None:
        taken = transitions.take_request(LEDGER, token="t", scope=Scope.ALL, claim=1)
        assert transitions.take_request(taken, token="t", scope=Scope.ACTIVE, claim=99) is taken

    def test_the_newest_token_wins(self) -> None:
        taken = transitions.take_request(LEDGER, token="old", scope=Scope.ALL, claim=1)
        newer = transitions.take_request(taken, token="new", scope=Scope.NAMED, claim=1)
        assert newer.request is not None
        assert (newer.request.token, newer.request.scope) == ("new", Scope.NAMED)
        assert transitions.complete_request(newer, token="old") is newer

    def test_a_request_is_completed_once(self) -> None:
        taken = transitions.take_request(LEDGER, token="t", scope=Scope.ALL, claim=1)
        done = transitions.complete_request(taken, token="t")
        assert done.request is not None
        assert done.request.completed
        assert done.last_completed_request == "t"
        assert transitions.complete_request(done, token="t") is done

    def test_nothing_asked_for_can_t_be_completed(self) -> None:
        assert transitions.complete_request(LEDGER, token="t") is LEDGER


class TestClaiming:
    def test_a_claim_puts_a_job_in_flight_and_counts_its_users(self) -> None:
        job = new_claim(sizes=(3, 4))
        ledger = claim(LEDGER, job)
        assert ledger.jobs == (job,)
        assert ledger.last_claim == ledger.last_schedule == job.claim
        assert ledger.recent == (RecentClaim(NOW, 7),)

    def test_claims_of_more_than_a_minute_ago_are_forgotten(self) -> None:
        old = replace(LEDGER, recent=(RecentClaim(NOW - MINUTE, 5), RecentClaim(NOW - MINUTE + 1, 6)))
        assert claim(old, new_claim()).recent == (RecentClaim(NOW - MINUTE + 1, 6), RecentClaim(NOW, 2))

    def test_only_a_probe_counts_as_the_last_probe(self) -> None:
        assert claim(LEDGER, new_claim()).breaker.last_probe == 0
        assert claim(LEDGER, new_claim(probe=True)).breaker.last_probe == NOW

    @pytest.mark.parametrize(
        ("ledger", "jobs", "generation", "words"),
        [
            pytest.param(LEDGER, [new_claim()], 1, "planned on generation 1", id="planned on an older generation"),
            pytest.param(LEDGER, [new_claim()], 3, "planned on generation 3", id="planned on a newer generation"),
            pytest.param(replace(LEDGER, enabled=False), [new_claim()], 2, "disabled", id="a disabled policy"),
            pytest.param(LEDGER, [new_claim(LEDGER.last_claim)], 2, "not above", id="a number given before"),
            pytest.param(LEDGER, [new_claim(), new_claim()], 2, "not above", id="one number for two Jobs"),
            pytest.param(
                replace(LEDGER, jobs=(open_job("taken"),)),
                [replace(new_claim(), name="taken")],
                2,
                "not above",
                id="a name that is open",
            ),
        ],
    )
    def test_no_claim_passes(self, ledger: Ledger, jobs: list[OpenJob], generation: int, words: str) -> None:
        with pytest.raises(SupersededError, match=words):
            claim(ledger, *jobs, generation=generation)


class TestPhases:
    THREE = replace(LEDGER, jobs=(new_claim(1), new_claim(2), replace(new_claim(3), phase=Phase.ABANDONED)))

    def phases(self, ledger: Ledger) -> list[Phase]:
        return [job.phase for job in ledger.jobs]

    def test_a_job_that_was_seen_is_created(self) -> None:
        ledger = transitions.mark_created(self.THREE, ["job-1", "job-3", "unknown"])
        assert self.phases(ledger) == [Phase.CREATED, Phase.CLAIMED, Phase.ABANDONED]

    def test_a_job_that_was_created_puts_refusals_in_the_past(self) -> None:
        refused = replace(self.THREE, refusal=REFUSAL)
        assert transitions.mark_created(refused, ["job-1"]).refusal is None
        assert transitions.mark_created(refused, ["job-3"]) is refused

    def test_what_was_created_is_not_abandoned(self) -> None:
        created = transitions.mark_created(self.THREE, ["job-1"])
        ledger = transitions.abandon(created, ["job-1", "job-2"])
        assert self.phases(ledger) == [Phase.CREATED, Phase.ABANDONED, Phase.ABANDONED]

    def test_refusals_in_a_row_are_counted(self) -> None:
        once = transitions.note_refusal(LEDGER, message="quota", now=NOW)
        twice = transitions.note_refusal(once, message="still", now=NOW + SECOND)
        assert once.refusal == REFUSAL
        assert twice.refusal == Refusal(count=2, at=NOW + SECOND, generation=2, message="still")


class TestClosing:
    JOB = open_job(sizes=(2, 2), priorities=(Priority.HIGH, Priority.LOW))
    OPEN = replace(LEDGER, jobs=(open_job("other"), JOB))

    def close(self, ledger: Ledger, **tallies: Tally) -> Ledger:
        numbered = {int(index.removeprefix("i")): tally for index, tally in tallies.items()}
        return transitions.close(ledger, "job", numbered, now=NOW)

    def test_an_index_is_closed_while_others_stay_open(self) -> None:
        ledger = self.close(self.OPEN, i0=SUCCESS)
        job = ledger.job("job")
        assert job is not None
        assert job.open == {1}
        assert ledger.totals.synced[Priority.HIGH] == 2

    def test_the_last_index_ends_the_job(self) -> None:
        ledger = self.close(self.close(self.OPEN, i0=SUCCESS), i1=FAILURE)
        assert [job.name for job in ledger.jobs] == ["other"]
        assert (ledger.totals.synced[Priority.HIGH], ledger.totals.failed[Priority.LOW]) == (2, 2)

    def test_an_index_adds_to_the_totals_once(self) -> None:
        once = self.close(self.OPEN, i0=SUCCESS)
        assert self.close(once, i0=SUCCESS) is once
        over = self.close(self.OPEN, i0=SUCCESS, i1=SUCCESS)
        assert self.close(over, i0=SUCCESS, i1=SUCCESS) is over

    def test_an_index_that_was_counted_stays_in_flight_and_adds_nothing_when_it_is_closed(self) -> None:
        counted = transitions.count(self.OPEN, "job", {0: FAILURE}, now=NOW)
        assert transitions.count(counted, "job", {0: FAILURE}, now=NOW) is counted
        job = counted.job("job")
        assert job is not None
        assert (job.open, job.counted) == ({0, 1}, {0})
        closed = self.close(counted, i0=RETURNED, i1=SUCCESS)
        assert [job.name for job in closed.jobs] == ["other"]
        assert (closed.totals.failed[Priority.HIGH], closed.totals.synced[Priority.LOW]) == (2, 2)

    def test_an_index_that_never_was_is_no_index(self) -> None:
        assert self.close(self.OPEN, i7=SUCCESS) is self.OPEN

    def test_only_a_success_is_a_sync(self) -> None:
        assert self.close(self.OPEN, i0=SUCCESS).last_sync == NOW
        assert self.close(self.OPEN, i0=FAILURE, i1=RETURNED).last_sync is None

    @pytest.mark.parametrize(
        ("before", "tally", "after"),
        [
            pytest.param(1, FAILURE, 2, id="a failed batch counts"),
            pytest.param(5, SUCCESS, 0, id="a success ends it"),
            pytest.param(2, RETURNED, 2, id="a batch returned without blame is no evidence"),
            pytest.param(2, Tally(failed=1), 2, id="one user's own failure is no evidence"),
        ],
    )
    def test_the_breaker(self, before: int, tally: Tally, after: int) -> None:
        ledger = replace(self.OPEN, breaker=Breaker(before, last_probe=9))
        assert self.close(ledger, i0=tally).breaker == Breaker(after, last_probe=9)


@pytest.mark.parametrize(
    ("at", "cohorts", "kept"),
    [
        pytest.param(NOW + 1, 7, (NOW + 1, 7), id="a newer drop is fixed"),
        pytest.param(NOW, 7, (NOW, 3), id="the drop that is fixed already stays"),
        pytest.param(NOW - 1, 7, (NOW, 3), id="an older drop changes nothing"),
        pytest.param(NOW + 1, 0, (NOW + 1, 1), id="there is at least one cohort"),
    ],
)
def test_cohorts_are_fixed_once_for_each_drop(at: int, cohorts: int, kept: tuple[int, int]) -> None:
    ledger = transitions.spread(replace(LEDGER, cohorts_at=NOW, cohorts=3), at=at, cohorts=cohorts)
    assert (ledger.cohorts_at, ledger.cohorts) == kept
