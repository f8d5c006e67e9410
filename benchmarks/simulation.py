"""How near a simulation is: a day of 10,000 users, simulated, and then played by the real operator in virtual time.

    python -m benchmarks.simulation --kubeconfig FILE [--users 10000] [--hours 24] [--batch-size 500] …

On an API server with the CRD and without an operator; nodes are not needed (`deploy/local/kind create cluster
--control-plane-only`). The users are in a redis-server of its own, or with `--store configmap` in ConfigMaps.
Ends with 1 where syncs, batches or Jobs are further apart than the bound.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, reduce
from operator import add

from benchmarks.played_operator import Played, new_player, store_spec
from benchmarks.redis_server import running_redis
from periodic_sync.api.durations import DAY, HOUR, SECOND, parse_duration
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.controller import reporting
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.connect import connected
from periodic_sync.simulation.account import Hour, lag_of
from periodic_sync.simulation.assumptions import Assumptions
from periodic_sync.simulation.people import made_up
from periodic_sync.simulation.simulate import Inputs, Simulation, simulate

BOUND = 0.02


@dataclass(frozen=True)
class Comparison:
    """What was simulated, and what the operator did then."""

    simulated: Simulation
    played: list[Played]

    @property
    def total(self) -> Played:
        return reduce(add, self.played)

    def difference(self, what: str) -> float:
        """Of the totals of `synced`, `batches` or `jobs`, as a share of what the operator did."""
        mine, real = int(getattr(self.simulated.total, what)), int(getattr(self.total, what))
        return abs(mine - real) / max(1, real)

    def worst_hour(self) -> float:
        """The same of the syncs of the hour in which they are furthest apart."""
        pairs = zip(self.simulated.hours, self.played, strict=True)
        return max(abs(mine.synced - real.synced) / max(1, real.synced) for mine, real in pairs)

    def table(self) -> str:
        head = "| hour | syncs | simulated | batches | simulated | Jobs | simulated | writes | simulated |"
        lines = [head, "| --- " * 9 + "|"]
        lines += [
            _line(_clock(mine.start), mine, real) for mine, real in zip(self.simulated.hours, self.played, strict=True)
        ]
        return "\n".join([*lines, _line("all", self.simulated.total, self.total)])

    def lags(self) -> str:
        mine, real = self.simulated.total.lag, lag_of(self.total.lags)
        return "; ".join(
            f"{who} p50 {lag.p50 / SECOND:.1f} s, p99 {lag.p99 / SECOND:.1f} s, longest {lag.longest / SECOND:.1f} s"
            for who, lag in (("operator", real), ("simulated", mine))
            if lag is not None
        )


def _line(name: str, mine: Hour, real: Played) -> str:
    pairs = (
        (real.synced, mine.synced),
        (real.batches, mine.batches),
        (real.jobs, mine.jobs),
        (real.operators_writes, mine.writes.operator),
    )
    return f"| {name} | " + " | ".join(f"{a:,} | {b:,}" for a, b in pairs) + " |"


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at / SECOND, UTC).strftime("%H:%M")


async def compare(
    client: KubeClient,
    spec: Object,
    *,
    users: int,
    share: float,
    start: int,
    hours: int,
    assumed: Assumptions | None = None,
    redis_url: str | None = None,
    tell: bool = False,
) -> Comparison:
    """spec: without a store, which is Redis at that URL, or else ConfigMaps. start: of the virtual time, in ms."""
    spec = {**spec, "store": store_spec(redis_url)}
    people = made_up(users, share=share, start=start, hours=hours)
    inputs = Inputs(SyncPolicySpec.model_validate(spec), people, start, hours, assumed or Assumptions())
    say = partial(print, file=sys.stderr, flush=True) if tell else _say_nothing
    async with new_player(client, inputs, spec, redis_url) as player:
        played = await player.play(say)
    began = time.process_time()
    simulated = simulate(inputs)
    say(f"{player.turns} turns; simulated in {time.process_time() - began:.1f} s of CPU")
    return Comparison(simulated, played)


async def run(given: argparse.Namespace) -> int:
    worker = {"http": {"url": "http://sync.default.svc/users/{userId}/sync", "concurrency": 50}}
    jobs = {"maxConcurrentBatches": given.batches, "batchesPerJob": given.batches_per_job}
    opens, _, closes = given.market.partition("-")
    market, _, off = given.intervals.partition("/")
    spec: Object = {
        "worker": worker,
        "intervals": {"marketHours": market, "offHours": off},
        "marketHours": {"start": opens, "end": closes},
        "batchSize": given.batch_size,
        "jobs": jobs,
    }
    # The status decides nothing. The operator reads this name when it writes one.
    vars(reporting)["COUNTERS_EVERY"] = parse_duration(given.status_every)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connected(given.kubeconfig))
        url = await stack.enter_async_context(running_redis()) if given.store == "redis" else None
        began = time.monotonic()
        start = time.time_ns() // 1_000_000 // DAY * DAY + given.start * HOUR
        found = await compare(
            client,
            spec,
            users=given.users,
            share=given.share,
            start=start,
            hours=given.hours,
            redis_url=url,
            tell=True,
        )
    print(found.table())
    names = ("synced", "batches", "jobs")
    apart = {name: found.difference(name) for name in names}
    print(f"\n{time.monotonic() - began:.0f} s. Apart: " + ", ".join(f"{k} {100 * v:.2f} %" for k, v in apart.items()))
    print(f"Syncs of the worst hour: {100 * found.worst_hour():.2f} %. Lag: {found.lags()}")
    print(f"Writes: {dict(found.total.writes)}; simulated {found.simulated.total.writes}")
    return int(max(apart.values()) > BOUND)


def _say_nothing(_: str) -> None: ...


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--share", type=float, default=0.99, help="of the users who come on any day")
    parser.add_argument("--start", type=int, default=8, help="the hour of the day, UTC")
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--market", default="09:00-17:00", help="market hours, UTC")
    parser.add_argument("--intervals", default="5m/15m", help="in market hours, and outside them")
    parser.add_argument("--batch-size", type=int, default=1000)
    parser.add_argument("--batches", type=int, default=10, help="maxConcurrentBatches")
    parser.add_argument("--batches-per-job", type=int, default=2)
    parser.add_argument(
        "--status-every", default="1h", help="counters in the status; as often as in earnest, 5s, takes twice the turns"
    )
    parser.add_argument("--store", choices=("redis", "configmap"), default="redis")
    return asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
