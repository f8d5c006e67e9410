"""kubectl against one cluster, waiting on conditions, and what to show when something went wrong."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tasks.paths import KUBECTL
from tasks.shell import TaskError, capture

OPERATOR_NAMESPACE = "periodic-sync"
OPERATOR_SELECTOR = "app.kubernetes.io/name=periodic-sync"
LOG_LINES = 40

T = TypeVar("T")


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the kubeconfig of one cluster."""

    kubeconfig: Path

    def __call__(self, *words: str | Path, text: str | None = None, timeout: float = 120) -> str:
        return capture(self.command(*words), text=text, timeout=timeout)

    def command(self, *words: str | Path) -> list[str | Path]:
        return [KUBECTL, f"--kubeconfig={self.kubeconfig}", *words]

    def json(self, *words: str | Path) -> Any:
        return json.loads(self(*words, "-o", "json"))

    def apply(self, text: str) -> str:
        return self("apply", "--server-side", "--force-conflicts", "-f", "-", text=text)

    def operator_restarts(self) -> int:
        """How often the operator's present pods have ended and were started again."""
        pods = self.json("get", "pods", "-n", OPERATOR_NAMESPACE, "-l", OPERATOR_SELECTOR)["items"]
        return sum(state["restartCount"] for pod in pods for state in pod["status"].get("containerStatuses", ()))

    def diagnosis(self) -> str:
        """The operator's pods and log, and every policy's status: what a person looks at first."""
        operator = ("-n", OPERATOR_NAMESPACE)
        selected = (*operator, "-l", OPERATOR_SELECTOR)
        log = (*selected, "--all-containers", "--prefix", f"--tail={LOG_LINES}")
        return "\n".join(
            f"--- {title}\n{self._whatever(*words)}"
            for title, words in (
                ("operator pods", ("get", "pods", *operator, "-o", "wide")),
                ("operator events", ("get", "events", *operator, "--sort-by=.lastTimestamp")),
                ("operator log before its last restart", ("logs", *log, "--previous")),
                ("operator log", ("logs", *log)),
                ("policies", ("get", "syncpolicies", "-A", "-o", "wide")),
                ("their status", ("get", "syncpolicies", "-A", "-o", _STATUS)),
                ("their Jobs", ("get", "jobs", "-A", "-l", "sync.moonx.farm/policy")),
                ("pods that do not run", ("get", "pods", "-A", "--field-selector=status.phase!=Running")),
            )
        )

    def diagnosis_of(self, namespace: str) -> str:
        """What runs in a namespace, what happened there, and what its Jobs' pods wrote."""
        return "\n".join(
            f"--- {title} of {namespace}\n{self._whatever(*words, '-n', namespace)}"
            for title, words in (
                ("pods", ("get", "pods", "-o", "wide")),
                ("events", ("get", "events", "--sort-by=.lastTimestamp")),
                ("Jobs' logs", ("logs", "-l", "batch.kubernetes.io/job-name", "--prefix", f"--tail={LOG_LINES}")),
            )
        )

    def _whatever(self, *words: str) -> str:
        try:
            return self(*words, timeout=20).rstrip() or "(nothing)"
        except TaskError as failure:
            return f"({failure})"


_STATUS = 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}: {.status}{"\\n"}{end}'


def wait_for(ask: Callable[[], T | None], what: str, seconds: float, pause: float = 0.5) -> T:
    """Ask again and again until there is an answer.

    Raises: TaskError that says what was waited for, when the deadline passes first.
    """
    deadline = time.monotonic() + seconds
    while (answer := ask()) is None:
        if time.monotonic() > deadline:
            raise TaskError(f"gave up after {seconds:g} s of waiting for {what}")
        time.sleep(pause)
    return answer
