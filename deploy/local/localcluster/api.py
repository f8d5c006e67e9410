"""As much of a Kubernetes client as it takes to see a cluster come up and to give it its DNS."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from localcluster.errors import LocalClusterError
from localcluster.paths import ClusterPaths
from localcluster.state import ClusterState

_SECONDS = 10


class Api:
    def __init__(self, paths: ClusterPaths, state: ClusterState) -> None:
        self._server = state.server
        context = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))
        context.load_cert_chain(str(paths.pki / "admin.crt"), str(paths.pki / "admin.key"))
        # The machine's proxy settings are about the world outside, never about a cluster on the machine.
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({})
        )

    def get(self, path: str) -> bytes | None:
        try:
            with self._opener.open(self._server + path, timeout=_SECONDS) as answer:
                body: bytes = answer.read()
                return body
        except (OSError, http.client.HTTPException):
            return None

    def get_object(self, path: str) -> dict[str, Any] | None:
        body = self.get(path)
        return None if body is None else json.loads(body)

    def create(self, path: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(
            self._server + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            self._opener.open(request, timeout=_SECONDS).close()
        except urllib.error.HTTPError as refusal:
            if refusal.code != http.HTTPStatus.CONFLICT:
                said = refusal.read().decode(errors="replace")[:500]
                raise LocalClusterError(f"The API server refused a POST to {path}: {said}") from refusal

    def is_ready(self) -> bool:
        return self.get("/readyz") == b"ok"

    def controllers_work(self) -> bool:
        """Every namespace's first service account is made by a controller; no pod can be made before it is there."""
        return self.get("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def node_is_ready(self, name: str) -> bool:
        node = self.get_object(f"/api/v1/nodes/{name}")
        conditions = (node or {}).get("status", {}).get("conditions", [])
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2):
            return True
    except (OSError, http.client.HTTPException):
        return False
