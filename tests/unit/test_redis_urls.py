"""URLs of Redis stores: what they mean, and what a person is told of one that means nothing."""

import pytest

from periodic_sync.stores.redis.urls import Address, Mode, RedisUrl, parse_url

SECRET = "s3cr3t"


def hosts(*names: str) -> tuple[Address, ...]:
    return tuple(Address(name, int(port)) for name, port in (each.rsplit(":", 1) for each in names))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("redis://redis", RedisUrl(Mode.STANDALONE, hosts("redis:6379"))),
        ("redis://redis/", RedisUrl(Mode.STANDALONE, hosts("redis:6379"))),
        ("redis://redis.team-a.svc:6380/3", RedisUrl(Mode.STANDALONE, hosts("redis.team-a.svc:6380"), 3)),
        ("redis://redis/3/", RedisUrl(Mode.STANDALONE, hosts("redis:6379"), 3)),
        ("REDIS://redis\n", RedisUrl(Mode.STANDALONE, hosts("redis:6379"))),
        ("rediss://:pw@r:1", RedisUrl(Mode.STANDALONE, hosts("r:1"), password="pw", tls=True)),
        ("redis://app:pw@10.0.0.7", RedisUrl(Mode.STANDALONE, hosts("10.0.0.7:6379"), 0, "app", "pw")),
        ("redis://[::1]:7000", RedisUrl(Mode.STANDALONE, (Address("::1", 7000),))),
        ("redis://a%3Ab:p%40%2F%25%20@r", RedisUrl(Mode.STANDALONE, hosts("r:6379"), 0, "a:b", "p@/% ")),
        (
            "redis+sentinel://a,b:27000/main",
            RedisUrl(Mode.SENTINEL, hosts("a:26379", "b:27000"), master="main"),
        ),
        (
            "rediss+sentinel://app:pw@a,[fe80::1]:5/main/2",
            RedisUrl(Mode.SENTINEL, (Address("a", 26379), Address("fe80::1", 5)), 2, "app", "pw", True, "main"),
        ),
        ("redis+cluster://:pw@a,b:7001/", RedisUrl(Mode.CLUSTER, hosts("a:6379", "b:7001"), password="pw")),
        ("rediss+cluster://a/0", RedisUrl(Mode.CLUSTER, hosts("a:6379"), tls=True)),
    ],
)
def test_a_url_is_taken_apart(text: str, meaning: RedisUrl) -> None:
    assert parse_url(text) == meaning


@pytest.mark.parametrize("password", ["a@b", "a/b", "a:b", "a#b", "a?b", "/0", "@", "1/2@3:4", "%zz"])
def test_a_password_that_was_not_encoded_is_understood_where_it_can_be(password: str) -> None:
    read = parse_url(f"redis://app:{password}@redis:6379/1")
    assert (read.username, read.password, read.hosts, read.database) == ("app", password, hosts("redis:6379"), 1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has to begin with redis://"),
        (SECRET, "has to begin with redis://"),
        (f"http://:{SECRET}@r", "has to begin with redis://"),
        (f"redis:/{SECRET}@r", "has to begin with redis://"),
        ("redis://", "has no host"),
        (f"redis://:{SECRET}@", "has no host"),
        (f"redis://:{SECRET}@/0", "has no host"),
        (f"redis://:{SECRET}@a b", "a space or a line break"),
        (f"redis://:{SECRET}\n@a", "a space or a line break"),
        (f"redis://{SECRET}@r", "an @ with no password before it"),
        ("redis://app:@r", "an @ with no password before it"),
        (f"redis://:{SECRET}%ff@r", "is not UTF-8"),
        (f"redis://:{SECRET}", "not of the form host:6379"),
        (f"redis://user:{SECRET}", "not of the form host:6379"),
        ("redis://r:port", "not of the form host:6379"),
        ("redis://r:0", "not between 1 and 65535"),
        ("redis://r:65536", "not between 1 and 65535"),
        ("redis://[::1", "not of the form host:6379"),
        (f"redis://[{SECRET}]", "no IPv6 address"),
        ("redis://_r_", "no host name"),
        ("redis://a,b", r"redis\+sentinel://"),
        (f"redis://r/{SECRET}", "is not the number of a database: write redis://"),
        ("redis://r/1/2", "is not the number of a database"),
        ("redis://r/-1", "is not the number of a database"),
        (f"redis://r?password={SECRET}", "something after . or #"),
        ("redis://r/0?ssl_cert_reqs=none", "ca.crt"),
        (f"redis://r#{SECRET}", "something after . or #"),
        ("redis+sentinel://a,b", "which primary to ask the Sentinels for"),
        ("redis+sentinel://a/", "which primary to ask the Sentinels for"),
        (f"redis+sentinel://a/main/{SECRET}", "is not the number of a database"),
        ("redis+sentinel://a,,b/main", "has no host"),
        ("redis+cluster://a/1", "a cluster has only database 0"),
        ("redis+cluster://a/main", "is not the number of a database"),
    ],
)
def test_what_is_wrong_is_told_without_the_password(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as error:
        parse_url(text)
    assert SECRET not in str(error.value)


def test_the_password_is_not_shown() -> None:
    assert SECRET not in repr(parse_url(f"redis://app:{SECRET}@redis"))
