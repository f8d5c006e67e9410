"""The HTTP API in a pod of a test's own, with the rights that ship, and callers of it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from cluster_support import KUBECTL, Kubectl, eventually
from live.api import Object
from server_support import AUDIENCE, install_account

ROLE, ACCOUNT, PORT = "periodic-sync-api", "api", 3001


@dataclass(frozen=True)
class Answer:
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class HttpApi:
    """`kubectl` works in the namespace that its pod is in."""

    kubectl: Kubectl
    base: str
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def __call__(self, method: str, path: str, body: object = None, *, token: str = "") -> Answer:
        """body: to be sent as JSON; bytes as they are. Raises: AssertionError without an answer."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            with urlopen(Request(self.base + path, data, headers, method=method), timeout=40) as answer:
                return Answer(answer.status, answer.read().decode())
        except HTTPError as error:
            return Answer(error.code, error.read().decode())
        except (OSError, HTTPException) as error:
            raise AssertionError(f"{method} {path}: {error}") from error

    def token(self, account: str, *roles: str) -> str:
        """Of an account in the API's own namespace, made with these roles there the first time."""
        if account not in self._tokens:
            self.kubectl("create", "serviceaccount", account)
            for number, role in enumerate(roles):
                subject = f"--serviceaccount={self.kubectl.namespace}:{account}"
                self.kubectl("create", "rolebinding", f"{account}-{number}", f"--clusterrole={role}", subject)
            self._tokens[account] = self.kubectl("create", "token", account, f"--audience={AUDIENCE}").strip()
        return self._tokens[account]

    def log(self) -> str:
        return self.kubectl("logs", f"pod/{ACCOUNT}")


@contextmanager
def started(kubectl: Kubectl, image: str, folder: Path, *options: str) -> Iterator[HttpApi]:
    """It answers while the block runs. folder: an empty one. Its pod goes with kubectl's namespace."""
    install_account(kubectl.kubeconfig, folder)
    binding = f"{ACCOUNT}-{kubectl.namespace}"
    kubectl("create", "serviceaccount", ACCOUNT)
    subject = f"--serviceaccount={kubectl.namespace}:{ACCOUNT}"
    kubectl("create", "clusterrolebinding", binding, f"--clusterrole={ROLE}", subject)
    kubectl.apply(_pod(image, *options))
    try:
        kubectl("wait", f"pod/{ACCOUNT}", "--for=condition=Ready", "--timeout=50s")
        with forwarded(kubectl, ACCOUNT, PORT) as place:
            api = HttpApi(kubectl, f"http://{place}")
            eventually(lambda: _assert_ready(api))
            yield api
    finally:
        kubectl("delete", "clusterrolebinding", binding)


def _assert_ready(api: HttpApi) -> None:
    assert api("GET", "/readyz").status == 200


def _pod(image: str, *options: str) -> Object:
    container = {
        "name": ACCOUNT,
        "image": image,
        "args": ["server", "--host=0.0.0.0", "--insecure-http", *options],
        "readinessProbe": {"httpGet": {"path": "/livez", "port": PORT}, "periodSeconds": 1},
    }
    about = {"name": ACCOUNT, "labels": {"app": ACCOUNT}}
    spec = {"serviceAccountName": ACCOUNT, "containers": [container], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}


@contextmanager
def forwarded(kubectl: Kubectl, pod: str, port: int) -> Iterator[str]:
    """The host and port that lead to the pod while the block runs."""
    place = ("--kubeconfig", str(kubectl.kubeconfig), "--namespace", kubectl.namespace)
    command = [str(KUBECTL), *place, "port-forward", f"pod/{pod}", f":{port}", "--address=127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "->" in said, f"kubectl port-forward did not start: {said}"
            yield said.split()[2]
        finally:
            process.terminate()
