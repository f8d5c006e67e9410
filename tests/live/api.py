"""Plain HTTP to the API server through `kubectl proxy`: a hundred looks cost less than one start of kubectl."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from cluster_support import KUBECTL

Object = dict[str, Any]


class LookError(AssertionError):
    """No answer, or an error; an AssertionError, so that whoever waits for something tries again."""


class NotThereError(LookError):
    """404."""


@dataclass(frozen=True)
class Api:
    """The API server at the address of a proxy that has credentials."""

    base: str

    def get(self, path: str) -> Any:
        """Raises: LookError, NotThereError."""
        return self._send(Request(self.base + path))

    def post(self, path: str, body: object) -> Any:
        return self._send(Request(self.base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}))

    def text(self, path: str) -> str:
        return self._read(Request(self.base + path)).decode()

    def items(self, path: str) -> list[Object]:
        found: list[Object] = self.get(path)["items"]
        return found

    def events(self, path: str, since: str) -> Iterator[Object]:
        """A watch, until it ends. Raises: LookError."""
        mark = "&" if "?" in path else "?"
        url = f"{self.base}{path}{mark}watch=true&resourceVersion={since}"
        try:
            with urlopen(url, timeout=300) as answer:
                for line in answer:
                    yield json.loads(line)
        except (OSError, HTTPException, ValueError) as error:
            raise LookError(str(error)) from error

    def _send(self, request: Request) -> Any:
        return json.loads(self._read(request))

    def _read(self, request: Request) -> bytes:
        try:
            with urlopen(request, timeout=20) as answer:
                body: bytes = answer.read()
                return body
        except HTTPError as error:
            kind = NotThereError if error.code == 404 else LookError
            raise kind(f"{request.full_url}: {error.code} {error.read()[:500].decode(errors='replace')}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise LookError(f"{request.full_url}: {error}") from error


@contextmanager
def proxied(kubeconfig: Path) -> Iterator[Api]:
    """The API server of a kubeconfig, for as long as the block runs."""
    command = [str(KUBECTL), "--kubeconfig", str(kubeconfig), "proxy", "--port=0", "--accept-hosts=.*"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert ":" in said, f"kubectl proxy did not start: {said}"
            yield Api(f"http://{said.split()[-1]}")
        finally:
            process.terminate()
