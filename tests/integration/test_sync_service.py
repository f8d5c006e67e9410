"""examples/quickstart/sync_service.py as a process, asked by both workers of this project."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds until something that should have happened is called hung; nothing is measured by it


class Client:
    """Speaks to a running service; what it answers is `(status, JSON)`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as response:
            return json.load(response)

    def post(self, path: str, content: object = None) -> tuple[int, dict[str, str]]:
        data = b"" if content is None else json.dumps(content).encode()
        try:
            with urllib.request.urlopen(self.url + path, data, timeout=PATIENCE) as response:
                return response.status, dict(response.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers)


@pytest.fixture(scope="module")
def process() -> Iterator[Client]:
    program = ROOT / "examples" / "quickstart" / "sync_service.py"
    with subprocess.Popen(
        [sys.executable, str(program)], env={**os.environ, "PORT": "0"}, stdout=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout is not None
            port = re.search(r"port (\d+)", service.stdout.readline())
            assert port
            yield Client(f"http://127.0.0.1:{port[1]}")
        finally:
            service.terminate()
            assert service.wait(PATIENCE) == 0


@pytest.fixture
def service(process: Client) -> Client:
    process.post("/control", {"reset": True})
    return process


def worker(tmp_path: Path, ids: list[str], *command: str, **variables: str) -> tuple[int, dict[str, str]]:
    """Returns: the exit code, and reasons by id."""
    batch, message = tmp_path / "batch.json", tmp_path / "message"
    batch.write_text(json.dumps({"version": 1, "users": [{"id": id, "wallet": "0x1", "tokens": []} for id in ids]}))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "operator"),
        "SYNC_BATCH_FILE": str(batch),
        "SYNC_TERMINATION_LOG": str(message),
        **variables,
    }
    code = subprocess.run(command, env=environment, check=False, timeout=PATIENCE).returncode
    return code, json.loads(message.read_text())["failed"] if message.exists() else {}


def test_calls_are_counted_for_each_user(service: Client) -> None:
    assert service.get("/healthz") == {"ok": True}
    for user in ("u1", "u1", "a%40b"):
        assert service.post(f"/users/{user}/sync")[0] == 200
    stats = service.get("/stats")
    assert (stats["calls"], stats["synced"], stats["overlaps"]) == (3, 3, 0)
    assert {user: seen["calls"] for user, seen in stats["users"].items()} == {"u1": 2, "a@b": 1}
    assert len(stats["users"]["u1"]["at"]) == 2
    assert stats["users"]["u1"]["at"] == sorted(stats["users"]["u1"]["at"])


@pytest.mark.parametrize(
    ("switches", "u1", "u2"),
    [
        ({"failUsers": ["u1"]}, 500, 200),
        ({"failUsers": ["u1"], "status": 404}, 404, 200),
        ({"status": 503}, 503, 503),
        ({"delayMs": 1}, 200, 200),
    ],
)
def test_switches(service: Client, switches: dict[str, object], u1: int, u2: int) -> None:
    assert service.post("/control", switches)[0] == 200
    assert (service.post("/users/u1/sync")[0], service.post("/users/u2/sync")[0]) == (u1, u2)
    assert service.get("/stats")["synced"] == (u1 == 200) + (u2 == 200)


def test_retry_after_goes_along(service: Client) -> None:
    service.post("/control", {"status": 429, "retryAfter": 5})
    status, headers = service.post("/users/u1/sync")
    assert (status, headers["Retry-After"]) == (429, "5")


@pytest.mark.parametrize("content", [{"failusers": []}, [], None])
def test_a_mistaken_switch_is_refused(service: Client, content: object) -> None:
    assert service.post("/control", content)[0] == 400
    assert service.post("/nothing")[0] == 404


def test_the_built_in_worker_syncs_through_it(service: Client, tmp_path: Path) -> None:
    service.post("/control", {"failUsers": ["u2"]})
    http = {"url": f"{service.url}/users/{{userId}}/sync", "attempts": 1}
    code, failed = worker(
        tmp_path, ["u1", "u2", "u:3@x"], sys.executable, "-m", "periodic_sync.worker", SYNC_HTTP=json.dumps(http)
    )
    assert (code, failed) == (1, {"u2": "HTTP 500 Internal Server Error"})
    assert set(service.get("/stats")["users"]) == {"u1", "u2", "u:3@x"}


def test_the_built_in_worker_says_that_a_service_is_down(service: Client, tmp_path: Path) -> None:
    service.post("/control", {"down": True})
    http = {"url": f"{service.url}/users/{{userId}}/sync", "attempts": 1}
    code, failed = worker(tmp_path, ["u1"], sys.executable, "-m", "periodic_sync.worker", SYNC_HTTP=json.dumps(http))
    assert (code, failed) == (1, {"u1": "the service closed the connection"})


def test_the_shell_worker_syncs_through_it(service: Client, tmp_path: Path) -> None:
    service.post("/control", {"failUsers": ["u2"]})
    script = str(ROOT / "examples" / "shell-worker" / "worker.sh")
    code, failed = worker(tmp_path, ["u1", "u2", "u:3@x"], "sh", script, SYNC_URL=service.url)
    assert (code, failed) == (1, {"u2": "HTTP 500"})
    assert set(service.get("/stats")["users"]) == {"u1", "u2", "u:3@x"}
