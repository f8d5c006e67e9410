"""A hub is opened for a policy's first reader, and closed a while after the last."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from periodic_sync.api.errors import UnavailableError
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client.backend import SystemClock
from periodic_sync.core.event_marks import Position
from periodic_sync.server.events import hubs
from periodic_sync.server.events.hubs import Hubs
from periodic_sync.server.problems import Problem
from scheduling import policy
from scripted_source import Script, ignored
from turns_support import until

CLOCK = SystemClock()


def policy_of(uid: str = "uid", name: str = "portfolios") -> SyncPolicy:
    return SyncPolicy(name, "shop", uid, 1, policy())


@dataclass
class World:
    """Sources that were opened, by the order of that."""

    opened: list[Script] = field(default_factory=list)

    async def open(self, found: SyncPolicy) -> Sequence[Script]:
        self.opened.append(Script("k"))
        return [self.opened[-1]]

    def open_now(self) -> list[bool]:
        return [script.is_open for script in self.opened]


async def test_a_hub_is_opened_once_and_closed_a_while_after_its_last_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "LINGER_SECONDS", 0.05)
    world = World()
    all_hubs = Hubs(world.open, CLOCK, ignored)
    async with all_hubs.use(policy_of(), None) as one, all_hubs.use(policy_of(), None) as other:
        assert one is other
    async with all_hubs.use(policy_of(), None) as again:
        assert again is one
        await asyncio.sleep(0.1)  # for longer than it would have lingered: it is not closed behind a new reader
        assert world.open_now() == [True]

    async def is_closed() -> bool:
        return world.open_now() == [False]

    await until(is_closed)
    async with all_hubs.use(policy_of(), None):
        pass
    await all_hubs.close()
    assert world.open_now() == [False, False]


async def test_a_policy_that_was_made_anew_has_a_hub_of_its_own() -> None:
    world = World()
    all_hubs = Hubs(world.open, CLOCK, ignored)
    async with all_hubs.use(policy_of(), None) as old:
        async with all_hubs.use(policy_of("another"), None) as new:
            assert new is not old
            assert world.open_now() == [True, True]
        place = old.enter()
        assert place is not None
        world.opened[0].tell("ada")
        assert "ada" in await old.next(place)

    async def is_closed() -> bool:
        return world.open_now() == [False, True]

    await until(is_closed)
    await all_hubs.close()


async def test_policies_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "MOST_HUBS", 1)
    world = World()
    all_hubs = Hubs(world.open, CLOCK, ignored)
    async with all_hubs.use(policy_of(), None):
        with pytest.raises(Problem, match="1 policies"):
            async with all_hubs.use(policy_of(name="other"), None):
                pass
    async with all_hubs.use(policy_of(name="other"), None):  # the first has no readers any more
        assert world.open_now() == [False, True]
    await all_hubs.close()


async def test_a_hub_that_can_t_be_opened_leaves_nothing_open() -> None:
    world = World()

    async def broken() -> Position:
        raise UnavailableError("away")

    async def open_broken(found: SyncPolicy) -> Sequence[Script]:
        [script] = await world.open(found)
        script.now = broken  # type: ignore[method-assign]
        return [script]

    all_hubs = Hubs(open_broken, CLOCK, ignored)
    with pytest.raises(UnavailableError):
        async with all_hubs.use(policy_of(), None):
            pass
    assert world.open_now() == [False]
    await all_hubs.close()
