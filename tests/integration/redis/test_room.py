"""With room for few, whoever may be claimed is found behind those who may not."""

from collections.abc import AsyncIterator

import pytest

from periodic_sync.api.durations import HOUR, MINUTE, SECOND
from periodic_sync.api.names import Priority
from periodic_sync.core.due import decide
from periodic_sync.core.ledger import PROBE_EVERY, Breaker, ManualRequest, OpenJob, Scope
from periodic_sync.core.outcomes import Ending, Outcome
from periodic_sync.core.plan import User, plan, plan_for
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.stores.redis import questions
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.index import NEXT
from periodic_sync.stores.redis.urls import parse_url
from redis_bench import RedisBench
from redis_plans import difference, planned, requesting
from redis_support import Server
from scheduling import NOON, ledger_of, policy, told


@pytest.fixture
async def bench(shared_server: Server) -> AsyncIterator[RedisBench]:
    connection = Connection(parse_url(shared_server.url))
    yield RedisBench(connection)
    await connection.close()


def flying(*user_ids: str) -> Tick:
    """All of them are in one batch, and there is room for one more."""
    spec = policy(batchSize=10, jobs={"maxConcurrentBatches": 2})
    size = len(user_ids)
    job = OpenJob("job-9", 9, NOON, priorities=(Priority.HIGH,), sizes=(size,), open=frozenset({0}))
    return Tick(spec, ledger_of(spec, jobs=(job,)), NOON, in_flight=dict.fromkeys(user_ids, NOON))


async def test_the_stalest_who_are_in_flight_are_not_in_front_of_others(bench: RedisBench) -> None:
    ids = [f"u{n:02}" for n in range(60)]
    await bench.fill(
        (UserRecord(u, "0x1", NOON), UserState(NOON - 50 * MINUTE + n * 100, 5, 5)) for n, u in enumerate(ids)
    )
    tick = flying(*ids[:40])
    assert (await planned(bench, tick)).claimed == set(ids[40:50])
    assert not await difference(bench, tick)


async def test_nor_are_those_who_were_asked_for(bench: RedisBench) -> None:
    ids = [f"u{n:02}" for n in range(30)]
    await bench.fill((UserRecord(u, "0x1", NOON), UserState(NOON, 5, 5)) for u in ids)
    await bench.records.request_sync({user_id: NOON + n for n, user_id in enumerate(ids)})
    assert (await planned(bench, flying(*ids[:15]))).claimed == set(ids[15:25])


async def test_nor_those_who_failed_or_are_queued(bench: RedisBench) -> None:
    ids = [f"u{n:02}" for n in range(30)]
    await bench.fill(
        (UserRecord(u, "0x1", NOON), UserState(NOON, 5, 5, failures=1, failed_at=NOON - MINUTE)) for u in ids
    )
    tick = flying(*ids[:15])
    assert len((await planned(bench, tick)).claimed) == 10
    request = requesting(tick.spec, Scope.ALL, NOON).ledger.request
    tick = Tick(tick.spec, ledger_of(tick.spec, jobs=tick.ledger.jobs, request=request), NOON, tick.in_flight)
    assert len((await planned(bench, tick)).claimed) == 10


async def test_nor_does_who_went_along_hide_who_comes_due_next(bench: RedisBench) -> None:
    ids = [f"u{n:02}" for n in range(30)]
    synced = NOON - 5 * MINUTE + 100
    await bench.fill((UserRecord(u, "0x1", NOON), UserState(synced + n * 100, 5, 5)) for n, u in enumerate(ids))
    tick = flying(*ids[:15])
    made = await planned(bench, tick)
    assert made.next_due == NOON + 1_600
    assert not await difference(bench, tick)


async def test_more_questions_than_one_script_takes_are_put_in_several(
    bench: RedisBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "AT_ONCE", 7)
    records = [UserRecord(f"u{n}", "0x1", NOON, interval=n * MINUTE) for n in range(1, 30)]
    await bench.fill((record, NEVER_SYNCED) for record in records)
    spec = policy()
    assert not await difference(bench, Tick(spec, ledger_of(spec), NOON))


async def test_a_crowd_who_cant_be_synced_is_not_all_that_probes_try(bench: RedisBench) -> None:
    await bench.fill((UserRecord(f"bad-{n}", "0x1", NOON), NEVER_SYNCED) for n in range(100))
    await bench.fill((UserRecord(f"good-{n}", "0x1", NOON), UserState(NOON - HOUR, 5, 5)) for n in range(30))
    spec, store, now = policy(batchSize=10), bench.open(), NOON
    for claim in range(100, 110):
        now += PROBE_EVERY
        ledger = ledger_of(spec, breaker=Breaker(failed_batches=3), last_claim=claim - 1)
        await store.read(now)
        probed = plan_for(await store.population(Tick(spec, ledger, now)), Tick(spec, ledger, now), None).claimed
        if any(user_id.startswith("good") for user_id in probed):
            return
        await store.apply([Outcome(user_id, Ending.UNBLAMED, claim, now, now, len(probed)) for user_id in probed])
    pytest.fail("the probes never try those who were synced before")


async def test_whoever_failed_before_the_clock_was_set_back_does_not_wait_for_it(bench: RedisBench) -> None:
    failed = UserState(NOON - 2 * HOUR, 5, 5, failures=2, failed_at=NOON + 3 * HOUR)
    await bench.fill((UserRecord(f"u{n}", "0x1", NOON), failed) for n in range(30))
    spec = policy()
    assert not await difference(bench, Tick(spec, ledger_of(spec), NOON))


async def test_of_all_who_were_synced_before_the_clock_was_set_back_no_more_are_read_than_claimed(
    bench: RedisBench,
) -> None:
    synced = (UserState(NOON + HOUR + n * 100, 5, 5) for n in range(300))
    await bench.fill((UserRecord(f"u{n}", "0x1", NOON), state) for n, state in enumerate(synced))
    spec = policy(batchSize=10, jobs={"maxConcurrentBatches": 1})
    store, tick = bench.open(), Tick(spec, ledger_of(spec), NOON)
    await store.read(NOON)
    population = await store.population(tick)
    assert len(population.users) <= 160
    made = plan_for(population, tick, None)
    assert (len(made.claimed), made.counters.due) == (10, 300)


async def test_of_many_classes_no_more_are_read_than_of_one(bench: RedisBench) -> None:
    """The most urgent of all, which are not those who were synced first: who is stale goes by the interval."""
    users = [UserRecord(f"u{n}", "0x1", NOON, interval=(n % 20 + 1) * 10 * MINUTE) for n in range(400)]
    await bench.fill((user, UserState(NOON - 4 * HOUR + n * 20 * SECOND, 5, 5)) for n, user in enumerate(users))
    spec = policy(batchSize=10, jobs={"maxConcurrentBatches": 1})
    store, tick = bench.open(), Tick(spec, ledger_of(spec), NOON)
    await store.read(NOON)
    population = await store.population(tick)
    assert sum((decide(*user, tick).due_at or 0) <= NOON for user in population.users) <= 20
    assert not await difference(bench, tick)


class TestUsersLastActiveAhead:
    """By the clock of whoever told of it: they are skipped until then."""

    async def test_they_stand_in_front_of_nobody_and_count_as_nobody(self, bench: RedisBench) -> None:
        states = [NEVER_SYNCED, UserState(NOON - HOUR, 5, 5), UserState(NOON, 5, 5, failures=1, failed_at=NOON - HOUR)]
        others = [(UserRecord(f"u{n}", "0x1", NOON), states[n % 3]) for n in range(60)]
        await bench.fill((UserRecord(f"a{n}", "0x1", NOON + HOUR), states[n % 3]) for n in range(60))
        await bench.fill(others)
        await bench.records.request_sync({f"a{n}": NOON - HOUR for n in range(0, 60, 4)})
        spec = policy(batchSize=10, jobs={"maxConcurrentBatches": 1})
        for request in (None, ManualRequest("t", Scope.ACTIVE, 100)):
            tick = Tick(spec, ledger_of(spec, request=request), NOON)
            expected, found = told(plan(others, tick)), told(await planned(bench, tick))
            assert found.pop("reasons") == expected.pop("reasons")
            assert found["counts"] == expected["counts"]
            assert len(found["order"]) == 10

    async def test_they_are_counted_as_skipped_and_named(self, bench: RedisBench) -> None:
        await bench.fill((UserRecord(f"u{n}", "0x1", NOON + HOUR), NEVER_SYNCED) for n in range(10))
        report = await bench.open().read(NOON)
        assert (report.skipped, len(report.problems)) == (10, 5)
        assert "lastActive is more than 5 minutes ahead" in report.problems[0]
        assert (await bench.open().read(NOON + HOUR)).skipped == 0

    async def test_no_request_for_many_waits_for_them(self, bench: RedisBench) -> None:
        await bench.fill((UserRecord(f"u{n}", "0x1", NOON), NEVER_SYNCED) for n in range(2))
        await bench.fill([(UserRecord("ahead", "0x1", NOON + HOUR), NEVER_SYNCED)])
        tick = requesting(policy(), Scope.ALL, NOON)
        assert (await planned(bench, tick)).counters.requested == 2
        await bench.records.record_activity({"u0": NOON + HOUR})
        assert (await planned(bench, tick)).counters.requested == 1


def soon_due(count: int) -> list[User]:
    """They may go along, the last ones soonest; a request for all of claim 100 is served for them."""
    synced = (NOON - 4 * MINUTE - 31 * SECOND - n * 100 for n in range(count))
    return [(UserRecord(f"soon-{n:03}", "0x1", NOON), UserState(at, 500, 500)) for n, at in enumerate(synced)]


async def test_large_batches_cost_nothing_while_nobody_is_due(bench: RedisBench) -> None:
    await bench.fill(soon_due(250))
    spec = policy(batchSize=1000)
    store, tick = bench.open(), Tick(spec, ledger_of(spec), NOON)
    await store.read(NOON)
    assert len((await store.population(tick)).users) == NEXT
    assert not await difference(bench, tick)


@pytest.mark.parametrize(
    ("last", "request_of", "asked"),
    [
        pytest.param(UserState(NOON - 5 * MINUTE, 5, 5), "", False, id="by the interval, in this very moment"),
        pytest.param(UserState(NOON - 7 * MINUTE, 5, 5), "", False, id="by the interval"),
        pytest.param(NEVER_SYNCED, "", False, id="as never synced"),
        pytest.param(UserState(NOON, 5, 5, failures=1, failed_at=NOON - MINUTE), "", False, id="after a failure"),
        pytest.param(UserState(NOON + HOUR, 5, 5), "", False, id="as the clock was set back"),
        pytest.param(UserState(NOON, 5, 5), "one", False, id="by name"),
        pytest.param(UserState(NOON, 5, 5), "all", False, id="by a request for all"),
        pytest.param(UserState(NOON, 5, 5), "", True, id="as the application asked"),
    ],
)
async def test_others_go_along_however_the_one_is_due(
    bench: RedisBench, last: UserState, request_of: str, *, asked: bool
) -> None:
    await bench.fill(
        [*soon_due(250), (UserRecord("one", "0x1", NOON, sync_requested_at=NOON if asked else None), last)]
    )
    requests = {"one": ManualRequest("t", Scope.NAMED, 100), "all": ManualRequest("t", Scope.ALL, 100)}
    spec = policy(batchSize=100)
    ledger = ledger_of(spec, request=requests.get(request_of))
    tick = Tick(spec, ledger, NOON, named=frozenset({request_of} & {"one"}))
    assert len((await planned(bench, tick)).claimed) == 100
    assert not await difference(bench, tick)
