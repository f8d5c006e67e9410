"""Watches that only wake somebody up. What is true is read anew by whoever is woken, so a lost event costs a tick."""

import asyncio
import logging
import random
from collections.abc import Callable

from periodic_sync.api.errors import ApiError
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import Resource

SILENCE_SECONDS = 120.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 20.0

log = logging.getLogger(__name__)


async def wake_on_change(
    client: KubeClient,
    resource: Resource,
    namespace: str,
    wake: Callable[[], None],
    *,
    labels: str = "",
    fields: str = "",
) -> None:
    """Call `wake` after every change of the selected objects, until cancelled. Trouble is waited out."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            _, version = await client.list_with_version(
                resource, namespace, labels=labels, fields=fields, metadata_only=True
            )
            wake()
            async for event in client.watch(
                resource, namespace, since=version, labels=labels, fields=fields, silence_seconds=SILENCE_SECONDS
            ):
                pause = FIRST_PAUSE_SECONDS
                if event["type"] != "BOOKMARK":
                    wake()
        except ApiError as error:
            log.debug("watch interrupted", extra={"resource": resource.plural, "error": str(error)})
        except Exception:
            # Whatever the server sent, a watch that ends for good would make its policy deaf.
            log.exception("watch failed", extra={"resource": resource.plural})
        else:
            continue
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
