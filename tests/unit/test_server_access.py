"""Who is let through, and for how long what Kubernetes said holds; the clock is set by the test."""

import asyncio
from dataclasses import dataclass, field

import pytest

from periodic_sync.api.errors import UnavailableError
from periodic_sync.kube.answers import Answers
from periodic_sync.server.access import Access, Act, Caller
from periodic_sync.server.problems import Problem
from periodic_sync.server.rates import Rates
from periodic_sync.telemetry.api import ApiMetrics

ADA = Caller("ada", groups=("people",))
GET = Act("get", "syncpolicies/users", "shop", "portfolios")


@dataclass
class Kubernetes:
    """Authenticator and authorizer, which count."""

    accepted: dict[str, Caller] = field(default_factory=lambda: {"good": ADA})
    allowed: set[tuple[str, str]] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    is_away: bool = False

    async def authenticate(self, token: str) -> Caller | None:
        self._ask("token")
        return self.accepted.get(token)

    async def allows(self, caller: Caller, act: Act) -> bool:
        self._ask("right")
        return (caller.name, act.verb) in self.allowed

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.is_away:
            raise UnavailableError("no answer")


@dataclass
class Gate:
    kubernetes: Kubernetes = field(default_factory=Kubernetes)
    now: float = 1000.0
    per_second: float = 1000.0
    metrics: ApiMetrics = field(default_factory=ApiMetrics)

    def __post_init__(self) -> None:
        self.access = Access(
            self.kubernetes,
            self.kubernetes,
            lambda: self.now,
            self.metrics,
            per_second=self.per_second,
            burst=self.per_second,
        )

    async def enter(self, token: str = "good") -> str:
        """ "" where the caller is let through, else the code of the refusal."""
        try:
            caller = await self.access.identify(f"Bearer {token}")
            await self.access.check(caller, GET)
        except Problem as problem:
            return problem.code
        return ""


async def test_an_accepted_token_is_asked_about_once_a_minute_and_an_allowed_right_every_five() -> None:
    gate = Gate(Kubernetes(allowed={("ada", "get")}))
    for second, asked in ((0, 2), (59, 2), (61, 3), (119, 3), (299, 4), (301, 5)):
        gate.now = 1000.0 + second
        assert await gate.enter() == ""
        assert len(gate.kubernetes.asked) == asked, second


async def test_a_refusal_names_what_is_missing_and_never_a_wallet_in_the_place_of_a_name() -> None:
    access = Gate().access
    with pytest.raises(Problem, match=r'may not get syncpolicies/users .* of "portfolios" in namespace "shop"'):
        await access.check(ADA, GET)
    wallet = "0x52908400098527886e0f7030069857d2e4169ee7"
    for act in (GET._replace(namespace=wallet), GET._replace(policy=wallet)):
        with pytest.raises(Problem) as raised:
            await access.check(ADA, act)
        assert wallet not in raised.value.detail


async def test_a_denied_right_is_asked_about_again_after_half_a_minute() -> None:
    gate = Gate()
    assert await gate.enter() == "Forbidden"
    gate.kubernetes.allowed.add(("ada", "get"))
    gate.now += 29
    assert await gate.enter() == "Forbidden"
    gate.now += 2
    assert await gate.enter() == ""


async def test_a_token_that_is_not_accepted_is_asked_about_again_after_ten_seconds() -> None:
    gate = Gate(Kubernetes(accepted={}, allowed={("ada", "get")}))
    assert await gate.enter() == "TokenNotAccepted"
    gate.kubernetes.accepted["good"] = ADA
    gate.now += 9
    assert await gate.enter() == "TokenNotAccepted"
    gate.now += 2
    assert await gate.enter() == ""


async def test_nobody_is_let_through_while_kubernetes_gives_no_answer_and_that_is_not_kept() -> None:
    gate = Gate(Kubernetes(allowed={("ada", "get")}, is_away=True))
    with pytest.raises(UnavailableError):
        await gate.enter()
    gate.kubernetes.is_away = False
    assert await gate.enter() == ""
    gate.now += 301
    gate.kubernetes.is_away = True
    with pytest.raises(UnavailableError):
        await gate.enter()


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "good"])
async def test_a_header_without_a_bearer_token_is_told_and_nobody_is_asked(header: str) -> None:
    gate = Gate()
    with pytest.raises(Problem) as told:
        await gate.access.identify(header)
    assert (told.value.status, told.value.code) == (401, "NoToken")
    assert told.value.headers["WWW-Authenticate"] == "Bearer"
    assert gate.kubernetes.asked == []


async def test_an_endless_token_is_not_accepted_and_nobody_is_asked() -> None:
    gate = Gate()
    assert await gate.enter("x" * 20_000) == "TokenNotAccepted"
    assert gate.kubernetes.asked == []


async def test_each_token_has_a_rate_of_its_own() -> None:
    gate = Gate(Kubernetes(allowed={("ada", "get")}, accepted={"good": ADA, "other": ADA}), per_second=2)
    assert [await gate.enter() for _ in range(3)] == ["", "", "TooManyRequests"]
    assert await gate.enter("other") == ""
    gate.now += 0.5
    assert await gate.enter() == ""


async def test_made_up_tokens_can_not_flood_kubernetes_and_do_not_hold_up_known_ones() -> None:
    gate = Gate(Kubernetes(allowed={("ada", "get")}))
    assert await gate.enter() == ""
    codes = [await gate.enter(f"made-up-{number}") for number in range(500)]
    assert codes.count("TooManyRequests") == 301
    assert await gate.enter() == ""


async def test_a_token_is_nowhere_in_memory_as_it_is() -> None:
    gate = Gate(Kubernetes(allowed={("ada", "get")}))
    await gate.enter()
    assert "good" not in repr(vars(gate.access._callers)) + repr(vars(gate.access._requests))


async def test_those_who_wait_for_one_answer_ask_once_and_one_who_gives_up_takes_it_from_nobody() -> None:
    answers: Answers[str, int] = Answers(seconds=lambda _: 10, clock=lambda: 0.0)
    asked, go = 0, asyncio.Event()

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await go.wait()
        return 7

    first, others = (
        asyncio.create_task(answers.get("k", ask)),
        [asyncio.create_task(answers.get("k", ask)) for _ in range(3)],
    )
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    assert await asyncio.gather(*others) == [7, 7, 7]
    assert asked == 1


async def test_no_more_answers_are_kept_than_there_is_room_for() -> None:
    answers: Answers[int, int] = Answers(seconds=lambda _: 10, clock=lambda: 0.0, most=2)
    asked: list[int] = []

    async def get(key: int) -> None:
        async def ask() -> int:
            asked.append(key)
            return key

        await answers.get(key, ask)

    for key in (1, 2, 1, 3, 1, 2):
        await get(key)
    assert asked == [1, 2, 3, 2]


def test_a_bucket_fills_up_with_time_and_never_beyond_its_size() -> None:
    now = [0.0]
    rates = Rates(2.0, 3.0, lambda: now[0])
    assert [rates.take("k") for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] = 100.0
    assert [rates.take("k") for _ in range(4)] == [0, 0, 0, 0.5]
