"""Two operator processes that serve one namespace: one leads, and one stands by."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from operator_process import OperatorProcess
from periodic_sync.kube.resources import LEASES
from takeovers import Takeover
from turns_support import Bench, until


class Pair:
    """Both, and the bench whose policy they serve."""

    def __init__(self, bench: Bench, kubeconfig: Path, folder: Path) -> None:
        """`folder`: for their logs."""
        self.bench = bench
        self.lease = f"periodic-sync-{bench.namespace}"
        self._kubeconfig = kubeconfig
        self._folder = folder
        self.started: list[OperatorProcess] = []
        """All there ever were."""

    @property
    def operators(self) -> list[OperatorProcess]:
        return [operator for operator in self.started if operator.is_running]

    async def restore(self) -> None:
        """Start those that are missing, and wait until one leads and the other stands by."""
        while len(self.operators) < 2:
            self.started.append(OperatorProcess(self._kubeconfig, self._folder / f"{len(self.started)}.log"))
            await self.started[-1].start("--namespace", self.bench.namespace)
        for operator in self.operators:
            await operator.says("standing for election")
            await until(operator.is_healthy)
        await until(self.is_led)

    async def is_led(self) -> bool:
        holder = await self._holder()
        leading = [operator.identity == holder for operator in self.operators]
        return any(leading) and bool(await self.bench.jobs())

    async def _holder(self) -> str:
        found = await self.bench.client.list(LEASES, self.bench.namespace)
        return str(found[0]["spec"].get("holderIdentity") or "") if found else ""

    async def leader_first(self) -> list[OperatorProcess]:
        holder = await self._holder()
        return sorted(self.operators, key=lambda operator: operator.identity != holder)

    async def takeover(self, other: OperatorProcess, began: float) -> Takeover:
        """Register a user, and wait until the other operator has claimed it."""
        await self.bench.register(active=[f"u{began}"])
        await until(said(other, "scheduling batch", began))
        leads, claims = (other.said_at(message, began)[0] - began for message in ("leading", "scheduling batch"))
        return Takeover(leads, claims)


@asynccontextmanager
async def started(bench: Bench, kubeconfig: Path, folder: Path) -> AsyncIterator[Pair]:
    pair = Pair(bench, kubeconfig, folder)
    try:
        await pair.restore()
        yield pair
    finally:
        for operator in pair.started:
            await operator.kill()
            print(operator.log, operator.log.read_text(), sep="\n")


def said(operator: OperatorProcess, message: str, since: float) -> Callable[[], object]:
    async def was_said() -> bool:
        return bool(operator.said_at(message, since))

    return was_said
