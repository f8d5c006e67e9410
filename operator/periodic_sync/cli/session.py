"""A way into the cluster for one command."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from periodic_sync.api.errors import NotFoundError
from periodic_sync.cli.errors import CommandError

if TYPE_CHECKING:
    from periodic_sync.kube.client import KubeClient, Object

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Session:
    """Who asks is whoever the kubeconfig says: every command works with that account's rights alone."""

    client: "KubeClient"
    namespace: str

    async def policy(self, name: str) -> "Object":
        """Raises: CommandError where there is none, ApiError."""
        from periodic_sync.kube.resources import SYNC_POLICIES

        try:
            return await self.client.get(SYNC_POLICIES, self.namespace, name)
        except NotFoundError:
            raise CommandError(
                f"There is no SyncPolicy {name} in namespace {self.namespace}: "
                "`kubectl get syncpolicy --all-namespaces` lists them"
            ) from None


@asynccontextmanager
async def session(kubeconfig: str | None, context: str | None, namespace: str | None) -> AsyncIterator[Session]:
    """For as long as the block runs. Raises: ConfigException where the kubeconfig can't be used."""
    from periodic_sync.kube.connect import connected

    async with connected(kubeconfig, context=context) as client:
        yield Session(client, namespace or default_namespace(kubeconfig, context))


def default_namespace(kubeconfig: str | None, context: str | None) -> str:
    """The context's, as kubectl has it; in a pod its own. Raises: ConfigException."""
    if kubeconfig is None and context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.is_file() else "default"
    from kubernetes.aio.config import list_kube_config_contexts

    contexts, current = list_kube_config_contexts(kubeconfig)
    chosen = current if context is None else next(it for it in contexts if it["name"] == context)
    return chosen["context"].get("namespace") or "default"
