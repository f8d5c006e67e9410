"""The cluster as a benchmark sees it: kubectl, and the counters of API server and etcd."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]

WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})
NOBODYS = frozenset({"leases", "nodes", "endpointslices", "endpoints", "tokenreviews", "subjectaccessreviews"})
"""Heartbeats of the cluster itself, and questions that write nothing."""

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Cluster:
    """A cluster by its kubeconfig, and the unix socket where etcd answers, where that is known."""

    kubeconfig: Path
    namespace: str
    etcd_socket: Path | None = None

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Raises: RuntimeError with what kubectl wrote."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        command = [shutil.which("kubectl", path=path) or "kubectl", "--kubeconfig", str(self.kubeconfig)]
        command += ["--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments[:3])}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects: Object) -> None:
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=body)

    def get(self, *what: str) -> Object:
        found: Object = json.loads(self.kubectl("get", *what, "-o", "json"))
        return found

    def counters(self) -> "Counters":
        """All that was counted up to now."""
        writes: Counter[str] = Counter()
        for name, labels, value in _samples(self.kubectl("get", "--raw", "/metrics")):
            if name != "apiserver_request_total" or labels["verb"] not in WRITES or labels["resource"] in NOBODYS:
                continue
            if labels["code"].startswith("2"):
                what = "/".join(filter(None, (labels["resource"], labels["subresource"])))
                writes[f"{labels['verb']} {what}"] += int(value)
        return Counters(time.time(), writes, self._etcd("etcd_disk_wal_write_bytes_total"))

    def _etcd(self, wanted: str) -> int | None:
        if self.etcd_socket is None:
            return None
        text = _get_over(self.etcd_socket, "/metrics")
        return next((int(value) for name, _, value in _samples(text) if name == wanted), None)


@dataclass(frozen=True)
class Counters:
    """What the API server wrote, by verb and resource, and the bytes that etcd wrote to its log."""

    at: float
    writes: Counter[str]
    etcd_bytes: int | None

    def since(self, before: "Counters") -> "Counters":
        """What was counted between two moments; `at` is then the seconds between them."""
        both = self.etcd_bytes is not None and before.etcd_bytes is not None
        written = (self.etcd_bytes or 0) - (before.etcd_bytes or 0) if both else None
        return Counters(self.at - before.at, self.writes - before.writes, written)


def wait_for(what: str, is_so: Callable[[], bool], seconds: float) -> None:
    """Raises: TimeoutError."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.5)


def _samples(text: str) -> list[tuple[str, dict[str, str], float]]:
    found = (_SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#"))
    return [(one[1], dict(_LABEL.findall(one[2] or "")), float(one[3])) for one in found if one]


def _get_over(path: Path, target: str) -> str:
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(str(path))
    try:
        connection.request("GET", target)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
