"""Who is put in which batch, who waits for what, and when to look again."""

from dataclasses import replace

import pytest

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.api.names import Priority, Reason
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.batches import BATCH_FILE_LIMIT
from periodic_sync.core.ledger import Breaker, Ledger, ManualRequest, OpenJob, RecentClaim, Refusal, Scope
from periodic_sync.core.limits import Hold
from periodic_sync.core.plan import MOST_OPEN_JOBS, Plan, User, plan
from periodic_sync.core.spread import cohort_of
from periodic_sync.core.users import NEVER_SYNCED, UserState
from scheduling import NOON, instant, ledger_of, planned_ids, policy, tick_of, user


def known(user_id: str, ago: int | None = None, **state: int) -> User:
    """An active user, last synced so long ago; None: never."""
    if ago is None:
        return user(user_id), replace(NEVER_SYNCED, **state)
    return user(user_id), UserState(last_synced=NOON - ago, **{"last_claim": 5, "last_outcome": 5, **state})


def many(count: int, ago: int | None = None, prefix: str = "u", **state: int) -> list[User]:
    return [known(f"{prefix}{number:02}", ago, **state) for number in range(count)]


def planned(
    users: list[User],
    spec: SyncPolicySpec | None = None,
    *,
    ledger: Ledger | None = None,
    now: int = NOON,
    **tick: object,
) -> Plan:
    return plan(users, tick_of(spec, ledger=ledger, now=now, **tick))


def open_job(batches: int, *, probe: bool = False) -> OpenJob:
    sizes, priorities = (10,) * batches, (Priority.HIGH,) * batches
    return OpenJob("j", 5, NOON - SECOND, priorities, sizes, frozenset(range(batches)), probe=probe)


SMALL = policy(batchSize=2)


class TestOrder:
    def test_requested_then_never_synced_then_stalest_then_regular_then_bulk(self) -> None:
        users = [
            known("regular", 6 * MINUTE),
            known("regular-older", 7 * MINUTE),
            known("stale", 2 * HOUR),
            known("staler", 3 * HOUR),
            known("never"),
            (user("asked", sync_requested_at=NOON), UserState(last_synced=NOON - MINUTE)),
        ]
        result = planned(users, policy(batchSize=1))
        assert planned_ids(result) == [["asked"], ["never"], ["staler"], ["stale"], ["regular-older"], ["regular"]]
        high, medium = Priority.HIGH, Priority.MEDIUM
        assert [job.priority for job in result.jobs] == [high, high, high, high, medium, medium]

    def test_with_too_little_room_the_most_urgent_go(self) -> None:
        users = [known(f"u{minutes}", minutes * MINUTE) for minutes in range(6, 30)]
        spec = policy(batchSize=2, jobs={"maxConcurrentBatches": 2})
        assert planned_ids(planned(users, spec)) == [["u29", "u28"], ["u27", "u26"]]

    def test_a_request_for_all_puts_nobody_before_those_who_are_due(self) -> None:
        gone = user("gone", last_active=NOON - 2 * DAY), UserState(last_synced=NOON - 2 * DAY)
        users = [known("fresh", MINUTE), gone, known("due", 6 * MINUTE), known("stale", 2 * HOUR)]
        ledger = ledger_of(SMALL, request=ManualRequest("t", Scope.ALL, 5))
        result = planned(users, policy(batchSize=1), ledger=ledger)
        assert planned_ids(result) == [["stale"], ["due"], ["gone"], ["fresh"]]
        assert [job.priority for job in result.jobs] == [Priority.HIGH, Priority.MEDIUM, Priority.LOW, Priority.LOW]
        assert result.counters.by_reason[Reason.DUE_BULK] == 4

    def test_after_the_clock_was_set_back_nobody_waits_for_it_to_catch_up(self) -> None:
        users = [known("ahead", -3 * HOUR), known("due", 6 * MINUTE)]
        assert planned_ids(planned(users, policy(batchSize=1))) == [["ahead"], ["due"]]

    def test_a_batch_has_the_highest_priority_in_it(self) -> None:
        result = planned([known("due", 6 * MINUTE), known("never")], SMALL)
        assert planned_ids(result) == [["never", "due"]]
        assert result.jobs[0].priority is Priority.HIGH


class TestFullBatches:
    def test_users_who_come_due_within_a_tenth_of_their_interval_go_along_soonest_first(self) -> None:
        users = [
            known("due", 5 * MINUTE),
            known("soon", 5 * MINUTE - 20 * SECOND),
            known("sooner", 5 * MINUTE - 10 * SECOND),
            known("at-the-tenth", 5 * MINUTE - 30 * SECOND),
            known("later", 5 * MINUTE - 31 * SECOND),
        ]
        assert planned_ids(planned(users)) == [["due", "sooner", "soon", "at-the-tenth"]]
        assert planned_ids(planned(users, policy(batchSize=3))) == [["due", "sooner", "soon"]]

    def test_nobody_goes_along_where_nobody_is_due(self) -> None:
        assert planned([known("soon", 5 * MINUTE - SECOND)]).jobs == ()

    def test_nobody_goes_along_who_is_inactive_in_flight_or_backing_off(self) -> None:
        soon = 5 * MINUTE - SECOND
        users = [
            known("due", 5 * MINUTE),
            (user("gone", last_active=NOON - 2 * DAY), UserState(last_synced=NOON - soon)),
            known("flying", soon),
            known("failed", soon, failures=1, failed_at=NOON - 29 * SECOND),
        ]
        assert planned_ids(planned(users, in_flight={"flying": NOON})) == [["due"]]

    def test_one_s_own_interval_is_what_the_tenth_is_of(self) -> None:
        slow = user("slow", interval=HOUR), UserState(last_synced=NOON - 54 * MINUTE)
        assert planned_ids(planned([known("due", 5 * MINUTE), slow])) == [["due", "slow"]]

    def test_before_the_opening_the_tenth_is_still_of_the_long_interval(self) -> None:
        now = instant("2026-11-25T08:59:50+00:00")
        users = [
            (user("due", last_active=now), UserState(last_synced=now - 15 * MINUTE)),
            (user("opens-soon", last_active=now), UserState(last_synced=now - 10 * MINUTE)),
        ]
        assert planned_ids(planned(users, now=now)) == [["due"]]

    def test_going_along_counts_in_the_users_of_the_minute(self) -> None:
        users = [known("due", 5 * MINUTE), *many(5, 5 * MINUTE - SECOND)]
        assert planned_ids(planned(users, policy(jobs={"usersPerMinute": 3}))) == [["due", "u00", "u01"]]


class TestUnexplainedFailures:
    def test_they_only_share_batches_with_each_other_that_halve_each_time(self) -> None:
        users = [*many(7, prefix="a", unexplained=1), *many(4, prefix="b", unexplained=2), *many(3, prefix="c")]
        ids = planned_ids(planned(users))
        assert [sorted({user_id[0] for user_id in batch}) for batch in ids] == [["a"], ["a"], ["b"], ["b"], ["c"]]
        assert [len(batch) for batch in ids] == [5, 2, 3, 1, 3]

    def test_nobody_goes_along_with_them(self) -> None:
        users = [known("poison", 5 * MINUTE, unexplained=1), known("soon", 5 * MINUTE - SECOND)]
        assert planned_ids(planned(users)) == [["poison"]]

    def test_without_a_batch_left_for_them_others_still_fill_theirs(self) -> None:
        users = [known("stale", 3 * HOUR), known("poison", 2 * HOUR, unexplained=1), known("due", 6 * MINUTE)]
        spec = policy(jobs={"maxConcurrentBatches": 1})
        assert planned_ids(planned(users, spec)) == [["stale", "due"]]


class TestCapacity:
    def test_batches_in_flight_leave_less(self) -> None:
        result = planned(many(100), policy(jobs={"maxConcurrentBatches": 5}), ledger=ledger_jobs(open_job(3)))
        assert len(planned_ids(result)) == 2
        assert result.hold == Hold(Reason.WAITING_FOR_CAPACITY)
        assert result.counters.by_reason[Reason.WAITING_FOR_CAPACITY] == 80
        assert result.counters.by_reason[Reason.DUE_STALE] == 20
        assert (result.counters.due, result.counters.claimed) == (100, 20)

    def test_a_limit_lowered_below_what_is_in_flight_claims_nothing(self) -> None:
        spec = policy(jobs={"maxConcurrentBatches": 1})
        assert planned(many(5), spec, ledger=ledger_jobs(open_job(3))).jobs == ()

    def test_a_batch_is_cut_to_what_the_minute_leaves(self) -> None:
        spec = policy(jobs={"usersPerMinute": 25})
        recent = (RecentClaim(NOON - MINUTE, 9), RecentClaim(NOON - 40 * SECOND, 7), RecentClaim(NOON - 20 * SECOND, 3))
        result = planned(many(40), spec, ledger=ledger_of(spec, recent=recent))
        assert [len(batch) for batch in planned_ids(result)] == [10, 5]
        assert result.hold == Hold(Reason.RATE_LIMITED, NOON + 20 * SECOND)
        assert result.wake_at == NOON + 20 * SECOND

    def test_claims_from_before_the_clock_was_set_back_do_not_count(self) -> None:
        spec = policy(jobs={"usersPerMinute": 5})
        ledger = ledger_of(spec, recent=(RecentClaim(NOON + HOUR, 5),))
        assert planned_ids(planned(many(5), spec, ledger=ledger)) == [[f"u{number:02}" for number in range(5)]]

    def test_the_first_minute_over_the_cap_ends_a_minute_later(self) -> None:
        result = planned(many(3), policy(jobs={"usersPerMinute": 2}))
        assert result.hold == Hold(Reason.RATE_LIMITED, NOON + MINUTE)

    @pytest.mark.parametrize(
        ("generation", "at", "waits"),
        [(1, NOON - 29 * SECOND, True), (1, NOON - 30 * SECOND, False), (0, NOON, False), (1, NOON + HOUR, False)],
        ids=["it holds 30 s", "and no longer", "not after a spec change", "nor after the clock was set back"],
    )
    def test_a_refused_job_holds_claims(self, generation: int, at: int, waits: bool) -> None:
        refusal = Refusal(count=1, at=at, generation=generation, message="exceeded quota")
        result = planned([known("u1")], ledger=ledger_of(policy(), refusal=refusal))
        assert result.hold == (Hold(Reason.WAITING_FOR_CAPACITY, NOON + SECOND) if waits else None)
        assert result.jobs == () if waits else planned_ids(result) == [["u1"]]

    def test_while_the_protocol_forbids_claims_all_wait(self) -> None:
        result = planned([known("u1")], may_claim=False)
        assert (result.jobs, result.hold) == ((), Hold(Reason.WAITING_FOR_CAPACITY))


def ledger_jobs(*jobs: OpenJob, **fields: object) -> Ledger:
    return ledger_of(policy(), jobs=jobs, **fields)


class TestAFailingWorker:
    OPEN = Breaker(failed_batches=3, last_probe=NOON - 30 * SECOND)

    def test_one_probe_goes_and_the_others_wait(self) -> None:
        result = planned(many(30), ledger=ledger_jobs(breaker=self.OPEN))
        assert [job.probe for job in result.jobs] == [True]
        assert len(planned_ids(result)[0]) == 10
        assert result.hold == Hold(Reason.WORKER_FAILING, NOON + 30 * SECOND)
        assert result.counters.by_reason[Reason.WORKER_FAILING] == 20
        assert result.wake_at == NOON + 30 * SECOND

    def test_no_sooner_than_30_seconds_after_the_last(self) -> None:
        breaker = replace(self.OPEN, last_probe=NOON - 29 * SECOND)
        result = planned(many(3), ledger=ledger_jobs(breaker=breaker))
        assert (result.jobs, result.hold) == ((), Hold(Reason.WORKER_FAILING, NOON + SECOND))

    def test_none_while_one_is_under_way(self) -> None:
        result = planned(many(3), ledger=ledger_jobs(open_job(1, probe=True), breaker=self.OPEN))
        assert (result.jobs, result.hold) == ((), Hold(Reason.WORKER_FAILING))

    def test_the_clock_set_back_does_not_put_off_the_next(self) -> None:
        breaker = replace(self.OPEN, last_probe=NOON + HOUR)
        assert planned(many(3), ledger=ledger_jobs(breaker=breaker)).jobs

    def test_fewest_failures_first_and_back_off_ignored(self) -> None:
        users = [
            known("often", 2 * HOUR, failures=5, failed_at=NOON - HOUR),
            known("twice", 2 * HOUR, failures=2, failed_at=NOON),
            known("once", 6 * MINUTE, failures=1, failed_at=NOON),
        ]
        result = planned(users, SMALL, ledger=ledger_jobs(breaker=self.OPEN))
        assert planned_ids(result) == [["once", "twice"]]

    def test_with_everyone_backing_off_it_still_probes_and_wakes_for_it(self) -> None:
        users = many(3, 2 * HOUR, failures=7, failed_at=NOON - SECOND)
        assert planned(users, ledger=ledger_jobs(breaker=self.OPEN)).jobs
        waiting = planned(users, ledger=ledger_jobs(breaker=replace(self.OPEN, last_probe=NOON - SECOND)))
        assert (waiting.jobs, waiting.wake_at) == ((), NOON + 29 * SECOND)

    def test_the_next_probe_has_other_users(self) -> None:
        users = [*many(2, prefix="probed", last_claim=7), *many(2, prefix="other", failures=1)]
        ledger = ledger_jobs(breaker=self.OPEN, last_claim=7)
        assert planned_ids(planned(users, SMALL, ledger=ledger)) == [["other00", "other01"]]

    def test_where_there_are_no_others_half_of_them(self) -> None:
        ledger = ledger_jobs(breaker=self.OPEN, last_claim=7)
        assert planned_ids(planned(many(5, last_claim=7), ledger=ledger)) == [["u00", "u01", "u02"]]

    def test_a_probe_keeps_suspects_apart_too(self) -> None:
        users = [*many(3, prefix="a", unexplained=3), *many(2, prefix="b", unexplained=2)]
        assert planned_ids(planned(users, ledger=ledger_jobs(breaker=self.OPEN))) == [["b00", "b01"]]


class TestJobs:
    def test_batches_share_jobs_up_to_batches_per_job(self) -> None:
        result = planned(many(50), policy(jobs={"batchesPerJob": 3}))
        assert [len(job.batches) for job in result.jobs] == [3, 2]

    def test_a_job_ends_where_its_batch_file_would_grow_too_large(self) -> None:
        tokens = {f"0x{number:062}": NOON for number in range(100)}
        users = [(user(f"u{n}", changed_tokens=tokens), UserState(last_synced=NOON - HOUR)) for n in range(600)]
        spec = policy(batchSize=50, jobs={"batchesPerJob": 100, "maxConcurrentBatches": 100})
        result = planned(users, spec)
        sizes = [sum(batch.file_bytes for batch in job.batches) for job in result.jobs]
        assert len(sizes) == 6
        assert max(sizes) <= BATCH_FILE_LIMIT

    def test_a_batch_ends_there_too(self) -> None:
        tokens = {f"0x{number:062}": NOON for number in range(100)}
        users = [(user(f"u{n}", changed_tokens=tokens), UserState(last_synced=NOON - HOUR)) for n in range(600)]
        result = planned(users, policy(batchSize=1000))
        assert sum(len(batch) for batch in planned_ids(result)) == 600
        assert all(batch.file_bytes <= BATCH_FILE_LIMIT for job in result.jobs for batch in job.batches)

    def test_no_more_jobs_are_open_than_fit_into_the_ledger(self) -> None:
        spec = policy(batchSize=1, jobs={"maxConcurrentBatches": 10_000})
        ledger = ledger_of(spec, jobs=(open_job(1),) * (MOST_OPEN_JOBS - 3))
        assert len(planned(many(20), spec, ledger=ledger).jobs) == 3

    def test_users_carry_their_tokens_and_why_they_are_there(self) -> None:
        users = [
            (user("due", changed_tokens={"0xa": NOON, "0xb": NOON - HOUR}), UserState(last_synced=NOON - 6 * MINUTE)),
            known("soon", 5 * MINUTE - SECOND),
        ]
        first, second = planned(users).jobs[0].batches[0].users
        assert (first.tokens, first.reason) == (("0xa",), Reason.DUE_REGULAR)
        assert (second.tokens, second.reason) == ((), Reason.NOT_DUE)


class TestCounters:
    USERS = (
        known("never"),
        known("stale", 2 * HOUR),
        known("flying", 2 * HOUR),
        known("fresh", MINUTE),
        known("failed", 2 * HOUR, failures=1, failed_at=NOON),
        (user("gone", last_active=NOON - 2 * DAY), NEVER_SYNCED),
    )

    def test_they_count_everyone_once(self) -> None:
        counters = planned(list(self.USERS), in_flight={"flying": NOON}).counters
        assert (counters.total, counters.active, counters.stale) == (6, 5, 4)
        assert (counters.due, counters.in_flight, counters.claimed) == (2, 1, 2)
        assert {reason: count for reason, count in counters.by_reason.items() if count} == {
            Reason.DUE_STALE: 2,
            Reason.IN_FLIGHT: 1,
            Reason.NOT_DUE: 1,
            Reason.BACKING_OFF: 1,
            Reason.INACTIVE: 1,
        }

    def test_a_disabled_policy_has_nobody_due_and_no_next(self) -> None:
        result = planned(list(self.USERS), policy(enabled=False), in_flight={"flying": NOON})
        assert (result.counters.due, result.next_due, result.jobs, result.hold) == (0, None, (), None)
        assert (result.counters.active, result.counters.in_flight) == (5, 1)
        assert result.counters.by_reason[Reason.POLICY_DISABLED] == 6

    def test_what_a_request_still_waits_for(self) -> None:
        users = [known("served", MINUTE, last_outcome=8), known("waiting", MINUTE), known("flying", MINUTE)]
        ledger = ledger_of(policy(), request=ManualRequest("t", Scope.NAMED, 6))
        result = planned(
            users, ledger=ledger, named={"served", "waiting", "flying", "stranger"}, in_flight={"flying": NOON}
        )
        assert (result.counters.requested, result.unknown_users) == (2, frozenset({"stranger"}))
        assert planned_ids(result) == [["waiting"]]

    def test_a_request_for_the_active_waits_for_no_other(self) -> None:
        ledger = ledger_of(policy(), request=ManualRequest("t", Scope.ACTIVE, 6))
        assert planned(list(self.USERS), ledger=ledger).counters.requested == 5


class TestWhenToLookAgain:
    def test_at_the_next_due_time(self) -> None:
        result = planned([known("a", MINUTE), known("b", 2 * MINUTE)])
        assert result.next_due == result.wake_at == NOON + 3 * MINUTE

    def test_at_the_end_of_a_back_off(self) -> None:
        result = planned([known("a", HOUR, failures=1, failed_at=NOON - SECOND)])
        assert result.next_due == result.wake_at == NOON + 29 * SECOND

    def test_at_the_next_opening_or_closing_of_any_user_s_market(self) -> None:
        assert planned([]).wake_at == instant("2026-11-25T17:00+00:00")
        closes_sooner = user("a", time_zone="Europe/Berlin", interval=DAY), UserState(last_synced=NOON)
        assert planned([closes_sooner]).wake_at == instant("2026-11-25T17:00+01:00")

    def test_users_in_flight_come_due_an_interval_after_their_claim(self) -> None:
        result = planned([known("a", 6 * MINUTE), known("b", 2 * HOUR)], in_flight={"a": NOON - SECOND, "b": NOON})
        assert result.next_due == NOON - SECOND + 5 * MINUTE
        assert result.wake_at == instant("2026-11-25T17:00+00:00")

    def test_users_just_claimed_do_so_too(self) -> None:
        assert planned([known("a", 6 * MINUTE)]).next_due == NOON + 5 * MINUTE


class TestCohorts:
    SPEC = policy(jobs={"maxConcurrentBatches": 100})
    OPENING = instant("2026-11-25T09:00+00:00")

    def users(self, count: int) -> list[User]:
        state = UserState(last_synced=self.OPENING - 10 * MINUTE, last_claim=5, last_outcome=5)
        return [(user(f"u{number}", last_active=self.OPENING), state) for number in range(count)]

    def test_the_opening_is_planned_with_cohorts_that_no_ledger_holds_yet(self) -> None:
        ledger = ledger_of(self.SPEC, cohorts=1, cohorts_at=self.OPENING - DAY)
        result = planned(self.users(300), self.SPEC, now=self.OPENING, ledger=ledger)
        assert result.cohorts is not None
        assert (result.cohorts.count, result.cohorts.at) == (30, self.OPENING)
        assert 1 <= result.counters.due < 30
        assert result.next_due is not None
        assert self.OPENING < result.next_due <= self.OPENING + 10 * SECOND

    def test_of_later_cohorts_only_those_go_along_whose_turn_is_near(self) -> None:
        """All of them were synced long enough ago; without this the first batches would take the later cohorts too."""
        ledger = ledger_of(self.SPEC, cohorts=100, cohorts_at=self.OPENING)
        result = planned(self.users(300), policy(batchSize=100), now=self.OPENING, ledger=ledger)
        cohorts = {cohort_of(user_id, 100) for user_id in result.claimed}
        assert 0 in cohorts
        assert max(cohorts) in {9, 10}

    def test_once_in_the_ledger_they_stay_as_they_are(self) -> None:
        ledger = ledger_of(self.SPEC, cohorts=10, cohorts_at=self.OPENING)
        result = planned(self.users(300), self.SPEC, now=self.OPENING + MINUTE, ledger=ledger)
        assert (result.cohorts, result.tick.cohorts) == (None, 10)


class TestExplaining:
    def test_held_users_say_by_what_and_what_they_would_be(self) -> None:
        users = [known("stale", 2 * HOUR), known("due", 6 * MINUTE), known("fresh", MINUTE)]
        result = planned(users, policy(batchSize=1, jobs={"usersPerMinute": 1}))
        answers = [result.explain(*it) for it in users]
        assert [(it.reason, it.held_from, it.until) for it in answers] == [
            (Reason.DUE_STALE, None, None),
            (Reason.RATE_LIMITED, Reason.DUE_REGULAR, NOON + MINUTE),
            (Reason.NOT_DUE, None, NOON + 4 * MINUTE),
        ]
        assert answers[1].priority is Priority.MEDIUM
