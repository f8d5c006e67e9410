"""The Redis store against real servers: every store's contract, on each kind of server that there is."""

from collections.abc import AsyncIterator

import pytest

from periodic_sync.core.plan import plan_for
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.commands import Script
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.scripts import SET_ASIDE
from periodic_sync.stores.redis.urls import parse_url
from redis_bench import RedisBench
from redis_interrupted import Interrupted
from redis_support import RedisCluster, SentinelSetup, Server
from scheduling import tick_of
from store_contract import NOW, WALLET, StoreContract, outcome


@pytest.fixture
async def bench(shared_server: Server) -> AsyncIterator[RedisBench]:
    connection = Connection(parse_url(shared_server.url))
    yield RedisBench(connection)
    await connection.close()


class TestContract(StoreContract):
    """On one server."""


class TestContractWithSentinels(StoreContract):
    @pytest.fixture
    async def bench(self, shared_sentinels: SentinelSetup) -> AsyncIterator[RedisBench]:
        connection = Connection(parse_url(shared_sentinels.url))
        yield RedisBench(connection)
        await connection.close()


class TestContractInACluster(StoreContract):
    @pytest.fixture
    async def bench(self, shared_cluster: RedisCluster) -> AsyncIterator[RedisBench]:
        connection = Connection(parse_url(shared_cluster.url))
        yield RedisBench(connection)
        await connection.close()


class TestContractOnValkey(StoreContract):
    @pytest.fixture
    async def bench(self, shared_valkey: Server) -> AsyncIterator[RedisBench]:
        connection = Connection(parse_url(shared_valkey.url))
        yield RedisBench(connection)
        await connection.close()


class TestUsersWhoCantBeRead:
    async def damage(self, bench: RedisBench, user_id: str, field: str, value: str) -> None:
        await bench.commands.run(
            Script("damage", "return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])"),
            [bench.keys.user(user_id)],
            [field, value],
        )

    async def planned(self, bench: RedisBench) -> set[str]:
        store = bench.open()
        await store.read(NOW)
        tick = tick_of(now=NOW)
        made = plan_for(await store.population(tick), tick, None)
        return set(made.claimed)

    async def test_they_stop_nobody_and_are_named_without_their_wallet(self, bench: RedisBench) -> None:
        await bench.register(["good", "bad"])
        await self.damage(bench, "bad", "interval", "often")
        assert await self.planned(bench) == {"good"}
        report = await bench.open().read(NOW)
        assert report.skipped == 1
        assert "bad" in report.problems[0]
        assert WALLET not in report.problems[0]

    async def test_a_wallet_that_stands_in_the_wrong_field_is_not_told(self, bench: RedisBench) -> None:
        await bench.register(["bad"])
        await self.damage(bench, "bad", "interval", WALLET)
        assert await self.planned(bench) == set()
        assert (await bench.open().read(NOW)).problems == ("bad: its field interval is no whole number",)

    async def test_what_nobody_registered_stops_nobody(self, bench: RedisBench) -> None:
        await bench.register(["good"])
        for key in bench.keys.shared[1:6]:
            script = Script("strange", "return redis.call('ZADD', KEYS[1], 1, ARGV[1])")
            await bench.commands.run(script, [key], [b"\xff\xfe"])
        assert await self.planned(bench) == {"good"}
        assert await self.planned(bench) == {"good"}

    async def test_registered_again_they_are_well(self, bench: RedisBench) -> None:
        await bench.register(["u1"])
        await self.damage(bench, "u1", "interval", "often")
        assert await self.planned(bench) == set()
        await bench.register(["u1"])
        assert (await bench.open().read(NOW)).skipped == 0
        assert await self.planned(bench) == {"u1"}

    async def test_removed_as_they_are_set_aside_they_leave_no_trace(self, bench: RedisBench) -> None:
        await bench.register(["u1"])
        await self.damage(bench, "u1", "interval", "often")
        meddling = Interrupted(bench.commands, SET_ASIDE, "u1", lambda: bench.remove("u1"))
        assert await self.planned(RedisBench(meddling, bench.prefix)) == set()
        assert meddling.has_happened
        assert (await bench.open().read(NOW)).skipped == 0

    async def test_mended_by_hand_they_are_well(self, bench: RedisBench) -> None:
        await bench.register(["u1"])
        await self.damage(bench, "u1", "claim", "x")
        assert await self.planned(bench) == set()
        await self.damage(bench, "u1", "claim", "1")
        assert (await bench.open().read(NOW)).skipped == 0
        assert await self.planned(bench) == {"u1"}


class TestWhoseStoreItIs:
    async def test_a_second_policy_is_told_whose_it_is(self, bench: RedisBench) -> None:
        await bench.register(["u1"])
        await bench.open("c1/shop/portfolios").read(NOW)
        with pytest.raises(StoreNotReady, match="belong to SyncPolicy shop/portfolios of cluster c1"):
            await bench.open("c1/shop/other").read(NOW)
        with pytest.raises(StoreNotReady, match="belong to SyncPolicy shop/portfolios"):
            await bench.open("c2/shop/portfolios").read(NOW)

    async def test_where_the_cluster_is_not_known_the_policy_is_enough(self, bench: RedisBench) -> None:
        await bench.register(["u1"])
        await bench.open("/shop/portfolios").read(NOW)
        await bench.open("c1/shop/portfolios").read(NOW)

    async def test_a_store_of_another_version_is_left_as_it_is(self, bench: RedisBench) -> None:
        await bench.register(["u1"])
        await bench.commands.run(Script("age", "return redis.call('HSET', KEYS[1], 'version', '2')"), [bench.keys.meta])
        before = await bench.commands.read(bench.keys.meta, [("HGETALL", bench.keys.meta)])
        with pytest.raises(StoreNotReady, match="layout version 2"):
            await bench.open().read(NOW)
        with pytest.raises(StoreNotReady):
            await bench.open().apply([outcome("u1")])
        with pytest.raises(StoreNotReady, match="layout version 2"):
            await bench.register(["u2"])
        assert await bench.commands.read(bench.keys.meta, [("HGETALL", bench.keys.meta)]) == before
