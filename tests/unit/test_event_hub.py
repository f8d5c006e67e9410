"""The hub of one policy's events: from wherever they go on all are told the same, and nobody waits for the slow."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.client.backend import SystemClock
from periodic_sync.core.event_marks import Cursor, Mark, read_id
from periodic_sync.core.events import Gap, UserSynced
from periodic_sync.server.events import hub as hubs_module
from periodic_sync.server.events import source
from periodic_sync.server.events.catching_up import CatchingUp
from periodic_sync.server.events.hub import Hub, TooSlowError, greeting
from periodic_sync.server.events.messages import MOST_TOGETHER
from periodic_sync.server.events.source import Step
from scripted_source import Script, ignored
from turns_support import until

CLOCK = SystemClock()
SMALL, LARGE = 600, 10**6
Told = dict[str, Any]


@asynccontextmanager
async def started(*sources: Script, after: Cursor | None = None, ring_bytes: int = LARGE) -> AsyncIterator[Hub]:
    hub = Hub(sources, CLOCK, ignored, ring_bytes=ring_bytes)
    try:
        await hub.start(after)
        yield hub
    finally:
        await hub.close()


async def read(hub: Hub, count: int, after: str = "") -> list[Told]:
    """So many events, as a reader of that hub gets them."""
    cursor = read_id(after) if after else None
    begin, greeted = greeting(hub, cursor)
    told: list[Told] = [event for text in greeted for event in json.loads(text) if event["type"] != "bookmark"]
    place = hub.enter(begin if after else None)
    async with asyncio.timeout(20):
        if place is None:
            async with aclosing(CatchingUp(hub, begin, CLOCK).messages()) as messages:
                async for message in messages:
                    if not isinstance(message, str):
                        place = message
                        break
                    told += json.loads(message)
                    if len(told) >= count:
                        return told
        while len(told) < count:
            assert place is not None
            told += json.loads(await hub.next(place))
    return told


async def until_at(hub: Hub, position: int) -> None:
    async def is_there() -> bool:
        return hub.cursor["k"].position == (position,)

    await until(is_there)


def of(letter: str, told: Sequence[Told]) -> list[str]:
    return [head for event in told if (head := event["id"].partition("~")[0]).startswith(letter)]


histories = st.lists(st.tuples(st.sampled_from("kr"), st.integers(0, 3)), min_size=1, max_size=12)


@given(histories, st.sampled_from([SMALL, LARGE]), st.booleans())
def test_from_every_id_on_the_rest_is_told(history: list[tuple[str, int]], ring_bytes: int, is_new: bool) -> None:
    async def check() -> None:
        scripts = {letter: Script(letter) for letter in "kr"}
        async with started(*scripts.values(), ring_bytes=ring_bytes) as hub:
            readers = [asyncio.ensure_future(read(hub, sum(count for _, count in history)))]
            await asyncio.sleep(0)
            for letter, count in history:
                scripts[letter].tell(*(f"user-{number}" for number in range(count)))
                await asyncio.sleep(0)
            try:
                [told] = await asyncio.gather(*readers)
            except TooSlowError:
                assert ring_bytes == SMALL
                return
            # One that has everything too, but all of a source at once: the two are in another order there.
            async with started(*scripts.values(), after=read_id("k0~r0")) as new:

                async def has_come_as_far(new: Hub = new, hub: Hub = hub) -> bool:
                    return new.cursor == hub.cursor

                await until(has_come_as_far)
                for number, event in enumerate(told[:-1]):
                    rest = await read(new if is_new else hub, len(told) - number - 1, event["id"])
                    again = await read(new if is_new else hub, len(rest) - 1, rest[0]["id"])
                    for letter in "kr":
                        assert of(letter, rest) == of(letter, told[number + 1 :])
                        assert of(letter, again) == of(letter, rest[1:])

    asyncio.run(check())


async def test_an_event_s_id_is_the_same_from_every_hub() -> None:
    one, other = Script("k"), Script("r")
    async with started(one, other) as here, started(other, one) as there:
        readers = [asyncio.ensure_future(read(hub, 6)) for hub in (here, there)]
        await asyncio.sleep(0)
        for script in (one, other, one):
            script.tell("ada", "bob")
        told, told_there = [await reader for reader in readers]
    assert of("k", told) == of("k", told_there) == ["k1.0", "k1.1", "k2.0", "k2.1"]
    assert of("r", told) == of("r", told_there) == ["r1.0", "r1.1"]


async def test_many_events_of_one_moment_come_in_several_messages() -> None:
    script = Script("k")
    async with started(script) as hub:
        place = hub.enter()
        assert place is not None
        script.tell(*(f"user-{number}" for number in range(2 * MOST_TOGETHER + 1)))
        sizes = [len(json.loads(await hub.next(place))) for _ in range(3)]
    assert sizes == [MOST_TOGETHER, MOST_TOGETHER, 1]


async def test_whoever_reads_too_slowly_has_to_go_and_holds_up_nobody() -> None:
    script = Script("k")
    async with started(script, ring_bytes=SMALL) as hub:
        slow, quick = hub.enter(), hub.enter()
        assert slow is not None
        assert quick is not None
        for number in range(100):
            script.tell(f"user-{number}")
            assert f"user-{number}" in await hub.next(quick)
        with pytest.raises(TooSlowError):
            await hub.next(slow)
        assert sum(len(kept.text) for kept in hub._ring) <= SMALL


async def test_whoever_comes_back_is_given_the_ring_s_own_messages_for_as_long_as_a_ring_takes() -> None:
    script = Script("k")
    async with started(script, ring_bytes=SMALL) as hub:
        for number in range(6):
            script.tell(f"user-{number}")
            await until_at(hub, number + 1)
        places = [hub.enter(read_id("k4")) for _ in range(2)]
        texts = [[id(missed.text) for missed in place.missed] for place in places if place is not None]
        assert texts == 2 * [[id(kept.text) for kept in hub._ring][-2:]]
        [place, other] = places
        assert place is not None
        assert other is not None
        assert "user-4" in await hub.next(place)
        for number in range(6, 20):
            script.tell(f"user-{number}")
            assert f"user-{number}" in (await read(hub, 1, f"k{number}"))[0]["user"]
        for each in (place, other):
            with pytest.raises(TooSlowError):
                await hub.next(each)


async def test_trouble_is_waited_out_and_nothing_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "FIRST_PAUSE_SECONDS", 0.001)
    script = Script("k", fails=3)
    async with started(script) as hub:
        script.tell("ada")
        assert [event["user"] for event in await read(hub, 1, "k0")] == ["ada"]


async def test_whoever_is_ahead_of_a_hub_is_told_the_rest_without_reading_the_sources() -> None:
    one, other = Script("k", fails=1), Script("r", fails=1)  # what comes is told by the test
    other.tell("bob")
    async with started(one, other) as hub:
        ahead = {"k": Mark((3,), 0), "r": Mark((1,))}
        one.history += [Step((1,), ()), Step((2,), ())]
        assert await hub.ahead(ahead) == frozenset()  # it is from nowhere
        one.history.append(Step((3,), ()))
        assert hub.enter(ahead) is None
        place = hub.enter(ahead, await hub.ahead(ahead))
        assert place is not None
        for letter, position in (("r", 2), ("k", 2), ("k", 3), ("r", 3), ("k", 4)):
            hub._take(letter, Step((position,), (UserSynced("ada", 0, 1), UserSynced("eve", 0, 1))))
        told = [[event["id"] for event in json.loads(await hub.next(place))] for _ in range(4)]
        assert told == [
            ["r2.0~k3.0", "r2.1~k3.0"],
            ["k3.1~r2"],
            ["r3.0~k3", "r3.1~k3"],
            ["k4.0~r3", "k4.1~r3"],
        ]
        assert not place.ahead


async def test_whoever_is_ahead_learns_that_a_source_went_back() -> None:
    script = Script("k", fails=1)
    async with started(script) as hub:
        script.history += [Step((number,), ()) for number in range(1, 9)]
        place = hub.enter({"k": Mark((8,))}, frozenset("k"))
        assert place is not None
        hub._take("k", Step((1,), (Gap(),)))
        hub._take("k", Step((2,), (UserSynced("eve", 0, 2),)))
        assert [json.loads(await hub.next(place))[0]["type"] for _ in range(2)] == ["gap", "user.synced"]


async def test_what_nobody_foresaw_is_passed_over_with_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "FIRST_PAUSE_SECONDS", 0.001)
    script = Script("k", breaks_at=3)
    async with started(script) as hub:
        place = hub.enter()
        assert place is not None
        for user in ("ada", "bob", "eve"):
            script.tell(user)
        told = [json.loads(await hub.next(place))[0] for _ in range(3)]
        assert [event.get("user", event["type"]) for event in told] == ["ada", "bob", "gap"]
        script.tell("joe")
        assert "joe" in await hub.next(place)


async def test_what_is_lost_is_told_as_a_gap_and_then_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "FIRST_PAUSE_SECONDS", 0.001)
    script = Script("k")
    for _ in range(9):
        script.tell("ada")
    script.first = 5
    async with started(script, after=read_id("k3.0")) as hub:
        told = await read(hub, 1, "k3.0")
        assert [(event["type"], read_id(event["id"])["k"].position) for event in told] == [("gap", (9,))]
        script.tell("bob")
        assert [event["user"] for event in await read(hub, 1, told[0]["id"])] == ["bob"]
        for after in ("k1", "k77.3"):  # before it, and from nowhere
            script.tell("eve")
            assert [event["type"] for event in (await read(hub, 1, after))] == ["gap"]


async def test_a_source_that_went_back_is_a_gap_for_whoever_was_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "FIRST_PAUSE_SECONDS", 0.001)
    script = Script("k", fails=1)
    for _ in range(3):
        script.tell("ada")
    async with started(script) as hub:
        script.history.clear()
        assert [event["type"] for event in await read(hub, 1)] == ["gap"]
        for number in range(5):
            script.tell(f"user-{number}")
        await until_at(hub, 5)
        assert [event["user"] for event in await read(hub, 1, "k4")] == ["user-4"]
        for after in ("k3", "k2.0"):  # the source is asked, which would tell of a gap where it has lost that
            assert hub.enter(read_id(after)) is None


async def test_who_was_there_before_a_source_went_back_learns_of_it_when_the_ring_has_gone_on() -> None:
    script = Script("k")
    for _ in range(8):
        script.tell("ada")
    async with started(script, after=read_id("k0"), ring_bytes=SMALL) as hub:
        await until_at(hub, 8)
        hub._take("k", Step((2,), (Gap(),)))
        for number in range(3, 12):
            hub._take("k", Step((number,), (UserSynced("eve", 0, number),)))
            assert hub.enter(read_id("k8")) is None
        assert hub.enter(read_id("k9")) is not None


async def test_a_source_that_an_id_does_not_know_begins_now_with_a_gap() -> None:
    one, other = Script("k"), Script("r")
    one.tell("ada")
    other.tell("bob")
    async with started(one, other, after=read_id("k0")) as hub:
        told = await read(hub, 2, "k0")
    assert [event["type"] for event in told] == ["gap", "user.synced"]


async def test_ids_are_kept_fresh_by_bookmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs_module, "BOOKMARK_SECONDS", 0.01)
    script = Script("k")
    async with started(script) as hub:
        place = hub.enter()
        assert place is not None
        script.tell()  # something that makes no event
        assert json.loads(await hub.next(place)) == [{"id": "k1", "type": "bookmark"}]
