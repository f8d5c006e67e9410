"""Sentinels and clusters: the server that takes writes is found, and followed when it is another one."""

import pytest
from redis.crc import key_slot

from periodic_sync.stores.redis.commands import Script
from periodic_sync.stores.redis.topology import SENTINEL_SECONDS
from periodic_sync.stores.redis.troubles import RedisNotReady
from redis_calls import COUNT, KEY, SECRET, Clock, connected, healed, told
from redis_support import (
    HOST,
    MASTER,
    RedisCluster,
    SentinelSetup,
    Server,
    redis_cluster,
    sentinel_setup,
    until,
)


class TestSentinels:
    async def test_a_primary_that_dies_is_replaced(self) -> None:
        async with sentinel_setup(requirepass="pw") as setup, connected(setup.url) as connection:
            assert await connection.run(COUNT, [KEY]) == 1
            await setup.primary.replicated()
            setup.primary.kill()
            assert await healed(connection) == 2
            assert list(await connection.info("server")) == [f"{HOST}:{setup.replica.port}"]

    async def test_a_failover_by_hand_is_followed_although_the_old_primary_answers(self) -> None:
        clock = Clock()
        guarded = sentinel_setup(sentinels=1, sentinel_password="pw", requirepass="pw")
        async with guarded as setup, connected(setup.url, clock=clock) as connection:
            await connection.run(COUNT, [KEY])
            assert list(await connection.info("server")) == [f"{HOST}:{setup.primary.port}"]
            await self.fail_over(setup)
            clock.now += SENTINEL_SECONDS
            assert list(await connection.info("server")) == [f"{HOST}:{setup.replica.port}"]
            assert await connection.run(COUNT, [KEY]) == 2

    async def test_a_primary_that_has_become_a_replica_is_left_within_the_call(self) -> None:
        async with sentinel_setup(sentinels=1) as setup, connected(setup.url) as connection:
            await connection.run(COUNT, [KEY])
            await self.fail_over(setup)
            # The Sentinel would do that, ten seconds later.
            await setup.primary.command("REPLICAOF", HOST, setup.replica.port)
            assert await connection.run(COUNT, [KEY]) == 2

    async def fail_over(self, setup: SentinelSetup) -> None:
        """By hand, until the first Sentinel says so."""
        sentinel = setup.sentinels[0]
        await setup.primary.replicated()
        await sentinel.command("SENTINEL", "FAILOVER", MASTER)

        async def over() -> bool:
            address = await sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
            return bool(int(address[1]) == setup.replica.port)

        await until(over, "the Sentinel names the replica as the primary")

    async def test_a_primary_of_another_name(self) -> None:
        async with sentinel_setup(sentinels=1) as setup:
            url = setup.url.replace(MASTER, "main")
            assert "knows no primary of the name in the URL" in str(await told(url))
            host = f"{HOST}:{setup.sentinels[0].port}"
            assert f"The Sentinel at {host} knows no" in str(await told(url))

    async def test_no_sentinel_answers(self, server: Server) -> None:
        server.kill()
        refused = await told(f"redis+sentinel://{HOST}:{server.port}/main")
        assert f"The Sentinel at {HOST}:{server.port} refuses connections" in str(refused)

    async def test_the_primary_stays_known_while_the_sentinels_are_away(self) -> None:
        clock = Clock()
        async with sentinel_setup(sentinels=1) as setup, connected(setup.url, clock=clock) as connection:
            await connection.run(COUNT, [KEY])
            setup.sentinels[0].kill()
            clock.now += SENTINEL_SECONDS
            assert await connection.run(COUNT, [KEY]) == 2


class TestClusters:
    async def test_a_primary_that_dies_is_replaced(self) -> None:
        async with redis_cluster() as cluster, connected(cluster.url) as connection:
            assert await connection.run(COUNT, [KEY]) == 1
            primary = cluster.primary_of(key_slot(KEY.encode()))
            await primary.replicated()
            primary.kill()
            assert await healed(connection) == 2
            answers = await connection.info("server")
            assert len(answers) == 3
            assert f"{HOST}:{primary.port}" not in answers

    async def test_keys_that_have_moved_are_found_within_the_call(self) -> None:
        async with redis_cluster(replicas=0) as cluster, connected(cluster.url) as connection:
            assert await connection.run(COUNT, [KEY]) == 1
            slot = key_slot(KEY.encode())
            old = cluster.primary_of(slot)
            new = next(server for server in cluster.primaries if server is not old)
            owner = await new.command("CLUSTER", "MYID")
            await old.command("DEL", KEY)
            for server in (new, old):
                await server.command("CLUSTER", "SETSLOT", slot, "NODE", owner)
            assert await connection.run(COUNT, [KEY]) == 1

    async def test_prefixes_are_spread_and_each_is_found(self, shared_cluster: RedisCluster) -> None:
        async with connected(shared_cluster.url) as connection:
            for number in range(20):
                assert await connection.run(COUNT, [f"{{spread-{number}:}}a"]) == 1

    async def test_a_user_that_may_only_what_the_documentation_says(self, shared_cluster: RedisCluster) -> None:
        rights = ("+@all", "-@dangerous", "+info", "~{portfolios:}*")
        for server in shared_cluster.primaries:
            await server.command("ACL", "SETUSER", "app", "on", f">{SECRET}", *rights)
        async with connected(shared_cluster.url.replace("://", f"://app:{SECRET}@")) as connection:
            assert await connection.run(COUNT, ["{portfolios:}as-app"]) == 1

    async def test_keys_of_several_slots_in_one_step(self, shared_cluster: RedisCluster) -> None:
        both = Script("both", "return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}")
        async with connected(shared_cluster.url) as connection:
            with pytest.raises(RedisNotReady, match="is given keys of several slots in one step"):
                await connection.run(both, ["{a}", "{b}"])

    async def test_a_cluster_that_is_spoken_to_as_a_server_alone(self, shared_cluster: RedisCluster) -> None:
        slot = key_slot(KEY.encode())
        other = next(server for server in shared_cluster.primaries if server is not shared_cluster.primary_of(slot))
        assert "write redis+cluster:// in place of redis://" in str(await told(other.url))

    async def test_a_server_alone_that_is_spoken_to_as_a_cluster(self, server: Server) -> None:
        assert "write redis:// in place of redis+cluster://" in str(await told(f"redis+cluster://{HOST}:{server.port}"))
