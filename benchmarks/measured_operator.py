"""The operator with a meter: `periodic-sync operator`, and one JSON line for each turn into the file METER.

    METER=turns.jsonl python -m benchmarks.measured_operator operator --kubeconfig F --worker-image I

Nothing of it is in the product: the client, the planning and the turn are wrapped from outside.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from periodic_sync.cli.main import main
from periodic_sync.controller import scheduling
from periodic_sync.controller.turn import PolicyTurns
from periodic_sync.core.plan import plan
from periodic_sync.kube.client import KubeClient

KINDS = ("namespaces", "pods", "jobs", "configmaps", "syncpolicies", "podtemplates", "events", "secrets")
MS = 1000


@dataclass
class Turn:
    """What one turn took. `waiting`: seconds during which at least one request was out."""

    requests: Counter[str] = field(default_factory=Counter)
    planning: float = 0
    waiting: float = 0
    _out: int = 0
    _since: float = 0

    def request_begins(self, method: str, path: str) -> None:
        self.requests[f"{method} {kind_of(path)}"] += 1
        if self._out == 0:
            self._since = time.perf_counter()
        self._out += 1

    def request_ended(self) -> None:
        self._out -= 1
        if self._out == 0:
            self.waiting += time.perf_counter() - self._since


_turn: ContextVar[Turn | None] = ContextVar("turn", default=None)


def kind_of(path: str) -> str:
    """The resource that a path is about, with its subresource and whether it is one object or all."""
    parts = path.split("/")
    plural = [part for part in parts if part in KINDS][-1]
    after = parts[parts.index(plural) + 1 :] if plural != "namespaces" else []
    return "/".join([plural, *after[1:]]) if after else f"{plural} (list or create)"


def measure(out: IO[str]) -> None:
    """Wrap what is measured, from now on."""
    KubeClient._send = _sent(KubeClient._send)  # type: ignore[method-assign]
    vars(scheduling)["plan"] = _planned(plan)
    PolicyTurns.turn = _turned(PolicyTurns.turn, out)  # type: ignore[method-assign]


def _sent(send: Callable[..., Any]) -> Callable[..., Any]:
    async def measured(self: KubeClient, method: str, path: str, **more: Any) -> Any:
        turn = _turn.get() or Turn()
        turn.request_begins(method, path)
        try:
            return await send(self, method, path, **more)
        finally:
            turn.request_ended()

    return measured


def _planned(make: Callable[..., Any]) -> Callable[..., Any]:
    def measured(*given: Any) -> Any:
        began = time.perf_counter()
        try:
            return make(*given)
        finally:
            if turn := _turn.get():
                turn.planning += time.perf_counter() - began

    return measured


def _turned(run: Callable[..., Any], out: IO[str]) -> Callable[..., Any]:
    async def measured(self: PolicyTurns) -> Any:
        turn, began, cpu, error = Turn(), time.perf_counter(), time.process_time(), ""
        token = _turn.set(turn)
        try:
            return await run(self)
        except Exception as failure:
            error = type(failure).__name__
            raise
        finally:
            _turn.reset(token)
            line = {
                "at": round(time.time(), 3),
                "policy": self._policy.name,
                "wall_ms": round((time.perf_counter() - began) * MS, 2),
                "cpu_ms": round((time.process_time() - cpu) * MS, 2),
                "planning_ms": round(turn.planning * MS, 2),
                "waiting_ms": round(turn.waiting * MS, 2),
                "requests": dict(turn.requests),
                "error": error,
            }
            out.write(json.dumps(line) + "\n")
            out.flush()

    return measured


if __name__ == "__main__":
    with Path(os.environ["METER"]).open("a") as file:
        measure(file)
        sys.exit(main())
