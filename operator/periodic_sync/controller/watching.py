"""The kopf handlers. They decide nothing and write nothing: an event only wakes the loop of the policy it is about.

All are coroutines: kopf would run plain functions in threads, where nothing of asyncio may be touched.
"""

import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import kopf

from periodic_sync.api.names import (
    GROUP,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PLURAL,
    REQUESTED_AT_ANNOTATION,
    SYNC_USERS_ANNOTATION,
    VERSION,
)
from periodic_sync.controller.policies import Policies
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.reading import controller, text
from periodic_sync.kube.kopf_session import endless_back_offs


def registry(policies: Policies, server: str, session: Callable[[], aiohttp.ClientSession]) -> kopf.OperatorRegistry:
    """The handlers, bound to these policies. `session` makes a connection to the API server at `server`."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=server, aiohttp_session=session())

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def policy_changed(meta: kopf.Meta, **_: Any) -> None:
        policy = PolicyRef(meta["namespace"], meta["name"], meta["uid"])
        policies.seen(policy, _essence_of_policy(meta))

    @kopf.on.event("batch", "v1", "jobs", labels={MANAGED_BY_LABEL: MANAGED_BY}, registry=handlers)
    async def job_changed(meta: kopf.Meta, status: kopf.Status, type: str | None, **_: Any) -> None:
        owner = text(controller(meta), "uid")
        policies.job_seen(owner, meta["uid"], (*_essence_of_job(meta, status), type == "DELETED"))

    return handlers


def settings() -> kopf.OperatorSettings:
    """kopf set up as a watcher only: no finalizers, no annotations, no events, no peering, and no giving up."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.process.ultimate_exiting_timeout = None
    chosen.networking.error_backoffs = _Endless()
    chosen.networking.request_timeout = 30
    chosen.queueing.idle_timeout = 0.1
    chosen.watching.server_timeout = 300
    chosen.watching.inactivity_timeout = 120
    chosen.watching.chunk_size = 250
    chosen.watching.label_selectors["batch", "v1", "jobs"] = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    logging.getLogger("kopf.activities").setLevel(logging.WARNING)
    return chosen


class _Endless:
    """Back-offs that begin anew with each request, and never end."""

    def __iter__(self) -> Any:
        return endless_back_offs()


def _essence_of_policy(meta: kopf.Meta) -> tuple[Any, ...]:
    """The spec and what is asked for: the operator's own writes to the status wake nobody."""
    asked = [meta.annotations.get(key) for key in (SYNC_USERS_ANNOTATION, REQUESTED_AT_ANNOTATION)]
    return (meta.get("generation"), *asked, meta.get("deletionTimestamp"))


def _essence_of_job(meta: kopf.Meta, status: kopf.Status) -> tuple[Any, ...]:
    """What of a Job makes a difference to scheduling."""
    conditions = tuple((c.get("type"), c.get("status")) for c in status.get("conditions") or [])
    ended = status.get("completedIndexes", ""), status.get("failedIndexes", "")
    return (*ended, conditions, meta.get("deletionTimestamp"))
