"""How the operator finds and enters the API server: in its pod by the service account, elsewhere by kubeconfig."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.observing import RequestObserver, silent

MANY_CONNECTIONS = 512
"""A watch holds a connection for its whole life, so the pool must be larger than the policies are many."""


@asynccontextmanager
async def connected(
    kubeconfig: str | None = None, observe: RequestObserver = silent, *, context: str | None = None
) -> AsyncIterator[KubeClient]:
    """A client for as long as the block runs.

    `kubeconfig`: a file; without one, the pod's service account, else $KUBECONFIG, else ~/.kube/config.
    `context`: one of the kubeconfig's, in place of its current one.
    Raises: kubernetes.aio.config.ConfigException where none of them can be read.
    """
    # Without trust_env=False aiohttp reads ~/.netrc and the proxy variables anew for each request.
    settings = Configuration(client_session_kwargs={"trust_env": False})
    settings.connection_pool_maxsize = MANY_CONNECTIONS
    if kubeconfig is None and context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config(client_configuration=settings)
    else:
        await config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=settings)
    async with ApiClient(configuration=settings) as api:
        yield KubeClient(api, observe)
