"""What people and clusters do to a policy's objects, and how the turns come back from it."""

import logging

import pytest

from job_support import batch
from kubelet import End
from periodic_sync.api.durations import MINUTE
from periodic_sync.core.batch_files import batch_file, new_batch_file
from periodic_sync.core.ledger import Phase
from periodic_sync.core.objects import ledger_name, object_name
from periodic_sync.kube.ledgers import KEY
from periodic_sync.kube.resources import CONFIG_MAPS, JOBS
from turns_support import INTERVAL, NAME, Bench, Operator, until


async def running(bench: Bench, *users: str) -> tuple[Operator, str]:
    """A policy with one Job whose pod runs. Returns: its operator, and the Job's name."""
    await bench.apply({"jobs": {"maxConcurrentBatches": 1}})
    await bench.register(active=users)
    operator = bench.operator()
    await operator.turn()

    async def started() -> bool:
        return await bench.kubelet.start() == 1

    await until(started)
    (name,) = await bench.job_names()
    return operator, name


class TestTheLedger:
    async def test_deleted_by_hand_it_is_made_again_from_what_runs(self, bench: Bench) -> None:
        operator, name = await running(bench, "u1", "u2")
        await bench.client.delete(CONFIG_MAPS, bench.namespace, ledger_name(NAME, bench.policy.uid))
        await operator.turn()
        ledger = await bench.ledger()
        assert [(job.name, job.sizes, job.phase) for job in ledger.jobs] == [(name, (2,), Phase.CREATED)]
        assert await bench.job_names() == {name}
        await bench.run(operator)
        assert bench.kubelet.started == {"u1": 1, "u2": 1}
        assert sum((await bench.ledger()).totals.synced.values()) == 2

    async def test_deleted_by_hand_it_goes_on_with_the_totals_of_the_status(self, bench: Bench) -> None:
        await bench.apply()
        await bench.register(active=["u1", "u2"])
        operator = bench.operator()
        await bench.run(operator)
        bench.now += MINUTE
        await operator.turn()
        assert (await bench.status())["usersSynced"] == 2
        await bench.client.delete(CONFIG_MAPS, bench.namespace, ledger_name(NAME, bench.policy.uid))
        bench.now += INTERVAL
        await bench.run(operator)
        assert sum((await bench.ledger()).totals.synced.values()) == 4
        assert bench.kubelet.started == {"u1": 2, "u2": 2}

    async def test_a_batch_file_that_lost_its_ledger_and_its_job_is_given_up(self, bench: Bench) -> None:
        operator, name = await running(bench, "u1")
        await bench.client.delete(CONFIG_MAPS, bench.namespace, ledger_name(NAME, bench.policy.uid))
        await bench.client.delete(JOBS, bench.namespace, name)
        await until(bench.has_no_pods)
        await operator.turn()
        await bench.run(operator)
        assert bench.kubelet.synced == {"u1": 1}
        assert name not in await bench.job_names()

    async def test_made_again_it_waits_for_pods_of_which_nothing_else_is_left(self, bench: Bench) -> None:
        operator, name = await running(bench, "u1")
        await bench.orphan(JOBS, name)
        for left in (name, ledger_name(NAME, bench.policy.uid)):
            await bench.client.delete(CONFIG_MAPS, bench.namespace, left)
        await operator.turn()
        assert [job.name for job in (await bench.ledger()).jobs] == [name]
        bench.now += MINUTE
        await operator.turn()
        assert await bench.job_names() == set(), "its users may still be worked on"
        await bench.kubelet.end()
        await bench.turns_until(operator, bench.job_names)
        assert await bench.in_flight() == {"u1"}

    async def test_unreadable_it_stops_everything_and_says_what_to_do(self, bench: Bench) -> None:
        operator, name = await running(bench, "u1", "u2")
        await bench.register(active=["u3"])
        where = ledger_name(NAME, bench.policy.uid)
        await bench.client.merge(CONFIG_MAPS, bench.namespace, where, {"data": {KEY: '{"version": 99}'}})
        await operator.turn()
        assert (await bench.conditions())["Ready"] == ("False", "RebuildingLedger")
        words = await bench.condition_message("Ready")
        assert where in words
        assert "delete it" in words
        assert await bench.job_names() == {name}
        await bench.client.delete(CONFIG_MAPS, bench.namespace, where)
        await bench.run(operator)
        await bench.run(operator)
        assert bench.kubelet.started == {"u1": 1, "u2": 1, "u3": 1}


class TestJobs:
    async def test_a_strangers_job_of_our_name_is_left_alone_and_the_users_get_another(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        await bench.apply()
        await bench.register(active=["u1"])
        operator = bench.operator()
        name = object_name(NAME, bench.policy.uid, bench.now)
        pod = {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}
        foreign = {"metadata": {"name": name}, "spec": {"template": {"spec": pod}}}
        await bench.client.create(JOBS, bench.namespace, foreign)
        with caplog.at_level(logging.ERROR):
            await operator.turn()
        assert [record.message for record in caplog.records] == ["a Job of that name belongs to somebody else"]

        async def has_another() -> bool:
            return bool(await bench.job_names())

        await bench.turns_until(operator, has_another)
        assert await bench.client.get(JOBS, bench.namespace, name)
        assert await bench.batch_files() == await bench.job_names()

    async def test_deleted_by_hand_its_users_are_synced_anew_once_its_pods_are_gone(self, bench: Bench) -> None:
        operator, name = await running(bench, "u1", "u2")
        await bench.orphan(JOBS, name)
        for _ in range(3):
            await operator.turn()
        assert (await bench.ledger()).job(name), "a pod of it still runs"
        await bench.kubelet.end()
        await bench.turns_until(operator, lambda: _differs(bench, {name}))
        await bench.run(operator)
        assert bench.kubelet.started == {"u1": 2, "u2": 2}
        states = await bench.states()
        assert [(state.failures, state.returns) for state in states.values()] == [(0, 0)] * 2

    async def test_its_orphaned_pods_that_ended_hold_nobody_in_flight(self, bench: Bench) -> None:
        operator, name = await running(bench, "u1")
        await bench.kubelet.end()
        await bench.orphan(JOBS, name)
        await bench.turns_until(operator, lambda: _differs(bench, {name}))

    async def test_orphaned_before_anyone_saw_it_it_holds_nobody_in_flight(self, bench: Bench) -> None:
        await bench.apply()
        await bench.register(active=["u1"])
        lost = bench.operator(lambda number, kind: "unanswered" if kind == "POST job" else "")
        await lost.turn()
        assert [job.phase for job in (await bench.ledger()).jobs] == [Phase.CLAIMED]
        (name,) = await bench.job_names()

        async def ended() -> bool:
            await bench.kubelet.start()
            await bench.kubelet.end()
            return bool(bench.kubelet.synced)

        await until(ended)
        await bench.orphan(JOBS, name)
        await bench.turns_until(bench.operator(), lambda: _differs(bench, {name}))

    async def test_an_eviction_is_nobodys_fault(self, bench: Bench) -> None:
        operator, _ = await running(bench, "u1")
        bench.kubelet.worker = lambda users: End(1, reason="Evicted")
        await bench.kubelet.end()
        await bench.turns_until(operator, lambda: _returned(bench))
        assert (await bench.states())["u1"].failures == 0
        assert sum((await bench.ledger()).totals.failed.values()) == 0

    async def test_without_its_batch_file_it_is_deleted_and_its_users_are_synced_anew(self, bench: Bench) -> None:
        operator, name = await running(bench, "u1")
        await bench.client.delete(CONFIG_MAPS, bench.namespace, name)
        await bench.turns_until(operator, lambda: _differs(bench, {name}))
        await bench.run(operator)
        assert bench.kubelet.synced == {"u1": 1}

    async def test_without_a_claim_it_is_deleted(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        operator, name = await running(bench, "u1")
        (body,) = await bench.jobs()
        late = object_name(NAME, bench.policy.uid, bench.now - MINUTE)
        keep = {key: body["metadata"][key] for key in ("labels", "ownerReferences")}
        spec = {key: value for key, value in body["spec"].items() if key not in ("selector", "template")}
        pod = body["spec"]["template"]
        pod["metadata"]["labels"] = {
            key: value for key, value in pod["metadata"]["labels"].items() if "job-name" not in key and "uid" not in key
        }
        await bench.client.create(
            JOBS, bench.namespace, {"metadata": {"name": late, **keep}, "spec": {**spec, "template": pod}}
        )
        with caplog.at_level(logging.WARNING):
            await operator.turn()
        assert "deleting a Job that belongs to no open claim" in caplog.messages
        await until(lambda: _is(bench, {name}))


async def _differs(bench: Bench, names: set[str]) -> bool:
    """Whether the users have a new Job. The kubelet ends what is deleted."""
    await bench.kubelet.start()
    return bool(await bench.job_names() - names)


async def _is(bench: Bench, names: set[str]) -> bool:
    return await bench.job_names() == names


async def _returned(bench: Bench) -> bool:
    return any(state.returns for state in (await bench.states()).values())


async def test_a_proposal_that_nobody_claimed_is_swept_once_nobody_can(bench: Bench) -> None:
    await bench.apply()
    await bench.register()
    operator = bench.operator()
    await operator.turn()
    old = new_batch_file(bench.policy, [batch("u9")], claim=bench.now - MINUTE, claimed_at=0, generation=1)
    await bench.objects.create_batch_file(batch_file(bench.policy, old))
    await operator.turn()
    assert await bench.batch_files() == {old.name}, "it may be about to be claimed"
    bench.now += 2 * MINUTE
    await operator.turn()
    assert await bench.batch_files() == set()
