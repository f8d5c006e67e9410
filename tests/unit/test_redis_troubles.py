"""What a person is told of trouble with Redis, and which servers are refused; the common cases are tried for real in
tests/integration/redis."""

import ssl

import pytest
from redis import exceptions as redis_errors

from periodic_sync.stores.redis.fitness import judge
from periodic_sync.stores.redis.troubles import RedisNotReady, UnknownScript, WrongCredentials, WrongServer, explain
from periodic_sync.stores.redis.urls import Address, Mode, parse_url

SERVER = "Redis at r:6379"
URLS = {
    Mode.STANDALONE: parse_url("redis://r"),
    Mode.SENTINEL: parse_url("redis+sentinel://s/main"),
    Mode.CLUSTER: parse_url("redis+cluster://r"),
}
FIT = {"redis_version": "7.0.15", "maxmemory_policy": "noeviction", "role": "master"}


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "passes", "sentence"),
    [
        (redis_errors.BusyLoadingError("Redis is loading the dataset in memory"), True, "is loading its data"),
        (redis_errors.ResponseError("MISCONF Redis is configured to save RDB snapshots"), False, "free space there"),
        (redis_errors.ResponseError("NOREPLICAS Not enough good replicas"), True, "too few replicas are connected"),
        (redis_errors.ResponseError("BUSY Redis is busy running a script"), True, "is busy with a script"),
        (redis_errors.ResponseError("DENIED Redis is running in protected mode"), False, "in protected mode"),
        (redis_errors.ConnectionError("max number of clients reached"), True, "raise maxclients"),
        (
            redis_errors.ResponseError("unknown command 'EVALSHA', with args beginning with: '0x52908400098527886E0F'"),
            False,
            "does not know a command that is needed (unknown command 'EVALSHA')",
        ),
        (redis_errors.ResponseError("invalid DB index"), False, "has no database of the number"),
        (redis_errors.ResponseError("something new"), False, "answered with an error: something new"),
        (redis_errors.ClusterDownError("Hash slot not served"), True, "the cluster is down (Hash slot not served)"),
        (redis_errors.MasterDownError("Link with MASTER is down"), True, "is a replica that has lost its primary"),
        (redis_errors.TryAgainError("Multiple keys request during rehashing"), True, "is moving this policy's keys"),
        (redis_errors.AskError("1 10.0.0.1:6379"), True, "is moving this policy's keys"),
        (redis_errors.TimeoutError("Timeout reading from r:6379"), True, "gives no answer in time"),
        (redis_errors.ConnectionError("Connection reset by peer"), True, "broke the connection: Connection reset"),
        (
            caused(redis_errors.ConnectionError("Error 1"), ssl.SSLCertVerificationError(1, "self-signed certificate")),
            False,
            "that is not trusted (self-signed certificate)",
        ),
    ],
)
def test_an_error_becomes_a_sentence(error: Exception, passes: bool, sentence: str) -> None:
    told = explain(error, SERVER, URLS[Mode.STANDALONE])
    assert str(told).startswith(SERVER)
    assert sentence in str(told)
    assert told.passes == passes


def test_an_answer_that_is_not_known_is_kept() -> None:
    assert explain(redis_errors.ResponseError("WHAT is this"), SERVER, URLS[Mode.STANDALONE]).answer == "WHAT is this"
    assert explain(redis_errors.ResponseError("BUSY now"), SERVER, URLS[Mode.STANDALONE]).answer == ""


@pytest.mark.parametrize(
    ("mode", "error", "kind"),
    [
        (Mode.STANDALONE, redis_errors.ReadOnlyError("x"), RedisNotReady),
        (Mode.SENTINEL, redis_errors.ReadOnlyError("x"), WrongServer),
        (Mode.CLUSTER, redis_errors.ReadOnlyError("x"), WrongServer),
        (Mode.STANDALONE, redis_errors.MovedError("1 10.0.0.1:6379"), RedisNotReady),
        (Mode.CLUSTER, redis_errors.MovedError("1 10.0.0.1:6379"), WrongServer),
        (Mode.STANDALONE, redis_errors.NoScriptError("x"), UnknownScript),
        (Mode.STANDALONE, redis_errors.AuthenticationError("Authentication required."), WrongCredentials),
    ],
)
def test_what_is_known_not_to_have_been_carried_out(mode: Mode, error: Exception, kind: type[RedisNotReady]) -> None:
    assert type(explain(error, SERVER, URLS[mode])) is kind


def test_the_server_that_has_the_keys_now_is_kept() -> None:
    told = explain(redis_errors.MovedError("1 10.0.0.1:6380"), SERVER, URLS[Mode.CLUSTER])
    assert isinstance(told, WrongServer)
    assert told.better == Address("10.0.0.1", 6380)


def test_only_of_a_server_that_never_answered_tls_is_doubted() -> None:
    closed = redis_errors.ConnectionError("Connection closed by server.")
    assert "rediss" in str(explain(closed, SERVER, URLS[Mode.STANDALONE], reached=False))
    assert "rediss" not in str(explain(closed, SERVER, URLS[Mode.STANDALONE], reached=True))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"redis_version": "8.2.1"},
        {"redis_version": "7.2.4", "valkey_version": "7.2.5"},
        {"redis_version": "7.2.4", "valkey_version": "9.1.2"},
        {"redis_version": ""},
        {"maxmemory_policy": "volatile-lru"},
        {"maxmemory_policy": ""},
    ],
)
def test_a_server_that_will_do(fields: dict[str, str]) -> None:
    judge(FIT | fields, SERVER, Mode.STANDALONE)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"redis_version": "6.2.14"}, "has version 6.2.14 of Redis, which is too old: use Redis 7.0 or Valkey 7.2"),
        ({"redis_version": "7.2.4", "valkey_version": "7.1.0"}, "has version 7.1.0 of Valkey"),
        *(
            ({"maxmemory_policy": f"allkeys-{kind}"}, "CONFIG SET maxmemory-policy noeviction")
            for kind in ("lru", "lfu", "lrm", "random")
        ),
        ({"role": "slave"}, "is a replica, which takes no writes"),
    ],
)
def test_a_server_that_won_t_do(fields: dict[str, str], sentence: str) -> None:
    with pytest.raises(RedisNotReady, match=SERVER) as caught:
        judge(FIT | fields, SERVER, Mode.STANDALONE)
    assert sentence in str(caught.value)
