"""How many activity posts the HTTP API takes, and what the operator beside it feels of that.

    PYTHONPATH=operator:deploy:deploy/local .venv/bin/python -m benchmarks.api [--seconds 20] [--connections 64]

An API server of its own (no node), a redis-server, the operator and `periodic-sync server`, all from source and on
loopback, and wrk (Debian's package) that posts single activities of random users: as fast as answers come, then at
about 3,000 a second while the operator's turns are measured, with and without that load in turn. Three minutes.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.api_cluster import PATH, Place, own_cluster, prepared
from benchmarks.latency import end_pods
from benchmarks.operator_process import ROOT, Operator, running_operator
from benchmarks.processes import cpu_seconds
from benchmarks.redis_server import free_port, redis_pid, running_redis
from periodic_sync.kube.connect import connected

Object = dict[str, Any]
PORT_SECONDS = 30
TURNS_SECONDS = 20
ROUNDS = 3
RATE = 3_600
"""What pauses are made for; what is reached is less by the time that answers take."""


@dataclass(frozen=True)
class Server:
    pid: int
    url: str


@contextmanager
def running_server(place: Place, folder: Path, *, has_tls: bool) -> Iterator[Server]:
    """`periodic-sync server` until the block ends, its log in the folder."""
    port = free_port()
    command = [sys.executable, "-m", "periodic_sync.cli.main", "server", "--kubeconfig", str(place.account)]
    command += ["--port", str(port), *(certificate(folder) if has_tls else ["--insecure-http"])]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield Server(process.pid, f"http{'s' if has_tls else ''}://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(PORT_SECONDS)


def certificate(folder: Path) -> list[str]:
    """Options of the server, for one made now."""
    key, made = folder / "tls.key", folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return ["--tls-cert-file", str(made), "--tls-key-file", str(key)]


def post(server: Server, place: Place, *, seconds: float, connections: int, pause: int = 0) -> Object:
    """wrk, once. pause: milliseconds between posts of one connection."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s"]
    command += ["-s", str(ROOT / "benchmarks" / "api_posts.lua"), server.url, "--"]
    command += [PATH, str(place.tokens), str(place.users), str(pause)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    found: Object = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measured(server: Server, redis: int, place: Place, *, seconds: float, connections: int, pause: int = 0) -> Object:
    before = {pid: cpu_seconds(pid) for pid in (server.pid, redis)}
    wrk = os.times()
    found = post(server, place, seconds=seconds, connections=connections, pause=pause)
    after = os.times()
    return found | {
        "a second": found["requests"] / found["seconds"],
        "server": cpu_seconds(server.pid) - before[server.pid],
        "redis": cpu_seconds(redis) - before[redis],
        "wrk": after.children_user + after.children_system - wrk.children_user - wrk.children_system,
    }


def tell(what: str, found: Object) -> None:
    print(
        f"| {what} | {found['a second']:,.0f} | {found['p50']:.1f} ms | {found['p99']:.1f} ms | {found['most']:.0f} ms "
        f"| {found['refused'] + found['broken']} of {found['requests']:,} "
        f"| {found['server']:.1f} / {found['redis']:.1f} / {found['wrk']:.1f} s in {found['seconds']:.0f} s |",
        flush=True,
    )


def wait_until_ready(server: Server, place: Place) -> None:
    """One post is answered, and every token is known, so that no review is part of what is measured."""
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        with suppress(subprocess.CalledProcessError):
            found = post(server, place, seconds=2, connections=16)
            if not found["refused"] + found["broken"]:
                return
        if time.monotonic() > deadline:
            raise SystemExit("error: the server does not take posts: see its log")
        time.sleep(0.2)


def turns_of(operator: Operator, since: float) -> list[Object]:
    found = [turn for turn in operator.turns(since) if not turn["error"]]
    if not found:
        raise SystemExit("error: the operator had no turn: see its log")
    return found


def compare_turns(server: Server, operator: Operator, place: Place, redis: int, connections: int) -> None:
    """With and without the load, in turn, so that what else the machine does is in both."""
    quiet: list[Object] = []
    loaded: list[Object] = []
    posts: Object = {}
    pause = connections * 1000 // RATE
    for _ in range(ROUNDS):
        began = time.time()
        time.sleep(TURNS_SECONDS)
        quiet += turns_of(operator, began)
        began = time.time()
        posts = measured(server, redis, place, seconds=TURNS_SECONDS, connections=connections, pause=pause)
        loaded += turns_of(operator, began)
    tell(f"{connections} connections with pauses", posts)
    print("\n| the operator's turns | without | with the posts | ratio |\n| --- | --- | --- | --- |")
    for name, what in (("wall_ms", "time, median"), ("cpu_ms", "CPU, median"), ("waiting_ms", "of it waiting")):
        one, other = (median(turn[name] for turn in turns) for turns in (quiet, loaded))
        print(f"| {what} | {one:.1f} ms | {other:.1f} ms | {other / one:.2f} |")
    print(f"| how many | {len(quiet)} | {len(loaded)} | |", flush=True)


@asynccontextmanager
async def pods_ending(place: Place) -> AsyncIterator[None]:
    async with connected(str(place.kubeconfig)) as client:
        task = asyncio.create_task(end_pods(client, place.namespace))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def run(kubeconfig: Path, given: argparse.Namespace, folder: Path) -> None:
    async with running_redis() as url:
        place = await prepared(kubeconfig, url, folder, users=given.users, tokens=given.tokens)
        with running_server(place, folder, has_tls=given.tls) as server:
            redis = redis_pid(url)
            await asyncio.to_thread(wait_until_ready, server, place)
            print("\n| wrk | posts/s | p50 | p99 | most | errors | CPU: server / Redis / wrk |\n" + "| --- " * 7 + "|")
            for connections in given.connections:
                found = await asyncio.to_thread(
                    measured, server, redis, place, seconds=given.seconds, connections=connections
                )
                tell(f"{connections} connections", found)
            if given.no_operator:
                return
            with running_operator(kubeconfig, "none") as operator:
                async with pods_ending(place):
                    await asyncio.sleep(TURNS_SECONDS)
                    await asyncio.to_thread(compare_turns, server, operator, place, redis, given.connections[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of each run of wrk (default: %(default)s)")
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 16, 128], help="(default: %(default)s)")
    parser.add_argument("--users", type=int, default=10_000, help="(default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=16, help="of one account; one alone may be used 1,000 times/s")
    parser.add_argument("--kubeconfig", type=Path, help="an API server that is there, without an operator")
    parser.add_argument("--no-operator", action="store_true", help="only the posts")
    parser.add_argument("--tls", action="store_true", help="as in production; by itself plain HTTP")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("error: wrk is missing: apt-get install wrk")
    folder = Path(tempfile.mkdtemp(prefix="bench-api-"))
    print(f"logs: {folder}", file=sys.stderr, flush=True)
    with own_cluster(folder, given.kubeconfig) as kubeconfig:
        asyncio.run(run(kubeconfig, given, folder))


if __name__ == "__main__":
    main()
