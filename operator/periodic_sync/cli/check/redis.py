"""A store in Redis: can it be reached from here, may it hold users, does it keep them, and what is its time."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from periodic_sync.api.errors import ApiError
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.cli.check.cluster import judge_clock
from periodic_sync.cli.check.lines import Line, failed, ok, unseen, warning
from periodic_sync.client.opening import redis_of_policy
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.cluster import policy_owner
from periodic_sync.stores.base import StoreNotReady
from periodic_sync.stores.redis.commands import Script
from periodic_sync.stores.redis.connection import Connection
from periodic_sync.stores.redis.keys import Keys
from periodic_sync.stores.redis.meta import is_same_owner, owner_of
from periodic_sync.stores.redis.troubles import RedisNotReady
from periodic_sync.stores.redis.urls import parse_url

if TYPE_CHECKING:
    from periodic_sync.stores.redis.commands import Commands

TOPIC = "Redis"
_TRIAL = Script("trial", "return redis.call('EXISTS', KEYS[1])")
WRITES = ("HSET", "HSETNX", "HINCRBY", "HDEL", "DEL", "UNLINK", "ZADD", "ZREM", "XADD")
"""What the scripts write with."""
_WORDS = {
    "HSET": ("f", "v"),
    "HSETNX": ("f", "v"),
    "HINCRBY": ("f", "1"),
    "HDEL": ("f",),
    "ZADD": ("1", "m"),
    "ZREM": ("m",),
    "XADD": ("*", "f", "v"),
}
"""After the key, for a command that is whole."""


async def look_at_redis(client: KubeClient, policy: SyncPolicy, url: str | None) -> list[Line]:
    """url: where it is reached from here; None: what the Secret says, if that may be read."""
    redis = policy.spec.store.redis
    assert redis
    try:
        commands: Commands = (
            Connection(parse_url(url)) if url else await redis_of_policy(client, policy.namespace, redis)
        )
    except ValueError as error:
        return [failed(TOPIC, f"--redis-url: {error}")]
    except (StoreNotReady, ApiError) as error:
        return [unseen(TOPIC, str(error), "give --redis-url, such as of a port-forward")]
    try:
        owner = await policy_owner(client, policy.namespace, policy.name)
        return await _looked(commands, Keys(redis.key_prefix), owner, given=url is not None)
    except ApiError as error:
        return [unseen(TOPIC, error)]
    finally:
        await commands.close()


async def _looked(commands: "Commands", keys: Keys, owner: str, *, given: bool) -> list[Line]:
    try:
        servers = {section: await commands.info(section) for section in ("server", "persistence", "memory")}
    except StoreNotReady as trouble:
        return [judge_trouble(trouble, given=given)]
    lines = [ok(TOPIC, f"{server}: {_version(fields)}") for server, fields in servers["server"].items()]
    lines += [judge_persistence(server, fields) for server, fields in servers["persistence"].items()]
    lines += [line for server, fields in servers["memory"].items() for line in judge_memory(server, fields)]
    try:
        if given:
            lines += judge_owner(await owner_of(commands, keys), owner, keys.prefix)
        lines.append(await _rights(commands, keys))
        before = time.time()
        ((seconds, micros),) = await commands.read(keys.meta, [("TIME",)])
        ahead = int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2
        lines.append(judge_clock("Redis's clock", ahead, "Redis"))
    except StoreNotReady as trouble:
        lines.append(failed(TOPIC, str(trouble)))
    return lines


def judge_trouble(trouble: StoreNotReady, *, given: bool) -> Line:
    """given: the URL was meant for this machine. Else it is the cluster's own, whose names may mean nothing here."""
    if not given and isinstance(trouble, RedisNotReady) and trouble.passes:
        fix = "forward a port (`kubectl port-forward`) and give --redis-url; StoreReady says what the operator sees"
        return unseen(TOPIC, f"from here it gives no good answer: {trouble}", fix)
    return failed(TOPIC, str(trouble))


def judge_owner(found: str, ours: str, prefix: str) -> list[Line]:
    """A URL that was typed, or is of another program's environment, may lead anywhere."""
    if not found or is_same_owner(found, ours):
        return []
    message = f"{prefix!r} there belongs to SyncPolicy {found.partition('/')[2]}, and not to this one"
    return [failed(TOPIC, message, "correct --redis-url, or give the policies different key prefixes")]


def _version(fields: Mapping[str, str]) -> str:
    if valkey := fields.get("valkey_version"):
        return f"Valkey {valkey}"
    return f"Redis {fields.get('redis_version', 'of an unknown version')}"


def judge_persistence(server: str, fields: Mapping[str, str]) -> Line:
    topic = "Redis's disk"
    if not fields:
        return unseen(topic, f"{server} tells nothing of it")
    failing = [
        words
        for field, words in (("rdb_last_bgsave_status", "its last snapshot"), ("aof_last_write_status", "its log"))
        if fields.get(field, "ok") != "ok"
    ]
    if failing:
        fix = "see its log; it may need space on its disk"
        return failed(topic, f"{server} can't write {' and '.join(failing)}", fix)
    if fields.get("aof_enabled") == "1":
        return ok(topic, f"{server} keeps a log of writes (appendonly)")
    return warning(
        topic,
        f"{server} keeps no log of writes: a restart loses what came since the last snapshot, users among it",
        "set appendonly yes, or restore users from the application after a restart",
    )


def judge_memory(server: str, fields: Mapping[str, str]) -> list[Line]:
    """Only what the fitness check, which every connection begins with, lets pass."""
    topic, policy = "Redis's memory", fields.get("maxmemory_policy")
    if policy is None:
        return [unseen(topic, f"{server} does not tell its maxmemory-policy: it must be noeviction")]
    used, most = int(fields.get("used_memory", 0)), int(fields.get("maxmemory", 0))
    if most and used > 0.9 * most:
        return [warning(topic, f"{server} uses {100 * used // most} % of its maxmemory", "raise maxmemory")]
    return [ok(topic, f"{server}: maxmemory-policy {policy}")]


async def _rights(commands: "Commands", keys: Keys) -> Line:
    """What the URL's user may do under the prefix. Scripts are tried; of writes the server is only asked."""
    topic = "Redis's ACL"
    try:
        await commands.run(_TRIAL, [keys.meta])
        (who,) = await commands.read(keys.meta, [("ACL", "WHOAMI")])
    except RedisNotReady as trouble:
        return failed(topic, str(trouble))
    try:
        questions = [("ACL", "DRYRUN", who, name, keys.meta, *_WORDS.get(name, ())) for name in WRITES]
        answers = await commands.read(keys.meta, questions)
    except RedisNotReady:
        return unseen(topic, f"user {who.decode()} may run scripts here; the rest only an administrator may ask")
    return judge_answers(who.decode(), dict(zip(WRITES, answers, strict=True)))


def judge_answers(user: str, answers: Mapping[str, bytes]) -> Line:
    topic = "Redis's ACL"
    refused = [name for name, answer in answers.items() if answer != b"OK"]
    if refused:
        fix = "give it that right with ACL SETUSER, as docs/how-to/redis-connection.md has it"
        return failed(topic, f"user {user} may not {', '.join(refused)} under the policy's prefix", fix)
    return ok(topic, f"user {user} may read, write and run scripts under the policy's prefix")
