"""Which cluster this is, for what is kept outside of it."""

from periodic_sync.api.errors import ForbiddenError, NotFoundError
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import NAMESPACES


async def cluster_id(client: KubeClient) -> str:
    """The UID of the namespace kube-system, by which clusters are commonly told apart; "" where it may not be read.

    Raises: ApiError.
    """
    try:
        return str((await client.get(NAMESPACES, None, "kube-system"))["metadata"]["uid"])
    except (ForbiddenError, NotFoundError):
        return ""


async def policy_owner(client: KubeClient, namespace: str, name: str) -> str:
    """What tells a policy from all others, in any cluster. Raises: ApiError."""
    # Without the UID: a policy made again takes its users up again.
    return f"{await cluster_id(client)}/{namespace}/{name}"
