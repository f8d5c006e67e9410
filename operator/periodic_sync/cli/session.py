"""A way into the cluster for one command."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
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

    async def policy(self, name: str, namespace: str | None = None) -> "Object":
        """Raises: CommandError where there is none, ApiError."""
        from periodic_sync.kube.resources import SYNC_POLICIES

        try:
            return await self.client.get(SYNC_POLICIES, namespace or self.namespace, name)
        except NotFoundError as error:
            _check_kind(error)
            raise CommandError(
                f"There is no SyncPolicy {name} in namespace {namespace or self.namespace}: "
                "`kubectl get syncpolicy --all-namespaces` lists them"
            ) from None

    async def policies(self, *, everywhere: bool = False) -> "list[Object]":
        """Of the namespace, or of all of them. Raises: CommandError where the cluster knows no such kind, ApiError."""
        from periodic_sync.kube.resources import SYNC_POLICIES

        try:
            return await self.client.list(SYNC_POLICIES, None if everywhere else self.namespace)
        except NotFoundError as error:
            _check_kind(error)
            raise


def _check_kind(error: NotFoundError) -> None:
    """For an object that is missing Kubernetes has a word; for a kind that is, it has a page. Raises: CommandError."""
    if not error.reason:
        raise CommandError(
            "This cluster knows no SyncPolicies: install the operator with its CRD (`make deploy`, or "
            "`kubectl apply --server-side -f crds/`), or choose another --context"
        ) from None


@asynccontextmanager
async def session(kubeconfig: str | None, context: str | None, namespace: str | None) -> AsyncIterator[Session]:
    """For as long as the block runs. Raises: CommandError where the kubeconfig can't be used."""
    from kubernetes.aio.config import ConfigException

    from periodic_sync.kube.connect import connected

    _check_file(kubeconfig)
    async with AsyncExitStack() as stack:
        try:
            where = namespace or default_namespace(kubeconfig, context)
            client = await stack.enter_async_context(connected(kubeconfig, context=context))
        except ConfigException as error:
            raise CommandError(
                f"No way to a cluster is known ({error}): give --kubeconfig, or set $KUBECONFIG"
            ) from None
        yield Session(client, where)


def _check_file(kubeconfig: str | None) -> None:
    """Raises: CommandError."""
    if kubeconfig is not None and not Path(kubeconfig).is_file():
        raise CommandError(f"There is no kubeconfig {kubeconfig}: correct --kubeconfig")


def default_namespace(kubeconfig: str | None, context: str | None) -> str:
    """The context's, as kubectl has it; in a pod its own. Raises: ConfigException."""
    if kubeconfig is None and context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.is_file() else "default"
    from kubernetes.aio.config import list_kube_config_contexts

    contexts, current = list_kube_config_contexts(kubeconfig)
    chosen = current if context is None else next((it for it in contexts if it["name"] == context), None)
    if chosen is None:
        known = ", ".join(sorted(it["name"] for it in contexts))
        raise CommandError(f"The kubeconfig has no context {context}: choose one of {known}")
    return chosen["context"].get("namespace") or "default"
