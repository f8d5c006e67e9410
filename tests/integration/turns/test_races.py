"""Two operators on one policy, one of them frozen between two requests: whoever comes second finds out, and yields."""

import asyncio
from collections.abc import Awaitable

import pytest

from periodic_sync.api.durations import MINUTE
from periodic_sync.api.errors import ConflictError
from periodic_sync.core.ledger import Phase
from periodic_sync.core.objects import ledger_name
from periodic_sync.kube.resources import CONFIG_MAPS, JOBS, SYNC_POLICIES
from turns_support import NAME, Bench, Operator, until
from watched_client import Crash, Gate


async def frozen(operator: Operator, gate: Gate) -> "asyncio.Task[object]":
    """A turn that is held at the gate."""
    turn = asyncio.ensure_future(operator.turn())
    reached = asyncio.ensure_future(gate.reached.wait())
    await asyncio.wait({turn, reached}, return_when=asyncio.FIRST_COMPLETED)
    assert reached.done(), f"the turn ended without {gate.kind}: {turn}"
    return turn


async def fails_with(error: type[Exception], turn: Awaitable[object]) -> None:
    with pytest.raises(error):
        await turn


def crashing(bench: Bench, fault: str, kind: str) -> Operator:
    """An operator that crashes at its first write of that kind."""
    return bench.operator(lambda _, written: fault if written == kind else "")


async def assert_all_belongs_to_one_claim(bench: Bench, users: set[str]) -> None:
    """One claim stands, with its Job and batch file, and nothing of the loser is left."""
    names = {job.name for job in (await bench.ledger()).jobs}
    assert len(names) == 1
    assert await bench.batch_files() == names
    assert await bench.job_names() == names
    assert await bench.in_flight() == users


async def ready_bench(
    bench: Bench, *, users: tuple[str, ...] = ("u1", "u2"), batch_size: int = 10, jobs: dict[str, object] | None = None
) -> None:
    """A policy whose ledger has been made, and users who are due since."""
    await bench.apply({"batchSize": batch_size, "jobs": jobs or {}})
    await bench.register()
    await bench.operator().turn()
    await bench.register(active=users)


async def one_index_has_ended(bench: Bench) -> bool:
    if await bench.kubelet.start() == len(bench.kubelet.started) == 2:
        await bench.kubelet.end(1)
    return any(job["status"].get("completedIndexes") for job in await bench.jobs())


async def test_two_operators_make_one_ledger(bench: Bench) -> None:
    await bench.apply()
    await bench.register(active=["u1"])
    late, first = bench.operator(), bench.operator()
    gate = late.client.hold("POST ledger")
    turn = await frozen(late, gate)
    await first.turn()
    gate.opened.set()
    await fails_with(ConflictError, turn)
    await assert_all_belongs_to_one_claim(bench, {"u1"})


async def test_of_two_claims_one_stands_and_the_losers_files_are_gone(bench: Bench) -> None:
    await ready_bench(bench)
    late, first = bench.operator(), bench.operator()
    gate = late.client.hold("PUT ledger")
    turn = await frozen(late, gate)
    # Both proposed at the same instant would share a name; a moment later they don't.
    bench.now += 1
    await first.turn()
    assert len(await bench.batch_files()) == 2
    gate.opened.set()
    await fails_with(ConflictError, turn)
    await assert_all_belongs_to_one_claim(bench, {"u1", "u2"})
    await late.turn()
    await assert_all_belongs_to_one_claim(bench, {"u1", "u2"})
    await bench.run(late)
    assert bench.kubelet.started == {"u1": 1, "u2": 1}


async def test_two_proposals_of_one_name_are_one_claim(bench: Bench) -> None:
    await ready_bench(bench)
    late, first = bench.operator(), bench.operator()
    gate = late.client.hold("POST batch file")
    turn = await frozen(late, gate)
    await first.turn()
    gate.opened.set()
    await fails_with(ConflictError, turn)
    await assert_all_belongs_to_one_claim(bench, {"u1", "u2"})
    await bench.run(first)
    assert bench.kubelet.started == {"u1": 1, "u2": 1}


async def test_a_claim_without_a_job_is_taken_over_and_the_late_post_adopts_it(bench: Bench) -> None:
    await ready_bench(bench)
    late, other = bench.operator(), bench.operator()
    gate = late.client.hold("POST job")
    turn = await frozen(late, gate)
    await other.turn()
    await assert_all_belongs_to_one_claim(bench, {"u1", "u2"})
    gate.opened.set()
    await asyncio.gather(turn, return_exceptions=True)
    await assert_all_belongs_to_one_claim(bench, {"u1", "u2"})
    await bench.run(late)
    assert bench.kubelet.started == {"u1": 1, "u2": 1}


async def test_an_index_is_closed_only_once_the_ledger_says_that_its_job_was_created(bench: Bench) -> None:
    """Whoever reads that it was only claimed, and sees no Job, makes one, with all of its indexes."""
    await ready_bench(bench, jobs={"batchesPerJob": 2}, batch_size=1)
    with pytest.raises(Crash):
        await crashing(bench, "crash-after", "POST job").turn()
    await until(lambda: one_index_has_ended(bench))
    with pytest.raises(Crash):
        await crashing(bench, "crash-after", "PUT ledger").turn()
    (job,) = (await bench.ledger()).jobs
    assert (job.phase, job.open) == (Phase.CREATED, {0, 1})
    await bench.run(bench.operator())
    assert bench.kubelet.started == {"u1": 1, "u2": 1}


async def test_a_claim_that_others_finished_meanwhile_is_not_created_again(bench: Bench) -> None:
    await ready_bench(bench)
    with pytest.raises(Crash):
        await crashing(bench, "crash-before", "POST job").turn()
    late, other = bench.operator(), bench.operator()
    turn = await frozen(late, gate := late.client.hold("GET pod"))
    await bench.run(other)
    for name in await bench.job_names():
        await bench.client.delete(JOBS, bench.namespace, name)
    await until(bench.has_no_pods)
    gate.opened.set()
    await fails_with(ConflictError, turn)
    assert "POST job" not in late.client.writes


async def test_a_late_deletion_spares_the_batch_file_that_has_the_name_now(bench: Bench) -> None:
    await ready_bench(bench)
    late, other = bench.operator(), bench.operator()
    claiming = late.client.hold("PUT ledger")
    turn = await frozen(late, claiming)
    (name,) = await bench.batch_files()
    bench.now += 1
    await other.turn()
    deleting = late.client.hold("DELETE batch file")
    claiming.opened.set()
    await deleting.reached.wait()
    await bench.make_again(CONFIG_MAPS, name)
    deleting.opened.set()
    await fails_with(ConflictError, turn)
    assert name in await bench.batch_files()


async def test_a_job_that_lands_after_its_claim_was_closed_starts_nothing_and_is_deleted(bench: Bench) -> None:
    await ready_bench(bench, jobs={"history": {"succeeded": 0}})
    late, other = bench.operator(), bench.operator()
    gate = late.client.hold("POST job")
    turn = await frozen(late, gate)
    await bench.run(other)

    async def forgotten() -> bool:
        return not await bench.jobs()

    await bench.turns_until(other, forgotten)
    gate.opened.set()
    await fails_with(ConflictError, turn)
    assert len(await bench.jobs()) == 1

    async def has_pods() -> bool:
        return bool(await bench.objects.pods())

    await until(has_pods)
    assert await bench.kubelet.start() == 0
    await other.turn()
    await until(forgotten)
    assert bench.kubelet.started == {"u1": 1, "u2": 1}


async def test_a_claim_that_is_not_created_when_the_policy_is_turned_off_is_given_up(bench: Bench) -> None:
    await ready_bench(bench)
    late, other = bench.operator(), bench.operator()
    gate = late.client.hold("POST job")
    turn = await frozen(late, gate)
    await bench.edit(spec={"enabled": False})
    await other.turn()
    assert (await bench.status())["enabled"] is False
    assert (await bench.ledger()).jobs == ()
    assert await bench.batch_files() == set()
    gate.opened.set()
    await fails_with(ConflictError, turn)
    assert await bench.kubelet.start() == 0
    await other.turn()
    await until(lambda: _is_empty(bench))
    assert not bench.kubelet.started


async def _is_empty(bench: Bench) -> bool:
    return not [job for job in await bench.jobs() if not job["metadata"].get("deletionTimestamp")]


async def test_no_claim_planned_before_the_policy_was_turned_off_passes_after_it(bench: Bench) -> None:
    await ready_bench(bench)
    late, other = bench.operator(), bench.operator()
    gate = late.client.hold("PUT ledger")
    turn = await frozen(late, gate)
    await bench.edit(spec={"enabled": False})
    await other.turn()
    assert (await bench.status())["enabled"] is False
    gate.opened.set()
    await fails_with(ConflictError, turn)
    assert (await bench.ledger()).jobs == ()
    assert await bench.batch_files() == set()


async def test_an_operator_that_read_an_older_ledger_changes_nothing(bench: Bench) -> None:
    await ready_bench(bench)
    late, other = bench.operator(), bench.operator()
    gate = late.client.hold("GET syncpolicy")
    turn = await frozen(late, gate)
    await bench.edit(spec={"enabled": False})
    await other.turn()
    ledger = await bench.ledger()
    gate.opened.set()
    await fails_with(ConflictError, turn)
    assert await bench.ledger() == ledger
    assert (await bench.status())["enabled"] is False


async def test_results_are_counted_once_though_two_operators_settle_them(bench: Bench) -> None:
    await ready_bench(bench)
    late, other = bench.operator(), bench.operator()
    await late.turn()

    async def finished() -> bool:
        await bench.kubelet.start()
        await bench.kubelet.end()
        return any(
            one["type"] == "Complete" for job in await bench.jobs() for one in job["status"].get("conditions", [])
        )

    await until(finished)
    gate = late.client.hold("PUT ledger")
    turn = await frozen(late, gate)
    await bench.run(other)
    gate.opened.set()
    await fails_with(ConflictError, turn)
    await late.turn()
    assert sum((await bench.ledger()).totals.synced.values()) == 2
    bench.now += MINUTE
    await other.turn()
    assert bench.kubelet.started == {"u1": 1, "u2": 1}


@pytest.mark.parametrize("operators", [3])
async def test_operators_that_all_turn_at_once_never_sync_a_user_twice(bench: Bench, operators: int) -> None:
    users = [f"u{number}" for number in range(12)]
    await bench.apply({"batchSize": 2, "jobs": {"batchesPerJob": 2}})
    await bench.register(active=users)
    crowd = [bench.operator() for _ in range(operators)]

    async def over() -> bool:
        await asyncio.gather(*(operator.retried_turn() for operator in crowd))
        await bench.kubelet.start()
        await bench.kubelet.end(2)
        ledger = (await bench.ledgers.read()) if bench.kubelet.started else None
        return ledger is not None and not ledger.ledger.jobs and len(bench.kubelet.synced) == len(users)

    await until(over)
    assert bench.kubelet.started == dict.fromkeys(users, 1)
    assert sum((await bench.ledger()).totals.synced.values()) == len(users)
    assert {job["status"].get("succeeded") for job in await bench.client.list(JOBS, bench.namespace)} <= {1, 2}


async def test_what_was_found_of_a_policy_is_not_told_of_one_made_in_its_place(bench: Bench) -> None:
    await ready_bench(bench)
    late = bench.operator()
    gate = late.client.hold("PATCH status")
    turn = await frozen(late, gate)
    await bench.client.delete(SYNC_POLICIES, bench.namespace, NAME)
    await bench.apply()
    gate.opened.set()
    await fails_with(ConflictError, turn)
    assert await bench.status() == {}


async def test_a_ledger_that_was_lost_is_made_again_by_the_spec_as_it_is_then(bench: Bench) -> None:
    await ready_bench(bench)
    late, other = bench.operator(), bench.operator()
    ledger = ledger_name(NAME, bench.policy.uid)
    await bench.client.delete(CONFIG_MAPS, bench.namespace, ledger)
    turn = await frozen(late, gate := late.client.hold("POST ledger"))
    await bench.edit(spec={"enabled": False})
    await other.turn()
    assert (await bench.status())["enabled"] is False
    await bench.client.delete(CONFIG_MAPS, bench.namespace, ledger)
    gate.opened.set()
    await turn
    assert await bench.job_names() == set()
    assert (await bench.ledger()).generation == 2


async def test_a_spec_that_was_superseded_on_the_way_is_not_acknowledged(bench: Bench) -> None:
    await ready_bench(bench)
    late = bench.operator()
    gate = late.client.hold("PATCH status")
    turn = await frozen(late, gate)
    await bench.edit(spec={"enabled": False})
    gate.opened.set()
    await fails_with(ConflictError, turn)
    await late.turn()
    status = await bench.status()
    assert (status["observedGeneration"], status["enabled"]) == (2, False)
