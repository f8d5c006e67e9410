"""`periodic-sync purge`: on a server, on a cluster, and what it refuses."""

from periodic_sync.core.users import UserRecord
from periodic_sync.kube.resources import SYNC_POLICIES
from periodic_sync.stores.redis import purging
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.keys import Keys
from periodic_sync.stores.redis.records import RedisRecords
from periodic_sync.stores.redis.urls import parse_url
from redis_support import redis_cluster
from turns_support import NAME

from .conftest import PASSWORD, PREFIX, Place


async def operated(place: Place) -> None:
    """A policy on Redis that has worked, with another prefix's users beside it."""
    await place.apply()
    await place.register(*(f"u{number}" for number in range(30)))
    await place.bench.run(place.bench.operator())
    assert place.redis is not None
    await place.redis.command("SET", "portfolios", "another's")
    await place.redis.command("SET", f"x{PREFIX}", "another's")


async def purge(place: Place, *more: str) -> tuple[int, str, str]:
    return await place.run("purge", PREFIX, "--secret", "redis", *more)


async def others(place: Place) -> set[bytes]:
    assert place.redis is not None
    return set(await place.redis.command("KEYS", "*"))


async def test_users_of_a_policy_that_is_gone_are_erased_once_the_prefix_is_given_again(on_redis: Place) -> None:
    place = on_redis
    await operated(place)
    await place.bench.client.delete(SYNC_POLICIES, place.bench.namespace, NAME)
    before = await others(place)
    asked = await purge(place)
    assert asked[0] == 1
    assert f"Under '{PREFIX}' there are 30 users of SyncPolicy {place.bench.namespace}/{NAME}" in asked[2]
    assert "give the prefix again" in asked[2]
    assert (await purge(place, "--confirm", "portfolios"))[2].endswith("that is another prefix: nothing was erased\n")
    assert await others(place) == before
    done = await purge(place, "--confirm", PREFIX)
    assert (done[0], done[1]) == (0, f"{len(before) - 2} keys erased\n")
    assert await others(place) == {b"portfolios", f"x{PREFIX}".encode()}
    assert await purge(place) == (0, f"There is nothing under '{PREFIX}'\n", "")
    assert PASSWORD not in str((asked, done))


async def test_where_there_is_nothing_nobody_s_policy_is_in_the_way(on_redis: Place) -> None:
    await on_redis.apply()  # and no operator has been there
    assert await purge(on_redis) == (0, f"There is nothing under '{PREFIX}'\n", "")


async def test_what_a_policy_uses_is_erased_only_once_it_is_paused_and_with_yes(on_redis: Place) -> None:
    place = on_redis
    await operated(place)
    before = await others(place)
    refused = await purge(place, "--yes", "--confirm", PREFIX)
    assert (refused[0], "is enabled and uses 'portfolios:': nothing is erased" in refused[2]) == (1, True)
    await place.bench.edit(spec={"enabled": False})
    assert "still at work" in (await purge(place, "--yes", "--confirm", PREFIX))[2]
    await place.bench.operators[-1].turn()
    assert "is paused, and still there: with --yes" in (await purge(place, "--confirm", PREFIX))[2]
    assert await others(place) == before
    assert (await purge(place, "--yes", "--confirm", PREFIX))[0] == 0
    assert len(await others(place)) == 2


async def test_users_of_another_cluster_s_policy_are_left_alone(on_redis: Place) -> None:
    place = on_redis
    await operated(place)
    await place.bench.client.delete(SYNC_POLICIES, place.bench.namespace, NAME)
    assert place.redis is not None
    await place.redis.command("HSET", Keys(PREFIX).meta, "owner", "another-cluster/shop/portfolios")
    refused = await purge(place, "--confirm", PREFIX)
    assert "belong to SyncPolicy shop/portfolios of another cluster, another-cluster" in refused[2]
    assert (await purge(place, "--confirm", PREFIX, "--other-cluster"))[0] == 0


async def test_a_prefix_that_none_can_be_is_told(on_redis: Place) -> None:
    done = await on_redis.run("purge", "*", "--secret", "redis")
    assert (done.code, "the key prefix is not valid" in done.err) == (1, True)
    done = await on_redis.run("purge", PREFIX)
    assert (done.code, "say which Redis" in done.err) == (2, True)


async def test_on_a_cluster_all_keys_of_the_prefix_go_and_no_others() -> None:
    users = 1500
    async with redis_cluster(replicas=0) as cluster:
        connection, prefixes = Connection(parse_url(cluster.url)), (PREFIX, "portfolios:2", "other:")
        for prefix in prefixes:
            records = [UserRecord(f"u{number}", "w", 1) for number in range(users if prefix == PREFIX else 3)]
            await RedisRecords(connection, prefix=prefix).register(records)
        counts = [await purging.count_keys(connection, Keys(prefix)) for prefix in prefixes]
        assert counts[0] >= users
        steps = [gone async for gone in purging.purge(connection, Keys(PREFIX))]
        assert (steps[-1], len(steps) > 2) == (counts[0], True)
        assert await purging.left(connection, Keys(PREFIX)) == purging.Left(0, "", exists=False)
        assert [await purging.count_keys(connection, Keys(prefix)) for prefix in prefixes] == [0, *counts[1:]]
        await connection.close()


async def test_an_account_with_the_operator_s_rights_may_purge(on_redis: Place) -> None:
    place = on_redis
    await operated(place)
    assert place.redis is not None
    rights = ("on", ">secret", f"~{PREFIX}*", "+@all", "-@dangerous", "+info")
    await place.redis.command("ACL", "SETUSER", "periodic-sync", *rights)
    url = place.redis.url.replace(f":{PASSWORD}@", "periodic-sync:secret@")
    await place.bench.client.delete(SYNC_POLICIES, place.bench.namespace, NAME)
    done = await place.run("purge", PREFIX, "--confirm", PREFIX, REDIS_URL=url)
    assert done.code == 0, done.err
    assert len(await others(place)) == 2
    await place.redis.command("ACL", "DELUSER", "periodic-sync")
