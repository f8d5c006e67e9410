"""`/metrics` of real operator processes, compared with what the test knows that they did."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kubelet import End
from operator_process import OperatorProcess
from periodic_sync.kube.resources import SYNC_POLICIES
from periodic_sync.telemetry import definitions
from periodic_sync.worker.calls import OK, RETRYABLE, Calls
from periodic_sync.worker.results import with_calls
from scraping import Scrape
from turns_support import INTERVAL, NAME, Bench, until

USERS = ["canary-user-1", "canary-user-2", "canary-user-3"]
BATCH = {"batchSize": 2}


@pytest.fixture
async def operators(api_server: Path, tmp_path: Path) -> AsyncIterator[list[OperatorProcess]]:
    """Two, not yet started. Their logs are shown where the test fails."""
    made = [OperatorProcess(api_server, tmp_path / f"operator-{number}.log") for number in (1, 2)]
    yield made
    for operator in made:
        await operator.kill()
        if operator.log.exists():
            print(operator.log.read_text())


async def started(operator: OperatorProcess, bench: Bench) -> None:
    await operator.start("--namespace", bench.namespace)
    await until(operator.is_healthy)


async def synced(bench: Bench, count: int) -> None:
    """Until the status says that so many were, while the kubelet does its work."""

    async def met() -> bool:
        await bench.kubelet.start()
        await bench.kubelet.end()
        return (await bench.status()).get("usersSynced") == count

    await until(met)


async def scraped_until(operator: OperatorProcess, name: str, value: float | None, **labels: str) -> Scrape:
    """The first scrape that says so."""
    found: list[Scrape] = []

    async def says() -> bool:
        found.append(await operator.scrape())
        return found[-1].value(name, **labels) == value

    await until(says)
    return found[-1]


async def test_the_numbers_are_those_of_what_was_done(operators: list[OperatorProcess], bench: Bench) -> None:
    operator = operators[0]
    await bench.register(active=USERS, inactive=["away"])
    await bench.apply(BATCH)
    await started(operator, bench)
    await synced(bench, 3)
    told = await scraped_until(operator, "periodic_sync_in_flight_users", 0)
    owner = {"namespace": bench.namespace, "policy": NAME}
    assert told.policies == {(bench.namespace, NAME)}
    assert told.nonzero("periodic_sync_user_syncs_total", "result", **owner, priority="high") == {"synced": 3}
    assert told.nonzero("periodic_sync_batches_total", "result", **owner) == {"succeeded": 2}
    assert told.value("periodic_sync_batch_duration_seconds_count", **owner) == 2
    assert told.nonzero("periodic_sync_users", "reason", **owner) == {"NotDue": 3, "Inactive": 1}
    assert told.value("periodic_sync_total_users", **owner) == 4
    assert told.value("periodic_sync_active_users", **owner) == 3
    assert told.value("periodic_sync_interval_seconds", **owner) == 600
    assert told.nonzero("periodic_sync_policy_state", "state", **owner) == {"Scheduling": 1}
    assert told.value("periodic_sync_due_lag_seconds_count", **owner) == 0  # they had never been synced
    assert told.value("periodic_sync_turns_total", outcome="ok") == told.value(
        "periodic_sync_turn_duration_seconds_count", **owner
    )
    jobs = len(await bench.jobs())
    assert told.value("periodic_sync_kubernetes_request_duration_seconds_count", verb="create", resource="jobs") == jobs
    asked = {labels["operation"] for labels, _ in told.series("periodic_sync_store_operation_duration_seconds_count")}
    assert {"read", "population", "apply"} <= asked
    await nothing_personal(operator, told)


async def nothing_personal(operator: OperatorProcess, told: Scrape) -> None:
    exposed = told.text + (await operator.scrape("application/openmetrics-text;version=1.0.0")).text
    for canary in ("canary", "away", "0xwallet"):
        assert canary not in exposed
    names = {labels_of for each in definitions.ALL for labels_of in each.series}
    own = {line.split("{")[0].split(" ")[0] for line in told.text.splitlines() if line.startswith("periodic_sync_")}
    assert own <= names


def tells_of_calls(users: list[str]) -> End:
    """A worker that tells of its calls, save of those of a single user, as one's own image may."""
    calls = Calls()
    for _ in users:
        calls.add(RETRYABLE, 0.2, is_retry=False)
        calls.add(OK, 1.5, is_retry=True)
    return End(message=with_calls("", calls.told()) if len(users) > 1 else "")


async def test_calls_of_workers_are_told_where_they_tell_of_them(
    operators: list[OperatorProcess], bench: Bench
) -> None:
    bench.kubelet.worker = tells_of_calls
    await bench.register(active=USERS)
    await bench.apply(BATCH)
    await started(operators[0], bench)
    await synced(bench, 3)
    told = await scraped_until(operators[0], "periodic_sync_worker_retries_total", 2)
    name = "periodic_sync_worker_call_duration_seconds"
    assert told.nonzero(f"{name}_count", "outcome", policy=NAME) == {"ok": 2, "retryable": 2}
    assert told.nonzero(f"{name}_sum", "outcome", policy=NAME) == {"ok": 3, "retryable": 0.4}
    assert told.nonzero("periodic_sync_batches_total", "result", policy=NAME) == {"succeeded": 2}


async def test_a_lag_is_told_by_whoever_sees_the_end(operators: list[OperatorProcess], bench: Bench) -> None:
    """The due time is in the batch file: an operator that has not planned the batch knows it."""
    bench.now -= 610_000
    await bench.register(active=["u1"])
    await bench.apply()
    planner = bench.operator()
    await bench.run(planner)
    due = ((await bench.states())["u1"].last_synced or 0) + INTERVAL
    bench.now += 607_000
    await planner.turn()
    await started(operators[0], bench)
    await synced(bench, 2)
    told = await scraped_until(operators[0], "periodic_sync_due_lag_seconds_count", 1, priority="medium")
    assert told.value("periodic_sync_claim_lag_seconds_sum", priority="medium") == (bench.now - due) / 1000
    lag = told.value("periodic_sync_due_lag_seconds_sum", priority="medium") or 0
    assert (bench.now - due) / 1000 < lag <= time.time() - due / 1000


async def test_a_policy_that_is_deleted_takes_its_series_along(operators: list[OperatorProcess], bench: Bench) -> None:
    operator = operators[0]
    await bench.register(active=["u1"])
    await bench.apply()
    await started(operator, bench)
    await scraped_until(operator, "periodic_sync_total_users", 1)
    await bench.client.delete(SYNC_POLICIES, bench.namespace, NAME)
    told = await scraped_until(operator, "periodic_sync_total_users", None)
    assert told.policies == set()
    assert told.value("periodic_sync_leader") == 1


async def test_only_the_leader_tells_of_policies(operators: list[OperatorProcess], bench: Bench) -> None:
    first, second = operators
    await bench.register(active=["u1"])
    await bench.apply()
    await started(first, bench)
    await scraped_until(first, "periodic_sync_total_users", 1)
    await started(second, bench)
    await second.says("standing by")
    standby = await second.scrape()
    assert (standby.value("periodic_sync_leader"), standby.policies) == (0, set())
    assert standby.value("process_resident_memory_bytes")
    assert standby.value("periodic_sync_build_info") == 1
    await asyncio.gather(first.end(), scraped_until(second, "periodic_sync_total_users", 1))
    led = await second.scrape()
    assert (led.value("periodic_sync_leader"), led.value("periodic_sync_leader_transitions_total")) == (1, 1)
