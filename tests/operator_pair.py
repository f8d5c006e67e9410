"""Two operator processes that serve one namespace: one leads, and one stands by."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from operator_process import OperatorProcess
from periodic_sync.kube.resources import LEASES
from turns_support import Bench, until


class Pair:
    """Both, and the bench whose policy they serve."""

    def __init__(self, bench: Bench, operators: list[OperatorProcess]) -> None:
        self.bench = bench
        self.operators = operators
        self.lease = f"periodic-sync-{bench.namespace}"

    async def start(self) -> None:
        for operator in self.operators:
            await operator.start("--namespace", self.bench.namespace)
        for operator in self.operators:
            await operator.says("standing for election")
            await until(operator.is_healthy)
        await until(self._has_scheduled)

    async def _has_scheduled(self) -> bool:
        return bool(await self.bench.jobs())

    async def leader_first(self) -> list[OperatorProcess]:
        holder = (await self.bench.client.get(LEASES, self.bench.namespace, self.lease))["spec"]["holderIdentity"]
        return sorted(self.operators, key=lambda operator: operator.identity != holder)

    async def takeover(self, other: OperatorProcess, began: float, what: str) -> float:
        """Register a user, and wait until the other operator has claimed it. Returns: after how many seconds."""
        await self.bench.register(active=[f"u{began}"])

        async def has_claimed() -> bool:
            return bool(other.said_at("scheduling batch", began))

        await until(has_claimed)
        took = other.said_at("scheduling batch", began)[0] - began
        print(
            f"takeover after {what}: leading {other.said_at('leading', began)[0] - began:.2f} s, claiming {took:.2f} s"
        )
        return took


@asynccontextmanager
async def started(bench: Bench, kubeconfig: Path, folder: Path) -> AsyncIterator[Pair]:
    pair = Pair(bench, [OperatorProcess(kubeconfig, folder / f"{name}.log") for name in ("first", "second")])
    try:
        await pair.start()
        yield pair
    finally:
        for operator in pair.operators:
            await operator.kill()
            print(operator.log, operator.log.read_text(), sep="\n")


def said(operator: OperatorProcess, message: str, since: float) -> Callable[[], object]:
    async def was_said() -> bool:
        return bool(operator.said_at(message, since))

    return was_said
