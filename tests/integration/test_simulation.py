"""A simulation beside what the real operator then does in virtual time: turns, stores and API server are real."""

import pytest
from benchmarks.simulation import BOUND, Comparison, compare

from periodic_sync.kube.client import KubeClient
from periodic_sync.simulation.assumptions import Assumptions
from redis_support import redis_server
from scheduling import instant

EIGHT = instant("2026-11-25T08:00+00:00")
HOURS, USERS = 3, 240

# The market opens and closes within the three hours; all batches are taken at times; some users come back.
SPEC = {
    "worker": {"http": {"url": "http://sync.default.svc/users/{userId}/sync", "concurrency": 10}},
    "marketHours": {"start": "09:00", "end": "10:00"},
    "batchSize": 40,
    "jobs": {"maxConcurrentBatches": 3, "batchesPerJob": 2},
}
ASSUMED = Assumptions(sync=3_000)


def assert_near(found: Comparison) -> None:
    print(found.table(), found.lags(), sep="\n")
    assert found.total.synced > HOURS * USERS, "hardly anything was played"
    assert found.total.jobs < found.total.batches, "Jobs of several batches should be among them"
    assert found.played[1].synced > 2 * found.played[0].synced, "the market should have opened"
    assert found.played[2].synced < found.played[1].synced / 2, "the market should have closed"
    for what in ("synced", "batches", "jobs"):
        assert found.difference(what) <= BOUND, what
    assert found.worst_hour() <= BOUND


async def test_the_operator_does_what_was_simulated_with_users_in_redis(client: KubeClient) -> None:
    async with redis_server() as server:
        found = await compare(
            client,
            SPEC,
            users=USERS,
            share=0.9,
            start=EIGHT,
            hours=HOURS,
            assumed=ASSUMED,
            redis_url=server.url,
        )
    assert_near(found)
    assert found.simulated.total.writes.operator == pytest.approx(found.total.operators_writes, rel=0.05)


async def test_the_operator_does_what_was_simulated_with_users_in_config_maps(client: KubeClient) -> None:
    found = await compare(client, SPEC, users=USERS, share=0.9, start=EIGHT, hours=HOURS, assumed=ASSUMED)
    assert_near(found)
    assert found.simulated.total.writes.operator == pytest.approx(found.total.operators_writes, rel=0.1)
