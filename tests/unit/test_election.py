"""Who leads, as a table of what an operator knows: pure values, and a clock of numbers."""

import pytest

from periodic_sync.core.election import (
    LEASE,
    LONGEST_JITTER,
    RENEW_DEADLINE,
    REQUEST_TIMEOUT,
    RETRY,
    Act,
    LeaseRecord,
    Standing,
)

NOW = 1_000_000
ME, OTHER = "pod-a_1", "pod-b_2"


def held(by: str, renewed: str = "t1", transitions: int = 3) -> LeaseRecord:
    return LeaseRecord(by, "t0", renewed, transitions)


def standing(record: LeaseRecord | None, *, unchanged_for: int = 0, renewed_ago: int | None = None) -> Standing:
    renewed_at = None if renewed_ago is None else NOW - renewed_ago
    return Standing(ME, record, changed_at=NOW - unchanged_for, renewed_at=renewed_at)


@pytest.mark.parametrize(
    ("known", "act"),
    [
        pytest.param(standing(None), Act.CREATE, id="there is no Lease"),
        pytest.param(standing(held("")), Act.TAKE_FREE, id="it was released"),
        pytest.param(standing(held(ME), renewed_ago=0), Act.RENEW, id="it is the leader's own"),
        pytest.param(standing(held(ME)), Act.RENEW, id="it is its own, by a write whose answer was lost"),
        pytest.param(standing(held(ME), unchanged_for=10 * LEASE), Act.RENEW, id="it is its own, and long over"),
        pytest.param(standing(held(OTHER)), Act.WAIT, id="somebody holds it"),
        pytest.param(standing(held(OTHER), unchanged_for=LEASE - 1), Act.WAIT, id="somebody holds it just so long"),
        pytest.param(standing(held(OTHER), unchanged_for=LEASE), Act.TAKE_OVER, id="nobody renewed it"),
    ],
)
def test_what_to_do_about_the_lease(known: Standing, act: Act) -> None:
    assert known.act(NOW) is act


class TestFinding:
    def test_one_that_was_over_long_before_it_was_first_seen_is_waited_for(self) -> None:
        """The times in a record are another machine's."""
        found = Standing(ME).found(LeaseRecord(OTHER, "1970-01-01", "1970-01-01", 0), NOW)
        assert found.act(NOW) is Act.WAIT
        assert found.act(NOW + LEASE) is Act.TAKE_OVER

    def test_each_renewal_is_waited_for_anew_and_the_same_record_is_not(self) -> None:
        found = Standing(ME).found(held(OTHER, "t1"), NOW).found(held(OTHER, "t2"), NOW + 10_000)
        assert found.found(held(OTHER, "t2"), NOW + 20_000).changed_at == NOW + 10_000

    @pytest.mark.parametrize(
        "record",
        [
            pytest.param(held(OTHER, "t1"), id="renewed by a clock that went back"),
            pytest.param(held("pod-c_3", "t2"), id="taken by a third one"),
            pytest.param(held(OTHER, "t2", transitions=4), id="lost and won again"),
        ],
    )
    def test_any_change_is_a_renewal(self, record: LeaseRecord) -> None:
        found = standing(held(OTHER, "t2"), unchanged_for=LEASE).found(record, NOW)
        assert found.act(NOW) is Act.WAIT

    @pytest.mark.parametrize(
        ("record", "leads"),
        [
            pytest.param(held(ME), True, id="still its own"),
            pytest.param(held(OTHER), False, id="held by somebody else"),
            pytest.param(held(""), True, id="emptied by hand"),
            pytest.param(None, True, id="deleted by hand"),
        ],
    )
    def test_a_leader_that_finds_the_lease(self, record: LeaseRecord | None, leads: bool) -> None:
        found = standing(held(ME), renewed_ago=1_000).found(record, NOW)
        assert found.leads(NOW) is leads


class TestLeading:
    def test_it_lasts_until_the_deadline_after_the_last_renewal_was_sent(self) -> None:
        wrote = Standing(ME).wrote(held(ME), sent_at=NOW)
        assert wrote.leads(NOW + RENEW_DEADLINE - 1)
        assert not wrote.leads(NOW + RENEW_DEADLINE)

    def test_an_answer_that_comes_after_the_deadline_is_worth_nothing(self) -> None:
        """The process was frozen between sending and reading it."""
        assert not Standing(ME).wrote(held(ME), sent_at=NOW - LEASE).leads(NOW)

    def test_who_has_stepped_down_leads_again_only_by_a_new_renewal(self) -> None:
        known = standing(held(ME), renewed_ago=1_000).stepped_down()
        assert not known.leads(NOW)
        assert known.wrote(held(ME), NOW).leads(NOW)

    def test_a_leader_has_stopped_before_anybody_may_take_its_lease(self) -> None:
        """Also where its clock runs slower than the other's by a tenth, and its turns take their time to end."""
        turns_to_end = 2_000
        assert (RENEW_DEADLINE + turns_to_end) * 1.1 < LEASE

    def test_a_successor_is_found_within_twenty_seconds(self) -> None:
        """By one who saw the last renewal late by a whole pause, and then waits for a request that gets no answer."""
        pause = round(RETRY * (1 + LONGEST_JITTER))
        assert pause + LEASE + REQUEST_TIMEOUT <= 18_000


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, LeaseRecord(ME, "now", "now", 0), id="the first one"),
        pytest.param(held(ME), LeaseRecord(ME, "t0", "now", 3), id="a renewal"),
        pytest.param(held(OTHER), LeaseRecord(ME, "now", "now", 4), id="a takeover"),
        pytest.param(held(""), LeaseRecord(ME, "now", "now", 4), id="of one that was released"),
    ],
)
def test_what_a_claim_writes(before: LeaseRecord | None, after: LeaseRecord) -> None:
    assert standing(before).claim("now") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(held(ME), LeaseRecord("", "t0", "now", 3), id="its own"),
        pytest.param(held(OTHER), None, id="somebody else's"),
        pytest.param(held(""), None, id="nobody's"),
        pytest.param(None, None, id="none"),
    ],
)
def test_what_a_release_writes(before: LeaseRecord | None, after: LeaseRecord | None) -> None:
    assert standing(before).release("now") == after


@pytest.mark.parametrize(
    ("known", "chance", "pause"),
    [
        pytest.param(standing(held(ME), renewed_ago=0), 0.0, RETRY, id="a leader that has just renewed"),
        pytest.param(standing(held(ME), renewed_ago=0), 1.0, RETRY * 1.2, id="by chance a little longer"),
        pytest.param(standing(held(ME), renewed_ago=7_000), 1.0, 1_000, id="a leader near its deadline"),
        pytest.param(standing(held(ME), renewed_ago=60_000), 1.0, 0, id="a leader past it"),
        pytest.param(standing(held(OTHER)), 0.5, RETRY * 1.1, id="a Lease that is held"),
        pytest.param(standing(held(OTHER), unchanged_for=LEASE - 300), 1.0, 300, id="a Lease that is nearly over"),
        pytest.param(standing(None), 0.0, RETRY, id="a Lease that could not be made"),
        pytest.param(standing(held(OTHER), unchanged_for=LEASE), 0.0, RETRY, id="a Lease that could not be taken"),
    ],
)
def test_how_long_until_the_next_try(known: Standing, chance: float, pause: float) -> None:
    assert known.pause(NOW, chance) == pause


@pytest.mark.parametrize(
    ("known", "timeout"),
    [
        pytest.param(standing(held(OTHER)), REQUEST_TIMEOUT, id="standing by"),
        pytest.param(standing(held(ME), renewed_ago=2_000), REQUEST_TIMEOUT, id="leading"),
        pytest.param(standing(held(ME), renewed_ago=6_000), 2_000, id="leading, near the deadline"),
        pytest.param(standing(held(ME), renewed_ago=60_000), 0, id="leading, past the deadline"),
    ],
)
def test_how_long_a_request_may_take(known: Standing, timeout: int) -> None:
    assert known.request_timeout(NOW) == timeout


def test_the_holder_is_told_where_there_is_one() -> None:
    assert (standing(held(OTHER)).holder, standing(held("")).holder, standing(None).holder) == (OTHER, "", "")
