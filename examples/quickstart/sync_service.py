"""A sync service to try things with: it stands for a team's own, syncs nobody, and records what it was asked.

    POST /users/<id>/sync   200, or what /control says
    GET  /stats             {"calls": 3, "synced": 2, "overlaps": 0, "users": {"u1": {"calls": 3, "synced": 2,
                            "overlaps": 0, "at": [<Unix seconds of each call>, ...]}}}
    GET  /healthz           200
    POST /control           changes any of the switches below and answers with all of them:
                            {"failUsers": ["u1"], "down": false, "delayMs": 0, "status": null, "retryAfter": null}

`failUsers` get `status` (500 where it is null); with an empty `failUsers` a `status` is for everyone. `retryAfter` goes
along as a header. `down` cuts every sync call off without an answer. {"reset": true} forgets switches and records.
An overlap is a call for a user whose last call still runs. Standard library only; listens on port 8080, or on $PORT.
"""

import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

SWITCHES = {"failUsers": [], "down": False, "delayMs": 0, "status": None, "retryAfter": None}
KEPT_TIMES = 1000  # calls of one user whose times are kept, the latest


class Records:
    """What was asked and how to answer, shared by the threads of the server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._switches: dict[str, Any] = dict(SWITCHES)
        self._users: dict[str, dict[str, Any]] = {}
        self._running: dict[str, int] = {}

    def begin(self, user: str) -> dict[str, Any]:
        """Note a call. Returns: the switches as they are at its start."""
        with self._lock:
            seen = self._users.setdefault(user, {"calls": 0, "synced": 0, "overlaps": 0, "at": []})
            running = self._running.get(user, 0)
            self._running[user] = running + 1
            seen["calls"] += 1
            seen["overlaps"] += running > 0
            seen["at"] = [*seen["at"][1 - KEPT_TIMES :], round(time.time(), 3)]
            return dict(self._switches)

    def end(self, user: str, synced: bool) -> None:
        with self._lock:
            self._running[user] = max(0, self._running.get(user, 0) - 1)
            if user in self._users:
                self._users[user]["synced"] += synced

    def control(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Raises: ValueError for a switch that is none."""
        unknown = set(changes) - set(SWITCHES) - {"reset"}
        if unknown:
            raise ValueError(f"no such switch: {', '.join(sorted(unknown))}; there are {', '.join(SWITCHES)} and reset")
        with self._lock:
            if changes.pop("reset", False):
                self._reset()
            self._switches.update(changes)
            return dict(self._switches)

    def stats(self) -> dict[str, Any]:
        with self._lock:
            users = {user: dict(seen) for user, seen in self._users.items()}
        totals = {name: sum(seen[name] for seen in users.values()) for name in ("calls", "synced", "overlaps")}
        return {**totals, "users": users}


class Handler(BaseHTTPRequestHandler):
    """One connection; the server has a thread for each."""

    protocol_version = "HTTP/1.1"  # connections are kept for further calls
    records = Records()

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(200, {"ok": True})
        elif self.path == "/stats":
            self._answer(200, self.records.stats())
        else:
            self._answer(404, {"error": "there are /healthz, /stats, /control and /users/<id>/sync"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match self.path.split("/"):
            case ["", "users", user, "sync"]:
                self._sync(unquote(user))
            case ["", "control"]:
                try:
                    self._answer(200, self.records.control(json.loads(body)))
                except (ValueError, TypeError) as error:
                    self._answer(400, {"error": str(error)})
            case _:
                self._answer(404, {"error": "there are /healthz, /stats, /control and /users/<id>/sync"})

    def _sync(self, user: str) -> None:
        switches = self.records.begin(user)
        status = 200
        try:
            time.sleep(switches["delayMs"] / 1000)  # a real service would do its work here
            if user in switches["failUsers"]:
                status = switches["status"] or 500
            elif not switches["failUsers"]:
                status = switches["status"] or 200
        finally:
            self.records.end(user, synced=status < 300 and not switches["down"])
        if switches["down"]:
            self.close_connection = True
        else:
            self._answer(status, {"user": user}, retry_after=switches["retryAfter"])

    def _answer(self, status: int, content: object, retry_after: object = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None and status >= 400:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet: /stats tells it all, and a line for every call would drown the cluster's logs."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # many workers connect at the same moment
    daemon_threads = True


def main() -> None:
    server = Server(("", int(os.environ.get("PORT", "8080"))), Handler)
    # From a thread of its own, as shutdown() waits for the loop that the signal interrupts.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"sync service on port {server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
