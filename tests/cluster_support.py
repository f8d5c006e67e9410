"""kubectl for tests, as a person would type it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CRD_FILE = ROOT / "crds" / "syncpolicies.sync.moonx.farm.yaml"
KUBECTL = shutil.which("kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


class KubectlError(AssertionError):
    """kubectl ended with an error; the text is what it wrote for people to read."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the kubeconfig of the tests' API server, and one namespace."""

    kubeconfig: Path
    namespace: str = "default"

    def __call__(self, *arguments: str, stdin: str | dict[str, Any] = "") -> str:
        """Run kubectl and return what it printed.

        Raises: KubectlError with what it wrote to stderr.
        """
        if KUBECTL is None:
            raise KubectlError("kubectl is missing: install the development dependencies")
        done = subprocess.run(
            [KUBECTL, "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *arguments],
            input=stdin if isinstance(stdin, str) else json.dumps(stdin),
            # The cache beside the kubeconfig, since a cluster's address may be another cluster's tomorrow.
            env={**os.environ, "KUBECACHEDIR": str(self.kubeconfig.parent / "cache")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def apply(self, manifest: dict[str, Any], *options: str) -> str:
        return self("apply", *options, "-f", "-", stdin=manifest)

    def get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("get", *arguments, "-o", "json"))
        return found

    def within(self, namespace: str) -> "Kubectl":
        return replace(self, namespace=namespace)


def eventually(attempt: Callable[[], Any], *, seconds: float = 30) -> Any:
    """Try until it works; at the deadline its error comes through."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
