"""For as long as somebody reads it is asked again whether they may; the clock is set by the test."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from client_support import SetClock
from periodic_sync.api.errors import UnavailableError
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.server.access import Caller
from periodic_sync.server.events.entering import Readers
from periodic_sync.server.events.leaving import Leave
from periodic_sync.server.events.route import REVIEW_SECONDS, UNREVIEWED_SECONDS, EventRoute, _Reader
from periodic_sync.server.problems import Problem
from periodic_sync.telemetry.api import ApiMetrics
from scheduling import policy

READ = SyncPolicy("portfolios", "shop", "uid", 1, policy())


def _fine() -> None:
    """Nothing is wrong."""


@dataclass
class World:
    """Guard and policies, which say after some time what a test wants."""

    then: Callable[[], None] = _fine
    seconds: float = 200.0
    found: SyncPolicy = READ
    found_after: float = 200.0
    clock: SetClock = field(default_factory=SetClock)
    asked: int = 0

    async def enter(self, authorization: str, act: Any) -> Caller:
        assert authorization == "Bearer token"
        self.asked += 1
        if sum(self.clock.slept) >= self.seconds:
            self.then()
        return Caller("ada")

    async def find(self, namespace: str, name: str) -> SyncPolicy:
        return self.found if sum(self.clock.slept) >= self.found_after else READ

    async def review(self) -> Leave:
        route = EventRoute(self, self, None, Readers(1, 1), self.clock, ApiMetrics())  # type: ignore[arg-type]
        hub: Any = None
        return await route._review(
            _Reader("shop", "portfolios", "Bearer token", Caller("ada"), READ, hub, {}, frozenset(), [], None)
        )


def refusal(status: int) -> Callable[[], None]:
    def refuse() -> None:
        raise Problem(status, "Word", "what to do")

    return refuse


def away() -> None:
    raise UnavailableError("no answer")


@pytest.mark.parametrize(
    ("status", "leave"), [(401, Leave.TOKEN_EXPIRED), (403, Leave.NOT_ALLOWED), (404, Leave.NO_SUCH_POLICY)]
)
async def test_who_may_no_longer_read_has_to_go_within_a_minute(status: int, leave: Leave) -> None:
    world = World(refusal(status))
    assert await world.review() is leave
    assert sum(world.clock.slept) <= world.seconds + REVIEW_SECONDS
    assert world.asked >= 3


@pytest.mark.parametrize("trouble", [away, refusal(503), refusal(429)])
async def test_while_it_is_not_known_readers_stay_for_five_minutes(trouble: Callable[[], None]) -> None:
    world = World(trouble)
    assert await world.review() is Leave.NOT_KNOWN
    assert 0 < sum(world.clock.slept) - world.seconds - UNREVIEWED_SECONDS + REVIEW_SECONDS <= 2 * REVIEW_SECONDS


@pytest.mark.parametrize(
    "found",
    [
        SyncPolicy("portfolios", "shop", "another", 1, policy()),
        SyncPolicy("portfolios", "shop", "uid", 2, policy(store={"configMap": {"name": "elsewhere"}})),
    ],
)
async def test_whose_policy_is_another_comes_back(found: SyncPolicy) -> None:
    assert await World(found=found).review() is Leave.POLICY_REPLACED


async def test_an_edit_of_anything_but_the_store_ends_nobody_s_reading() -> None:
    edited = SyncPolicy("portfolios", "shop", "uid", 2, policy(batchSize=3))
    world = World(refusal(403), found=edited, found_after=0)
    assert await world.review() is Leave.NOT_ALLOWED
    assert world.asked >= 3
