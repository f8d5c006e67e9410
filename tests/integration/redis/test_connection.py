"""The connection against real servers: what it does by itself, and what a person is told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from periodic_sync.stores.redis.commands import Script
from periodic_sync.stores.redis.connection import CHECK_SECONDS
from periodic_sync.stores.redis.node import CLIENT_NAME
from periodic_sync.stores.redis.troubles import RedisNotReady, WrongCredentials
from redis_calls import COUNT, KEY, SECRET, SHORT, Clock, connected, healed, told, trouble
from redis_support import HOST, Certificates, Server, redis_server, until


@pytest.fixture(params=["shared_server", "shared_valkey", "shared_sentinels", "shared_cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """Of each kind of server."""
    url: str = request.getfixturevalue(request.param).url
    return url


class TestCalls:
    async def test_a_script_runs_with_keys_and_arguments(self, url: str) -> None:
        keep = Script("keep", "redis.call('SET', KEYS[1], ARGV[1]) return {KEYS[1], ARGV[1], ARGV[2], false, 7}")
        async with connected(url) as connection:
            for _ in range(2):
                answer = await connection.run(keep, ["{a}key"], ["ü", b"\xff\x00"])
                assert answer == [b"{a}key", "ü".encode(), b"\xff\x00", None, 7]

    async def test_several_reads_are_answered_in_their_order_and_as_the_server_says(self, url: str) -> None:
        fill = Script("fill", "redis.call('HSET', KEYS[1], 'f', 'v') redis.call('ZADD', KEYS[2], '1.5', 'm')")
        async with connected(url) as connection:
            await connection.run(fill, ["{b}hash", "{b}sorted"])
            commands = [("HGETALL", "{b}hash"), ("GET", "{b}none"), ("ZRANGE", "{b}sorted", 0, -1, "WITHSCORES")]
            assert await connection.read("{b}", commands) == [[b"f", b"v"], None, [b"m", b"1.5"]]
            assert await connection.read("{b}", []) == []

    async def test_info_is_of_every_server_that_takes_writes(self, url: str) -> None:
        async with connected(url) as connection:
            answers = await connection.info("replication")
        assert len(answers) == (3 if "cluster" in url else 1)
        assert {answer["role"] for answer in answers.values()} == {"master"}

    async def test_more_calls_than_connections_wait_for_each_other(self, server: Server) -> None:
        async with connected(server.url) as connection:
            answers = await asyncio.gather(*(connection.run(COUNT, [KEY]) for _ in range(100)))
            assert sorted(answers) == list(range(1, 101))
            clients = (await server.command("CLIENT", "LIST")).decode()
        assert 1 <= clients.count(f"name={CLIENT_NAME} ") <= 4

    async def test_a_call_that_was_cancelled_leaves_no_answer_to_the_next(self, server: Server) -> None:
        async with connected(server.url) as connection:
            for number in range(1, 20):
                await connection.run(COUNT, [KEY])
                cancelled = asyncio.create_task(connection.read(KEY, [("GET", "{portfolios:}other")]))
                await asyncio.sleep(0)
                cancelled.cancel()
                await asyncio.gather(cancelled, return_exceptions=True)
                assert await connection.read(KEY, [("GET", KEY)]) == [str(number).encode()]

    async def test_a_cancellation_is_heeded_in_whatever_moment_it_comes(self, server: Server) -> None:
        async def ask_for_ever() -> None:
            while True:
                await connection.read(KEY, [("GET", KEY)])

        for moment in range(150):
            async with connected(server.url) as connection:
                asking = asyncio.create_task(ask_for_ever())
                for _ in range(moment):
                    await asyncio.sleep(0)
                asking.cancel()
                await asyncio.wait([asking], timeout=5)
                assert asking.cancelled(), f"not after {moment} steps"

    async def test_once_closed_it_ends_what_runs_and_takes_no_more(self, server: Server) -> None:
        async with connected(server.url) as connection:
            await connection.run(COUNT, [KEY])
            server.pause()
            running = asyncio.create_task(connection.run(COUNT, [KEY]))
            await asyncio.sleep(0)
            await connection.close()
            server.resume()
            assert await running == 2
            assert "was closed" in str(await trouble(connection))

        async def gone() -> bool:
            return CLIENT_NAME.encode() not in await server.command("CLIENT", "LIST")

        await until(gone, "its connections are closed")


class TestServersThatGo:
    async def test_one_that_is_killed_is_told_and_healed_with_the_script_it_has_lost(self, server: Server) -> None:
        async with connected(server.url) as connection:
            assert await connection.run(COUNT, [KEY]) == 1
            server.kill()
            await trouble(connection)
            refused = await trouble(connection)
            assert refused.passes
            assert f"Redis at {HOST}:{server.port} refuses connections: it is not running" in str(refused)
            await server.start()
            assert await connection.run(COUNT, [KEY]) == 1

    async def test_one_that_was_restarted_between_two_calls_is_not_even_noticed(self, server: Server) -> None:
        async with connected(server.url) as connection:
            await connection.run(COUNT, [KEY])
            server.kill()
            await server.start()
            assert await connection.run(COUNT, [KEY]) == 1

    async def test_one_that_hangs_is_told_in_time_and_asked_only_once(self, server: Server) -> None:
        loop = asyncio.get_running_loop()
        async with connected(server.url, seconds=SHORT) as connection:
            await connection.run(COUNT, [KEY])
            server.pause()
            for _ in range(2):  # in the middle of a call, and while connecting
                began = loop.time()
                hangs = await trouble(connection)
                assert SHORT - 0.05 <= loop.time() - began < 2 * SHORT
                assert hangs.passes
                assert f"Redis at {HOST}:{server.port} gives no answer" in str(hangs)
            server.resume()
            # What was late was carried out, once.
            assert await healed(connection) == 3

    async def test_a_host_that_is_none(self) -> None:
        nowhere = await told("redis://nowhere.invalid")
        assert "Redis at nowhere.invalid:6379 can't be found: there is no such host" in str(nowhere)


class TestServersThatWontDo:
    async def test_eviction_is_refused_and_accepted_once_it_is_mended(self) -> None:
        evicting = redis_server(maxmemory="100mb", maxmemory_policy="allkeys-lru")
        async with evicting as server, connected(server.url) as connection:
            refused = await trouble(connection)
            assert "drops keys when its memory is full (maxmemory-policy allkeys-lru)" in str(refused)
            assert not refused.passes
            command = str(refused).split("`")[1].split()
            assert command[:2] == ["redis-cli", "CONFIG"]
            await server.command(*command[1:])
            assert await connection.run(COUNT, [KEY]) == 1

    async def test_eviction_that_begins_later_is_seen_within_a_minute(self, server: Server) -> None:
        clock = Clock()
        async with connected(server.url, clock=clock) as connection:
            await connection.run(COUNT, [KEY])
            await server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
            clock.now += CHECK_SECONDS - 1
            assert await connection.run(COUNT, [KEY]) == 2
            clock.now += 1
            assert "allkeys-random" in str(await trouble(connection))

    async def test_keys_that_have_an_expiry_may_be_evicted(self) -> None:
        async with redis_server(maxmemory_policy="volatile-ttl") as server, connected(server.url) as connection:
            assert await connection.run(COUNT, [KEY]) == 1

    async def test_no_memory_left(self) -> None:
        async with redis_server(maxmemory=1) as server:
            full = await told(server.url)
        assert "takes no writes since its memory is full: raise maxmemory" in str(full)

    async def test_a_replica(self, server: Server) -> None:
        async with redis_server(replicaof=f"{HOST} {server.port}") as replica:
            refused = await told(replica.url)
        assert "is a replica, which takes no writes" in str(refused)
        assert not refused.passes

    async def test_a_database_that_is_not_there(self, server: Server) -> None:
        assert "has no database of the number" in str(await told(f"{server.url}/99"))

    async def test_databases_are_apart(self, server: Server) -> None:
        async with connected(f"{server.url}/1") as one, connected(f"{server.url}/2") as two:
            assert [await one.run(COUNT, [KEY]), await one.run(COUNT, [KEY]), await two.run(COUNT, [KEY])] == [1, 2, 1]

    async def test_keys_of_another_program(self, server: Server) -> None:
        await server.command("HSET", KEY, "a", "b")
        assert "choose another spec.store.redis.keyPrefix" in str(await told(server.url))

    async def test_something_that_is_no_redis(self) -> None:
        async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(greet, HOST, 0) as http:
            port = http.sockets[0].getsockname()[1]
            assert "does not answer as Redis does" in str(await told(f"redis://{HOST}:{port}"))


class TestRights:
    @pytest.fixture
    async def guarded(self) -> AsyncIterator[Server]:
        users = (
            f"reader on >{SECRET} ~* -@all +info +client",
            f"app on >{SECRET} ~{{portfolios:}}* +@all -@dangerous +info",
        )
        async with redis_server(requirepass="pw", user=users) as server:
            yield server

    async def test_the_users_that_may(self, guarded: Server) -> None:
        for user in (":pw", f"app:{SECRET}"):
            async with connected(f"redis://{user}@{HOST}:{guarded.port}") as connection:
                assert await connection.run(COUNT, [KEY])

    @pytest.mark.parametrize(
        ("credentials", "sentence"),
        [
            ("", "asks for a password and the URL has none"),
            (f":{SECRET}@", "does not accept the URL's user and password"),
            ("app:pw@", "does not accept the URL's user and password"),
            (f"nobody:{SECRET}@", "does not accept the URL's user and password"),
        ],
    )
    async def test_who_is_not_let_in(self, guarded: Server, credentials: str, sentence: str) -> None:
        refused = await told(f"redis://{credentials}{HOST}:{guarded.port}")
        assert isinstance(refused, WrongCredentials)
        assert f"Redis at {HOST}:{guarded.port} {sentence}" in str(refused)

    async def test_a_password_where_none_is_asked_for(self, server: Server) -> None:
        refused = await told(f"redis://:{SECRET}@{HOST}:{server.port}")
        assert "has no password and the URL has one" in str(refused)

    async def test_a_user_without_a_right_is_told_which_one(self, guarded: Server) -> None:
        refused = await told(f"redis://reader:{SECRET}@{HOST}:{guarded.port}")
        assert "no permissions to run the 'evalsha' command" in str(refused)
        assert "ACL SETUSER" in str(refused)
        async with connected(f"redis://app:{SECRET}@{HOST}:{guarded.port}") as connection:
            with pytest.raises(RedisNotReady, match="no permissions to access one of the keys"):
                await connection.run(COUNT, ["{elsewhere:}count"])


class TestTls:
    @pytest.fixture
    async def encrypted(self, certificates: Certificates) -> AsyncIterator[Server]:
        async with redis_server(certificates=certificates, requirepass="pw") as server:
            yield server

    async def test_an_authority_that_was_given_is_trusted(self, encrypted: Server, certificates: Certificates) -> None:
        async with connected(encrypted.url, ca=certificates.authority.read_text()) as connection:
            assert await connection.run(COUNT, [KEY]) == 1

    async def test_another_one_is_not(self, encrypted: Server) -> None:
        refused = await told(encrypted.url)
        assert "shows a certificate that is not trusted" in str(refused)
        assert "ca.crt" in str(refused)
        assert not refused.passes

    async def test_tls_where_there_is_none(self, server: Server) -> None:
        assert "write redis for rediss in the URL" in str(await told(f"rediss://{HOST}:{server.port}", SHORT))

    async def test_no_tls_where_there_must_be(self, encrypted: Server) -> None:
        assert "write rediss for redis in the URL" in str(await told(f"redis://:pw@{HOST}:{encrypted.port}"))
