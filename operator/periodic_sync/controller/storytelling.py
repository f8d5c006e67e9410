"""The log lines that tell what scheduling does, in the words that people know from the service before."""

import logging

from periodic_sync.api.durations import MINUTE
from periodic_sync.api.names import Reason
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.plan import Plan
from periodic_sync.core.status import Obstacle

CHECK_EVERY = MINUTE
"""A check without anything to do is told this often; one that schedules is always told. So is lasting trouble."""

log = logging.getLogger(__name__)


class Storyteller:
    """One policy's story, without its repetitions."""

    def __init__(self, policy: PolicyRef) -> None:
        self._name = f"{policy.namespace}/{policy.name}"
        self._checked_at = 0
        self._stale = 0
        self._store_told_at: int | None = None

    def tell_store(self, obstacle: Obstacle | None, now: int) -> None:
        """Whether the store can be relied on: when that changes, and every now and then while it can't."""
        told_at = self._store_told_at
        if obstacle is None:
            self._store_told_at = None
            if told_at is not None:
                log.info("store is ready again", extra={"policy": self._name})
        elif told_at is None or not 0 <= now - told_at < CHECK_EVERY:
            self._store_told_at = now
            log.warning("store is not ready, nothing is decided", extra={"policy": self._name, "why": obstacle.message})

    def tell(self, plan: Plan) -> None:
        counters, now = plan.counters, plan.tick.now
        if plan.jobs or not 0 <= now - self._checked_at < CHECK_EVERY:
            self._checked_at = now
            log.info(
                "running check",
                extra={
                    "policy": self._name,
                    "market_hours": plan.is_market_open,
                    "users": counters.total,
                    "active": counters.active,
                    "due": counters.due,
                    "in_flight": counters.in_flight,
                    "scheduling": counters.claimed,
                },
            )
        stale = counters.by_reason[Reason.DUE_STALE]
        if stale > self._stale:
            log.info("found stale users", extra={"policy": self._name, "users": stale})
        self._stale = stale
