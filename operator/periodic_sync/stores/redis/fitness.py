"""Whether a server may hold users: new enough, the one that takes writes, and keeping what it is given."""

import re
from collections.abc import Mapping

from periodic_sync.stores.redis.node import Node, sections
from periodic_sync.stores.redis.troubles import RedisNotReady, read_only
from periodic_sync.stores.redis.urls import Mode

_SECTIONS = ("server", "memory", "replication")
_LEAST_REDIS = (7, 0)
_LEAST_VALKEY = (7, 2)


async def check(node: Node, mode: Mode) -> None:
    """Raises: RedisNotReady."""
    # One command each: servers older than 7.0 take one section only, and must be told that they are old.
    answers = await node.pipeline([("INFO", section) for section in _SECTIONS])
    judge({key: value for answer in answers for key, value in sections(answer).items()}, node.name, mode)


def judge(info: Mapping[str, str], server: str, mode: Mode) -> None:
    """info: fields of INFO. server: as a sentence begins. Raises: RedisNotReady."""
    _judge_version(info, server)
    _judge_eviction(info, server)
    if info.get("role") == "slave":
        raise read_only(server, mode)


def _judge_version(info: Mapping[str, str], server: str) -> None:
    valkey = info.get("valkey_version")
    version, least, name = (
        (valkey, _LEAST_VALKEY, "Valkey") if valkey else (info.get("redis_version"), _LEAST_REDIS, "Redis")
    )
    numbers = re.match(r"(\d+)\.(\d+)", version or "")
    if numbers and (int(numbers[1]), int(numbers[2])) < least:
        raise RedisNotReady(
            f"{server} has version {version} of {name}, which is too old: use Redis 7.0 or Valkey 7.2, or later"
        )


def _judge_eviction(info: Mapping[str, str], server: str) -> None:
    # volatile-* evicts only keys that have an expiry, and this store's have none. A service that does not tell its
    # policy can't be judged.
    policy = info.get("maxmemory_policy", "")
    if policy.startswith("allkeys-"):
        raise RedisNotReady(
            f"{server} drops keys when its memory is full (maxmemory-policy {policy}), users among them: "
            "say `redis-cli CONFIG SET maxmemory-policy noeviction` and write it into redis.conf, or set "
            "maxmemory-policy to noeviction in the managed service's parameters"
        )
