"""Simulations: what comes out of them, what they assume, and what they advise."""

import pytest

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.api.names import Reason
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.simulation.account import lag_of
from periodic_sync.simulation.advice import Topic
from periodic_sync.simulation.assumptions import Assumptions, batch_time
from periodic_sync.simulation.people import People, as_before, made_up
from periodic_sync.simulation.simulate import Inputs, Simulation, simulate
from periodic_sync.simulation.writes import WriteCounter, Writes
from scheduling import instant, policy

MIDNIGHT = instant("2026-11-25T00:00+00:00")
HTTP = {"http": {"url": "http://sync.default.svc/users/{userId}/sync"}}
REDIS = {"redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": "p:"}}


def played(
    spec: SyncPolicySpec, users: int = 200, hours: int = 3, start: int = MIDNIGHT + 8 * HOUR, **assumed: object
) -> Simulation:
    people = made_up(users, share=1.0, start=start, hours=hours)
    return simulate(Inputs(spec, people, start, hours, Assumptions(**assumed)))  # type: ignore[arg-type]


def topics(result: Simulation) -> list[Topic]:
    return [warning.topic for warning in result.warnings]


def test_everyone_is_synced_once_an_interval() -> None:
    result = played(policy(worker=HTTP))
    assert [hour.synced for hour in result.hours] == pytest.approx([800, 2_400, 2_400], rel=0.05)
    assert result.total.synced == sum(hour.synced for hour in result.hours)
    assert result.total.jobs == result.total.batches == pytest.approx(result.total.synced / 10, rel=0.05)
    assert result.total.lag is not None
    assert result.total.lag.p99 <= 20 * SECOND
    assert result.total.most_active == 200
    assert not result.warnings


def test_the_same_inputs_give_the_same_result() -> None:
    first, second = (played(policy(worker=HTTP), failing=0.1) for _ in range(2))
    assert (first.hours, first.warnings, first.turns) == (second.hours, second.warnings, second.turns)
    other = played(policy(worker=HTTP), failing=0.1, seed=1)
    assert other.hours != first.hours


def test_progress_is_told_after_each_hour() -> None:
    told: list[int] = []
    people = made_up(5, share=1.0, start=MIDNIGHT, hours=3)
    simulate(Inputs(policy(worker=HTTP), people, MIDNIGHT, 3), told.append)
    assert told == [1, 2, 3]


def test_too_few_batches_at_once_are_told_with_a_number_that_is_enough() -> None:
    spec = {"worker": HTTP, "jobs": {"maxConcurrentBatches": 2}}
    result = played(policy(**spec), start=MIDNIGHT + 9 * HOUR, sync=10 * SECOND)
    (warning,) = result.warnings
    assert warning.topic is Topic.CAPACITY
    assert "maxConcurrentBatches 2 is not enough from 09:00 to 12:00 (Etc/UTC)" in warning.sentence
    assert result.hours[1].waited[Reason.WAITING_FOR_CAPACITY] > 50 * MINUTE
    enough = int(warning.sentence.partition("about ")[2].split()[0])
    spec["jobs"] = {"maxConcurrentBatches": enough}
    assert not played(policy(**spec), start=MIDNIGHT + 9 * HOUR, sync=10 * SECOND).warnings


def test_a_cap_on_users_a_minute_that_is_too_low_is_told_with_one_that_is_enough() -> None:
    result = played(policy(worker=HTTP, jobs={"usersPerMinute": 20}), start=MIDNIGHT + 9 * HOUR)
    (warning,) = result.warnings
    assert warning.topic is Topic.RATE
    assert "usersPerMinute 20 holds up users from 09:00 to 12:00 (Etc/UTC)" in warning.sentence
    assert "take about 40 users a minute" in warning.sentence
    assert [hour.synced for hour in result.hours[1:]] == [1_200, 1_200]


def test_a_batch_that_its_deadline_ends_is_told_before_anything_else() -> None:
    spec = policy(worker={"image": "worker"}, batchSize=100, jobs={"deadline": "1m"})
    result = played(spec, hours=1)
    assert topics(result)[0] is Topic.DEADLINE
    assert "A batch of 100 users takes 1m40s" in result.warnings[0].sentence
    assert "lower batchSize to 60 or less" in result.warnings[0].sentence
    assert result.total.failed >= 200


def test_a_worker_that_fails_for_everyone_is_told() -> None:
    result = played(policy(worker=HTTP), failing=1.0, hours=2)
    assert Topic.WORKER in topics(result)
    assert result.total.synced == 0
    assert result.total.batches < 300, "only probes should run"


def test_some_failures_are_tried_again_and_warned_of_no_more_than_that() -> None:
    result = played(policy(worker=HTTP), failing=0.05)
    assert result.total.failed == pytest.approx(0.05 * (result.total.synced + result.total.failed), rel=0.3)
    assert result.hours[2].synced == pytest.approx(2_400, rel=0.05)
    assert not result.warnings


def test_more_jobs_than_kubernetes_gets_done_are_told() -> None:
    spec = policy(worker=HTTP, batchSize=1, jobs={"maxConcurrentBatches": 1000})
    assert topics(played(spec, users=1500, hours=2)) == [Topic.JOBS]


def test_a_config_map_store_with_too_many_users_is_told() -> None:
    start = MIDNIGHT
    people = People([(UserRecord(f"u{n}", "0x1", start - 2 * DAY), NEVER_SYNCED) for n in range(10_001)], [])
    assert topics(simulate(Inputs(policy(worker=HTTP), people, start, 1))) == [Topic.STORE]
    assert not simulate(Inputs(policy(worker=HTTP, store=REDIS), people, start, 1)).warnings


def test_a_disabled_policy_is_played_as_if_it_were_enabled() -> None:
    assert played(policy(worker=HTTP, enabled=False), hours=1).total.synced >= 200


def test_users_of_a_store_go_on_from_what_is_known_of_them() -> None:
    start = MIDNIGHT
    users = [
        (UserRecord("fresh", "0x1", start - HOUR), UserState(start - MINUTE, 7, 7)),
        (UserRecord("due", "0x1", start - HOUR), UserState(start - 20 * MINUTE, 8, 8)),
        (UserRecord("away", "0x1", start - 3 * DAY), UserState(start - 3 * DAY, 6, 6)),
    ]
    people = as_before(users, start=start, hours=48, threshold=DAY)
    assert [(at - start, record.user_id) for at, record in people.visits] == [
        (23 * HOUR, "fresh"),
        (23 * HOUR, "due"),
        (47 * HOUR, "fresh"),
        (47 * HOUR, "due"),
    ]
    result = simulate(Inputs(policy(worker=HTTP), people, start, 48))
    assert result.hours[0].batches == 1 + 4
    assert result.hours[47].synced == result.hours[1].synced == 8


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_of_made_up_users_about_that_share_is_active_at_any_time(share: float) -> None:
    people = made_up(1_000, share=share, start=MIDNIGHT, hours=72)
    seen = {record.user_id: record.last_active for record, _ in people.users}
    assert people == made_up(1_000, share=share, start=MIDNIGHT, hours=72)
    for at, record in people.visits:
        assert MIDNIGHT < at == record.last_active < MIDNIGHT + 72 * HOUR
    for hour in range(0, 72, 6):
        now = MIDNIGHT + hour * HOUR
        seen |= {record.user_id: at for at, record in people.visits if at <= now}
        assert sum(now - at < DAY for at in seen.values()) == pytest.approx(1_000 * share, abs=50)


def test_made_up_users_come_more_often_by_day_than_by_night() -> None:
    people = made_up(2_000, share=1.0, start=MIDNIGHT, hours=24)
    by_day = sum(10 * HOUR <= (at - MIDNIGHT) < 16 * HOUR for at, _ in people.visits)
    by_night = sum((at - MIDNIGHT) < 4 * HOUR or (at - MIDNIGHT) >= 22 * HOUR for at, _ in people.visits)
    assert by_day > 2 * by_night > 0


@pytest.mark.parametrize(
    ("worker", "assumed", "seconds"),
    [
        ({"image": "worker"}, Assumptions(), 4 + 10),
        (HTTP, Assumptions(), 4 + 3),
        (HTTP, Assumptions(concurrency=10), 4 + 1),
        (HTTP, Assumptions(requests_per_second=1), 4 + 10),
        ({"http": HTTP["http"] | {"requestsPerSecond": 3}}, Assumptions(sync=500, pod_start=0), 3.5),
    ],
)
def test_how_long_ten_users_take(worker: dict[str, object], assumed: Assumptions, seconds: float) -> None:
    assert batch_time(10, policy(worker=worker), assumed) == seconds * SECOND


@pytest.mark.parametrize(
    "wrong", [{"failing": 1.5}, {"failing": -0.1}, {"sync": -1}, {"concurrency": 0}, {"requests_per_second": 0}]
)
def test_assumptions_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Assumptions(**wrong)  # type: ignore[arg-type]


def test_inputs_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one hour"):
        Inputs(policy(), People([], []), MIDNIGHT, 0)
    with pytest.raises(ValueError, match="share from 0 to 1"):
        made_up(1, share=2, start=0, hours=1)


def test_percentiles_are_by_nearest_rank() -> None:
    lag = lag_of(range(1, 201))
    assert lag is not None
    assert (lag.p50, lag.p99, lag.longest) == (100, 198, 200)
    assert lag_of([]) is None


def test_a_job_of_one_batch_costs_what_the_protocol_writes() -> None:
    counter, writes = WriteCounter(policy(store=REDIS, jobs={"history": {"succeeded": 1, "failed": 0}}), 10), Writes()
    for at in (0, 20 * SECOND):
        counter.claimed(writes, jobs=1, batches=1)
        counter.status_changed(writes, at)
        counter.settled(writes, users=10, closed=(1, 0), has_doubt=False)
        counter.status_changed(writes, at + SECOND)
        counter.status_changed(writes, at + 2 * SECOND)
    assert writes == Writes(jobs=3, batch_files=4, ledger=6, status=4, state=0, cluster=39)
    assert (writes.operator, writes.total) == (17, 56)


def test_a_redis_store_saves_the_writes_of_the_states() -> None:
    config_map, redis = (played(policy(worker=HTTP, **more)) for more in ({}, {"store": REDIS}))
    assert redis.total.writes.state == 0
    assert config_map.total.writes.state > 50
    assert config_map.total.synced == redis.total.synced
    assert config_map.total.writes.operator - config_map.total.writes.state == redis.total.writes.operator


def test_a_batch_of_ten_costs_about_the_writes_that_were_measured() -> None:
    """docs/scale.md: 2.47 for each user synced, 0.49 of them the operator's own; 0.71 where batches end one by one."""
    total = played(policy(worker=HTTP), users=1_000).total
    assert 2.2 < total.writes.total / total.synced < 2.9
    assert 0.4 < total.writes.operator / total.synced < 0.85
