"""One operator, turn by turn, against a real API server and the real Job controller."""

import pytest

from kubelet import SUCCESS, naming
from periodic_sync.api.durations import MINUTE, SECOND
from periodic_sync.controller.loop import PolicyGoneError
from periodic_sync.core.ledger import Phase
from periodic_sync.kube.resources import CONFIG_MAPS, JOBS, SYNC_POLICIES
from turns_support import INTERVAL, NAME, Bench


async def test_the_first_turn_claims_and_creates(bench: Bench) -> None:
    await bench.apply({"batchSize": 2, "jobs": {"batchesPerJob": 2}})
    await bench.register(active=["u1", "u2", "u3"], inactive=["u4"])
    operator = bench.operator()
    await operator.turn()
    ledger = await bench.ledger()
    assert (ledger.generation, ledger.enabled) == (1, True)
    (job,) = ledger.jobs
    assert (job.sizes, job.claim) == ((2, 1), bench.now)
    assert await bench.job_names() == await bench.batch_files() == {job.name}
    assert await bench.in_flight() == {"u1", "u2", "u3"}
    status = await bench.status()
    expected = {"observedGeneration": 1, "enabled": True, "running": True, "totalUsers": 4, "activeUsers": 3}
    assert expected.items() <= status.items()
    assert (status["inFlightUsers"], status["dueUsers"], status["activeJobs"]) == (3, 0, 1)


async def test_a_round_is_synced_settled_and_left_alone_until_the_next(bench: Bench) -> None:
    await bench.apply({"batchSize": 2})
    await bench.register(active=["u1", "u2", "u3"], inactive=["u4"])
    operator = bench.operator()
    await bench.run(operator)
    assert bench.kubelet.synced == {"u1": 1, "u2": 1, "u3": 1}
    assert await bench.batch_files() == set()
    claimed = {user_id: state.last_synced for user_id, state in (await bench.states()).items()}
    assert claimed == dict.fromkeys(("u1", "u2", "u3"), (await bench.ledger()).last_schedule)
    bench.now += INTERVAL // 2
    schedule = await operator.turn()
    assert (await bench.ledger()).jobs == ()
    assert schedule.at is not None
    assert schedule.at <= bench.now + INTERVAL // 2
    bench.now += INTERVAL // 2
    await bench.run(operator)
    assert bench.kubelet.synced == {"u1": 2, "u2": 2, "u3": 2}
    assert sum((await bench.ledger()).totals.synced.values()) == 6


async def test_a_job_that_was_created_is_marked_so_and_nobody_is_claimed_twice(bench: Bench) -> None:
    await bench.apply()
    await bench.register(active=["u1"])
    operator = bench.operator()
    await operator.turn()
    bench.now += 2 * INTERVAL
    await operator.turn()
    (job,) = (await bench.ledger()).jobs
    assert job.phase is Phase.CREATED
    assert len(await bench.jobs()) == 1


async def test_users_that_a_worker_names_are_backed_off_and_the_others_synced(bench: Bench) -> None:
    await bench.apply()
    await bench.register(active=["u1", "u2"])
    operator = bench.operator()
    bench.kubelet.worker = lambda users: naming("u2")
    await bench.run(operator)
    states = await bench.states()
    assert (states["u1"].last_synced, states["u2"].last_synced) == ((await bench.ledger()).last_schedule, None)
    assert states["u2"].failures == 1
    totals = (await bench.ledger()).totals
    assert (sum(totals.synced.values()), sum(totals.failed.values())) == (1, 1)
    bench.now = states["u2"].failed_at + 30 * SECOND - 1
    await operator.turn()
    assert (await bench.ledger()).jobs == ()
    bench.now += 1
    await operator.turn()
    assert await bench.in_flight() == {"u2"}


async def test_the_history_limits_keep_the_newest_jobs_of_each_kind(bench: Bench) -> None:
    await bench.apply({"batchSize": 1, "jobs": {"history": {"succeeded": 1, "failed": 0}}})
    await bench.register(active=["u1", "u2", "u3"])
    bench.kubelet.worker = lambda users: naming("u2") if "u2" in users else SUCCESS
    operator = bench.operator()
    await bench.run(operator)

    async def tidied() -> bool:
        return len(await bench.jobs()) == 1

    await bench.turns_until(operator, tidied)
    (kept,) = await bench.jobs()
    assert kept["status"].get("succeeded") == 1


async def test_a_policy_that_was_deleted_is_gone(bench: Bench) -> None:
    await bench.apply()
    await bench.register()
    operator = bench.operator()
    await operator.turn()
    await bench.client.delete(SYNC_POLICIES, bench.namespace, NAME)
    with pytest.raises(PolicyGoneError):
        await operator.turn()
    await bench.apply()
    with pytest.raises(PolicyGoneError):
        await operator.turn()


async def test_jobs_of_a_policy_that_was_deleted_hold_back_its_namesake(bench: Bench) -> None:
    await bench.apply()
    await bench.register(active=["u1"])
    await bench.operator().turn()
    (old,) = await bench.job_names()
    await bench.orphan(SYNC_POLICIES, NAME)
    await bench.apply()
    operator = bench.operator()
    await operator.turn()
    assert (await bench.conditions())["Ready"] == ("False", "RebuildingLedger")
    assert old in await bench.condition_message("Ready")
    assert await bench.job_names() == {old}
    await bench.client.delete(JOBS, bench.namespace, old)
    await bench.client.delete(CONFIG_MAPS, bench.namespace, old)

    async def claimed() -> bool:
        return bool(await bench.job_names() - {old})

    await bench.turns_until(operator, claimed)


async def test_turned_off_no_batch_starts_and_what_runs_goes_on(bench: Bench) -> None:
    await bench.apply({"batchSize": 1, "jobs": {"maxConcurrentBatches": 1}})
    await bench.register(active=["u1", "u2"])
    operator = bench.operator()
    await operator.turn()
    await bench.edit(spec={"enabled": False})
    await operator.turn()
    status = await bench.status()
    assert (status["enabled"], status["observedGeneration"], status["running"]) == (False, 2, False)
    assert (await bench.conditions())["Ready"] == ("True", "Paused")
    await bench.run(operator)
    bench.now += MINUTE
    await operator.turn()
    assert sum(bench.kubelet.synced.values()) == 1
    assert len(await bench.jobs()) == 1
    await bench.edit(spec={"enabled": True})
    await bench.run(operator)
    assert bench.kubelet.synced == {"u1": 1, "u2": 1}
