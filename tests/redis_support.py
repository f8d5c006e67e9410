"""Real Redis and Valkey servers for tests: processes of their own on loopback, gone with the block that started them.

async with redis_server() as server:        # also valkey_server(), sentinel_setup(), redis_cluster()
    await server.command("PING")
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from localcluster.packages import redis_server as redis_server_program
from redis_process import (
    HOST,
    Certificates,
    Server,
    Value,
    free_port,
    make_certificates,
    settings_of,
    started,
    until,
    valkey_binary,
)

__all__ = [
    "HOST",
    "MASTER",
    "SLOTS",
    "Certificates",
    "RedisCluster",
    "SentinelSetup",
    "Server",
    "make_certificates",
    "redis_cluster",
    "redis_server",
    "sentinel_setup",
    "until",
    "valkey_binary",
    "valkey_server",
]

MASTER = "mymaster"
SLOTS = 16384


@asynccontextmanager
async def redis_server(
    *, binary: str | None = None, certificates: Certificates | None = None, **config: Value
) -> AsyncIterator[Server]:
    """A server alone; config: as in redis.conf, with underscores. With certificates it speaks TLS only."""
    async with started(binary or redis_server_program(), settings_of(config, certificates)) as server:
        yield server


@asynccontextmanager
async def valkey_server(**config: Value) -> AsyncIterator[Server]:
    binary = valkey_binary()
    assert binary, "no valkey-server: see valkey_binary"
    async with redis_server(binary=binary, **config) as server:
        yield server


@dataclass
class SentinelSetup:
    """A primary, a replica of it, and Sentinels that know them."""

    primary: Server
    replica: Server
    sentinels: list[Server]

    @property
    def url(self) -> str:
        password = f":{self.primary.password}@" if self.primary.password else ""
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{password}{hosts}/{MASTER}"


@asynccontextmanager
async def sentinel_setup(
    *,
    sentinels: int = 3,
    sentinel_password: str = "",
    down_after: int = 1000,
    binary: str | None = None,
    **config: Value,
) -> AsyncIterator[SentinelSetup]:
    """config: of primary and replica; a `requirepass` holds for replication and Sentinels' own access, too.

    down_after: milliseconds until a silent primary counts as gone. sentinel_password: asked for by the Sentinels.
    """
    binary = binary or redis_server_program()
    async with contextlib.AsyncExitStack() as stack:
        settings = settings_of(config)
        if password := settings.get("requirepass"):
            settings["masterauth"] = password
        primary = await stack.enter_async_context(started(binary, settings))
        follow: dict[str, Value] = {"replicaof": f"{HOST} {primary.port}"}
        replica = await stack.enter_async_context(started(binary, settings | follow))

        await until(lambda: _has_replica(primary), "the replica follows the primary")
        watched = _sentinel_settings(primary, sentinels // 2 + 1, down_after, sentinel_password)
        watching = [await stack.enter_async_context(started(binary, watched, "--sentinel")) for _ in range(sentinels)]
        for sentinel in watching:
            await until(lambda sentinel=sentinel: _knows(sentinel, sentinels - 1), "the Sentinels know each other")
        yield SentinelSetup(primary, replica, watching)


def _sentinel_settings(primary: Server, quorum: int, down_after: int, password: str) -> dict[str, Value]:
    options = [f"monitor {MASTER} {HOST} {primary.port} {quorum}", f"down-after-milliseconds {MASTER} {down_after}"]
    options += [f"failover-timeout {MASTER} 3000"]
    options += [f"auth-pass {MASTER} {primary.password}"] if primary.password else []
    if not password:
        return {"sentinel": tuple(options)}
    return {"sentinel": (*options, f"sentinel-pass {password}"), "requirepass": password}


async def _has_replica(primary: Server) -> bool:
    return "state=online" in (await primary.info("replication")).get("slave0", "")


async def _knows(sentinel: Server, others: int) -> bool:
    """Whether it could make the replica the primary, if need be."""
    if int(_fields(await sentinel.command("SENTINEL", "MASTER", MASTER))[b"num-other-sentinels"]) != others:
        return False
    replicas = [_fields(answer) for answer in await sentinel.command("SENTINEL", "REPLICAS", MASTER)]
    return [(each[b"flags"], each[b"master-link-status"]) for each in replicas] == [(b"slave", b"ok")]


def _fields(answer: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(answer[::2], answer[1::2], strict=True))


@dataclass
class RedisCluster:
    """Primaries with a third of the slots each, and replicas: the first follows the first primary, and so on."""

    primaries: list[Server]
    replicas: list[Server]

    @property
    def url(self) -> str:
        first = self.primaries[0]
        password = f":{first.password}@" if first.password else ""
        return f"redis+cluster://{password}" + ",".join(f"{HOST}:{server.port}" for server in self.primaries)

    def primary_of(self, slot: int) -> Server:
        """As the slots were dealt out at first."""
        return self.primaries[slot * len(self.primaries) // SLOTS]


@asynccontextmanager
async def redis_cluster(
    *, replicas: int = 3, node_timeout: int = 1000, binary: str | None = None, **config: Value
) -> AsyncIterator[RedisCluster]:
    """Three primaries and up to as many replicas; node_timeout: milliseconds until a silent server counts as gone."""
    binary = binary or redis_server_program()
    settings: dict[str, Value] = {"cluster-enabled": "yes", "cluster-node-timeout": node_timeout}
    settings |= settings_of(config)
    if password := settings.get("requirepass"):
        settings["masterauth"] = password
    async with contextlib.AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(started(binary, {**settings, "cluster-port": free_port()}))
            for _ in range(3 + replicas)
        ]
        cluster = RedisCluster(servers[:3], servers[3:])
        await _join(servers)
        await _deal_slots(cluster)
        for server in servers:
            await until(lambda server=server: _is_up(server, len(servers)), "the cluster is up")
        for primary in cluster.primaries[:replicas]:
            await until(lambda primary=primary: _has_replica(primary), "the replicas follow their primaries")
        yield cluster


async def _join(servers: list[Server]) -> None:
    for number, server in enumerate(servers):
        await server.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for other in servers[:number]:
            await server.command("CLUSTER", "MEET", HOST, other.port, str(other.settings["cluster-port"]))
    for server in servers:
        await until(lambda server=server: _has_met(server, len(servers)), "the servers of the cluster have met")


async def _has_met(server: Server, count: int) -> bool:
    nodes = (await server.command("CLUSTER", "NODES")).decode().splitlines()
    return len(nodes) == count and not any("handshake" in node for node in nodes)


async def _deal_slots(cluster: RedisCluster) -> None:
    edges = [-(-SLOTS * number // len(cluster.primaries)) for number in range(len(cluster.primaries) + 1)]
    for server, first, end in zip(cluster.primaries, edges, edges[1:], strict=False):
        await server.command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
    for replica, primary in zip(cluster.replicas, cluster.primaries, strict=False):
        await replica.command("CLUSTER", "REPLICATE", await primary.command("CLUSTER", "MYID"))


async def _is_up(server: Server, count: int) -> bool:
    said = (await server.command("CLUSTER", "INFO")).decode()
    info = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(count)
