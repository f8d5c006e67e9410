"""A watch that only tells that something changed. What is true is read anew by whoever is told, so a lost event costs a
tick and nothing else."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from periodic_sync.api.errors import ApiError
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import Resource

SILENCE_SECONDS = 120.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 20.0
SHORT_LIFE_SECONDS = 5.0
"""A watch that ends sooner than this, in whatever way, is taken up again after a pause only."""

log = logging.getLogger(__name__)


async def follow_changes(
    client: KubeClient,
    resource: Resource,
    namespace: str | None,
    tell: Callable[[Mapping[str, Any]], None],
    *,
    labels: str = "",
    fields: str = "",
) -> None:
    """Call `tell` with the metadata of each of the selected objects that changes, until cancelled.

    Trouble is waited out; what changes meanwhile is not told.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        began = time.monotonic()
        try:
            version = await client.current_version(resource, namespace, labels=labels, fields=fields)
            async for event in client.watch(
                resource, namespace, since=version, labels=labels, fields=fields, silence_seconds=SILENCE_SECONDS
            ):
                if event["type"] != "BOOKMARK":
                    tell(event["object"]["metadata"])
        except ApiError as error:
            log.debug("watch interrupted", extra={"resource": resource.plural, "error": str(error)})
        except Exception:
            # Whatever the server sent, a watch that ends for good would make everyone deaf.
            log.exception("watch failed", extra={"resource": resource.plural})
        if time.monotonic() - began > SHORT_LIFE_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
