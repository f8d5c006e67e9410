"""The liveness probe: it fails when scheduling no longer progresses, and only then."""

import asyncio
import time

import aiohttp
import pytest

from periodic_sync.controller import liveness
from periodic_sync.controller.election import Elector
from periodic_sync.controller.liveness import LONGEST_REST_SECONDS, LONGEST_TURN_SECONDS, stuck
from periodic_sync.controller.loop import PolicyLoop
from periodic_sync.controller.policies import Policies

NOW = 10_000.0


class Loops:
    """In place of `Policies`: loops that stand still."""

    def __init__(self, *loops: PolicyLoop) -> None:
        self.loops = list(loops)


def loop(name: str = "shop/portfolios", *, turn_for: float | None = None, rests_for: float = 1.0) -> PolicyLoop:
    made = PolicyLoop(name, None)  # type: ignore[arg-type]
    made.turn_began = None if turn_for is None else NOW - turn_for
    made.last_ended = NOW - rests_for
    return made


@pytest.mark.parametrize(
    ("loops", "found"),
    [
        pytest.param([], [], id="no policy"),
        pytest.param([loop()], [], id="a loop that rests"),
        pytest.param([loop(rests_for=LONGEST_REST_SECONDS)], [], id="a loop that rests just not too long"),
        pytest.param([loop(turn_for=LONGEST_TURN_SECONDS)], [], id="a turn that takes just not too long"),
        pytest.param([loop(turn_for=1, rests_for=9_999)], [], id="a turn after a long one"),
        pytest.param([loop(rests_for=130)], ["shop/portfolios: no turn for 130 s"], id="a loop that begins no turn"),
        pytest.param(
            [loop(turn_for=901)], ["shop/portfolios: a turn has been running for 901 s"], id="a turn that hangs"
        ),
        pytest.param(
            [loop("a"), loop("b", rests_for=500), loop("c", turn_for=1000)],
            ["b: no turn for 500 s", "c: a turn has been running for 1000 s"],
            id="some of several",
        ),
    ],
)
def test_what_is_stuck(loops: list[PolicyLoop], found: list[str]) -> None:
    assert stuck(Loops(*loops), None, now=NOW) == found  # type: ignore[arg-type]


async def ask(loops: Loops) -> tuple[int, str]:
    runner = await liveness.serve(loops, None, host="127.0.0.1", port=0)  # type: ignore[arg-type]
    try:
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/healthz") as answer:
            return answer.status, await answer.text()
    finally:
        await runner.cleanup()


def test_healthz() -> None:
    resting = PolicyLoop("a", None)  # type: ignore[arg-type]
    hanging = PolicyLoop("b", None)  # type: ignore[arg-type]
    hanging.turn_began = time.monotonic() - 1000
    assert asyncio.run(ask(Loops(resting))) == (200, "ok\n")
    assert asyncio.run(ask(Loops(resting, hanging))) == (500, "b: a turn has been running for 1000 s\n")


def test_an_operator_without_policies_is_alive() -> None:
    assert stuck(Policies(None, lambda *_: None), None, now=NOW) == []  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("tried_ago", "found"),
    [
        pytest.param(1.0, [], id="an election that goes on, whoever leads"),
        pytest.param(LONGEST_REST_SECONDS, [], id="just so"),
        pytest.param(130.0, ["election: no try for 130 s"], id="an election that hangs"),
    ],
)
def test_the_election_must_go_on(tried_ago: float, found: list[str]) -> None:
    elector = Elector(None, "pod-a_1", None, lambda: 0)  # type: ignore[arg-type]
    elector.last_try = NOW - tried_ago
    assert stuck(Loops(), elector, now=NOW) == found  # type: ignore[arg-type]
