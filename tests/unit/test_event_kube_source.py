"""A resource version that the API server has forgotten: it takes a server minutes to, so that it is played here."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from periodic_sync.api.errors import ExpiredError
from periodic_sync.core.event_marks import LostError
from periodic_sync.core.objects import PolicyRef
from periodic_sync.server.events.kube_source import KubeSource


class Forgetful:
    """A `KubeClient` that has forgotten what was at LIST, or what came after at WATCH."""

    def __init__(self, at: str) -> None:
        self._at = at
        self.asked: list[tuple[str, str]] = []

    async def current_version(self, *_: Any, **__: Any) -> str:
        return "50"

    async def list(self, *_: Any, version: str, labels: str) -> list[Any]:
        self.asked.append((version, labels))
        if self._at == "LIST":
            raise ExpiredError("too old")
        return []

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "51"}}}
        raise ExpiredError("too old")


async def steps(client: Forgetful, position: tuple[int, ...], *, again: bool = False) -> list[tuple[int, ...]]:
    source = KubeSource(client, PolicyRef("shop", "portfolios", "uid"), with_states=True)  # type: ignore[arg-type]
    seen = []
    try:
        async for step in source.steps(position, again=again):
            seen.append(step.position)
    except LostError:
        return seen
    raise AssertionError("it ended without a word")


async def test_what_the_api_server_has_forgotten_is_lost() -> None:
    assert await steps(Forgetful("LIST"), (20,)) == []
    assert await steps(Forgetful("WATCH"), (20,)) == [(51,)]


@pytest.mark.parametrize("position", [(0,), (51,), (1, 0), ()])
async def test_a_version_that_never_was_is_lost_without_asking_for_it(position: tuple[int, ...]) -> None:
    client = Forgetful("LIST")
    assert await steps(client, position) == []
    assert client.asked == []


async def test_batch_files_are_never_asked_for_and_an_event_s_own_version_is_read_again() -> None:
    client = Forgetful("WATCH")
    await steps(client, (20,), again=True)
    assert client.asked == [("19", "sync.moonx.farm/policy=portfolios,sync.moonx.farm/role in (ledger,state)")]
