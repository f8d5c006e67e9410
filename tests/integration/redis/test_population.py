"""A plan made from what the Redis store shows is the plan that all users would make."""

import random
from collections.abc import AsyncIterator

import pytest

from dice import OPENING, Dice, situations
from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.core.ledger import ManualRequest, Scope
from periodic_sync.core.outcomes import Ending, Outcome
from periodic_sync.core.plan import plan, plan_for
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.stores.redis import stretches, upkeep
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.keys import QUEUE
from periodic_sync.stores.redis.scripts import FLOOR
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


@pytest.mark.parametrize("first", range(0, 300, 50))
async def test_it_is_the_plan_that_all_users_make(bench: RedisBench, first: int) -> None:
    wrong: list[str] = []
    for number, (users, tick) in enumerate(situations(300)):
        if not first <= number < first + 50:
            continue
        here = RedisBench(bench.commands)
        await here.fill(users)
        expected, found = told(plan(users, tick)), told(await planned(here, tick))
        if found != expected:
            wrong.append(
                f"seed {number}: "
                + ", ".join(f"{k}: {found[k]} is not {expected[k]}" for k in found if found[k] != expected[k])
            )
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("seed", range(4))
async def test_it_stays_so_whatever_happens_to_the_users(bench: RedisBench, seed: int) -> None:
    dice = Dice(seed)
    now, claim = OPENING - 20 * MINUTE, 100
    spec = policy(batchSize=4, jobs={"maxConcurrentBatches": 200}, thresholds={"active": "24h", "stale": "20m"})
    ids = [f"u{number}" for number in range(60)]
    await bench.fill(dice.user(number, now) for number in range(40))
    for step in range(60):
        now += dice.choice([100, SECOND, 20 * SECOND, 2 * MINUTE]) // 100 * 100
        claim += 1
        some = dice.sample(ids, dice.choice([1, 5, 20]))
        match dice.choice(["active", "register", "ask", "remove", "end", "end", "threshold", "crash"]):
            case "active":
                await bench.records.record_activity(dict.fromkeys(some, now - dice.choice([0, HOUR])))
            case "register":
                fresh = (dice.user(int(user_id[1:]), now)[0] for user_id in some)
                await bench.records.register(fresh)
            case "ask":
                await bench.records.request_sync(dict.fromkeys(some, now))
            case "remove":
                await bench.records.remove(some[:2])
            case "end":
                endings = [(user_id, dice.choice(list(Ending))) for user_id in some]
                at = now - dice.choice([0, 2 * MINUTE])
                await bench.open().apply([Outcome(each, ending, claim, at, now, 4, now) for each, ending in endings])
            case "threshold":
                thresholds = spec.thresholds.model_copy(update={"active": dice.choice([6 * HOUR, DAY, 2 * DAY])})
                spec = spec.model_copy(update={"thresholds": thresholds})
            case "crash":  # of an operator that has just moved the floor
                (floor,) = await bench.commands.read(bench.keys.meta, [("HGET", bench.keys.meta, "floor")])
                moved = now - dice.choice([HOUR, 12 * HOUR, 2 * DAY])
                await bench.commands.run(FLOOR, bench.keys.shared, (floor or "", moved))
        tick = Tick(spec, ledger_of(spec, cohorts=15), now)
        assert not (found := await difference(bench, tick)), f"step {step}: {found}"


@pytest.mark.parametrize("batches", [1, 3])
async def test_with_little_room_the_stalest_are_read_and_the_others_counted(bench: RedisBench, batches: int) -> None:
    dice = random.Random(batches)
    users = []
    for number in range(400):
        record = UserRecord(f"u{number}", "0x1", NOON, interval=dice.choice([None, 20 * MINUTE]))
        synced = NOON - dice.sample(range(0, 36_000), 1)[0] * 100 if number > 5 else None
        users.append((record, UserState(synced, 5, 5) if synced else NEVER_SYNCED))
    await bench.fill(users)
    spec = policy(jobs={"maxConcurrentBatches": batches}, batchSize=10)
    tick = Tick(spec, ledger_of(spec), NOON)
    store = bench.open()
    await store.read(NOON)
    assert len((await store.population(tick)).users) < 100
    assert not await difference(bench, tick)


@pytest.mark.parametrize(("scope", "asked"), [(Scope.ALL, 300), (Scope.ACTIVE, 200)])
async def test_a_request_for_many_is_queued_a_stretch_at_a_time_until_all_are_served(
    bench: RedisBench, scope: Scope, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "STRETCH", 20)
    monkeypatch.setattr(upkeep, "STRETCH", 20)
    monkeypatch.setattr(upkeep, "QUEUED", 30)
    ages = [0, HOUR, 2 * DAY]
    users = [(UserRecord(f"u{n}", "0x1", NOON - ages[n % 3] - n), UserState(NOON, 5, 5)) for n in range(300)]
    await bench.fill(users)
    spec = policy(batchSize=10, jobs={"maxConcurrentBatches": 4})
    store, served, claim = bench.open(), list[str](), 100
    while True:
        claim += 1
        assert claim < 150, "it never ends"
        await store.read(NOON)
        tick = requesting(spec, scope, NOON)
        made = plan_for(await store.population(tick), tick, None)
        # Who was served in passing is counted until the walk has come to them.
        assert made.counters.due == made.counters.requested >= asked - len(served)
        assert (await bench.commands.read(bench.keys.meta, [("ZCARD", bench.keys.shared[QUEUE - 1])]))[0] <= 50
        if not made.counters.requested:
            break
        ids = [user.record.user_id for job in made.jobs for batch in job.batches for user in batch.users]
        assert ids
        await store.apply([Outcome(user_id, Ending.SYNCED, claim, NOON, NOON, 10) for user_id in ids])
        served += ids
    assert len(served) == len(set(served)) == asked
    assert not made.jobs


async def test_whoever_is_active_no_longer_is_not_waited_for_by_a_request_for_the_active(bench: RedisBench) -> None:
    await bench.fill([(UserRecord(f"u{n}", "0x1", NOON - n * HOUR), UserState(NOON, 5, 5)) for n in range(20)])
    spec, store = policy(), bench.open()
    for later, waits in ((0, 20), (10 * HOUR, 15), (2 * DAY, 0)):
        await store.read(NOON + later)
        tick = requesting(spec, Scope.ACTIVE, NOON + later)
        assert plan_for(await store.population(tick), tick, None).counters.requested == waits


async def test_a_newer_request_takes_the_place_of_the_older(bench: RedisBench) -> None:
    await bench.fill([(UserRecord(f"u{n}", "0x1", NOON), UserState(NOON, 5, 5)) for n in range(10)])
    spec, store = policy(), bench.open()
    for request in (
        ManualRequest("one", Scope.ALL, 100),
        ManualRequest("two", Scope.ALL, 100),
        ManualRequest("two", Scope.ALL, 100, completed=True),
        ManualRequest("three", Scope.NAMED, 100),
    ):
        await store.read(NOON)
        tick = Tick(spec, ledger_of(spec, request=request), NOON)
        assert not await difference(bench, tick), request.token
