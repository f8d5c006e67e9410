"""Who calls, and may they: asked of Kubernetes, and kept for as long as controller-runtime keeps such answers."""

import hashlib
import math
import secrets
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from periodic_sync.api.wallets import shown_id
from periodic_sync.kube.answers import Answers
from periodic_sync.server.problems import Problem
from periodic_sync.server.rates import Rates
from periodic_sync.telemetry.api import ApiTelemetry
from periodic_sync.telemetry.api_definitions import Review

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ACCEPTED_SECONDS, UNKNOWN_SECONDS = 60.0, 10.0
"""How long a token that is accepted, or is not, counts as such."""
ALLOWED_SECONDS, DENIED_SECONDS = 300.0, 30.0
REVIEWS_PER_SECOND, REVIEWS_BURST = 100.0, 200.0
"""Of tokens that were not seen lately, all together; and of rights not asked for lately, of each caller."""
LONGEST_TOKEN = 16 * 1024

CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom Kubernetes knows, as it told."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Act(NamedTuple):
    """What somebody wants to do, in the words of RBAC. Empty namespace or policy: with all of them."""

    verb: str
    resource: str
    """`syncpolicies`, a subresource of it such as `syncpolicies/users`, or the path of a route about the server."""
    namespace: str
    policy: str

    @property
    def is_path(self) -> bool:
        return self.resource.startswith("/")


class Authenticator(Protocol):
    async def authenticate(self, token: str) -> Caller | None:
        """None: the token is not accepted. Raises: ApiError where that is not known."""
        ...


class Authorizer(Protocol):
    async def allows(self, caller: Caller, act: Act) -> bool:
        """Raises: ApiError where that is not known."""
        ...


class Access:
    """Lets callers pass, or raises what they are answered. What is not known is refused."""

    def __init__(
        self,
        authenticator: Authenticator,
        authorizer: Authorizer,
        clock: Callable[[], float],
        telemetry: ApiTelemetry,
        *,
        per_second: float,
        burst: float,
    ) -> None:
        """clock: seconds, only forward. per_second, burst: requests with one token."""
        self._authenticator, self._authorizer = authenticator, authorizer
        self._clock, self._telemetry = clock, telemetry
        self._callers: Answers[bytes, Caller | None] = Answers(
            seconds=lambda caller: ACCEPTED_SECONDS if caller else UNKNOWN_SECONDS, clock=clock
        )
        self._rights: Answers[tuple[Caller, Act], bool] = Answers(
            seconds=lambda allowed: ALLOWED_SECONDS if allowed else DENIED_SECONDS, clock=clock
        )
        self._requests = Rates(per_second, burst, clock)
        self._reviews = Rates(REVIEWS_PER_SECOND, REVIEWS_BURST, clock)
        self._key = secrets.token_bytes(32)  # so that what is kept in memory is of no use elsewhere

    async def identify(self, authorization: str) -> Caller:
        """authorization: the header, "" where there is none. Raises: Problem, ApiError."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise self._refused(_no_token())
        if len(token) > LONGEST_TOKEN:
            raise self._refused(_not_accepted())
        key = hashlib.blake2b(token.encode(), key=self._key, digest_size=32).digest()
        self._spend(self._requests, key, "with this token")

        async def review() -> Caller | None:
            self._spend(self._reviews, "tokens", "with tokens that were not seen lately")
            return await self._authenticator.authenticate(token)

        caller = await self._known_or_asked(Review.TOKEN, self._callers, key, review)
        if caller is None:
            raise self._refused(_not_accepted())
        return caller

    async def check(self, caller: Caller, act: Act) -> None:
        """Raises: Problem where the caller may not, ApiError."""

        async def review() -> bool:
            self._spend(self._reviews, caller.name, "by this account about different policies")
            return await self._authorizer.allows(caller, act)

        if not await self._known_or_asked(Review.ACCESS, self._rights, (caller, act), review):
            raise self._refused(_forbidden(caller, act))

    async def _known_or_asked(self, kind: Review, answers: Answers[K, V], key: K, ask: Callable[[], Awaitable[V]]) -> V:
        is_asked = False

        async def review() -> V:
            nonlocal is_asked
            is_asked = True
            began, is_answered = self._clock(), False
            try:
                found = await ask()
                is_answered = True
                return found
            except Problem:
                is_asked = False  # nobody was: there have been too many questions
                raise
            finally:
                if is_asked:
                    self._telemetry.review_ended(kind, self._clock() - began, is_answered)

        found = await answers.get(key, review)
        if not is_asked:
            self._telemetry.review_known(kind)
        return found

    def _spend(self, rates: Rates, key: object, whose: str) -> None:
        wait = rates.take(key)
        if wait:
            raise self._refused(_too_many(whose, wait))

    def _refused(self, problem: Problem) -> Problem:
        self._telemetry.refused(problem.code)
        return problem


def _no_token() -> Problem:
    return Problem(
        401,
        "NoToken",
        "Send `Authorization: Bearer TOKEN`, with a token such as `kubectl create token NAME "
        "--audience=periodic-sync` makes",
        headers=CHALLENGE,
    )


def _not_accepted() -> Problem:
    return Problem(
        401,
        "TokenNotAccepted",
        "Kubernetes does not accept this token here: it has expired, or was made for another audience. Make one with "
        "`kubectl create token NAME --audience=periodic-sync`",
        headers=CHALLENGE,
    )


def _forbidden(caller: Caller, act: Act) -> Problem:
    policy, namespace = shown_id(act.policy), shown_id(act.namespace)  # in an address a wallet may stand for either
    whom = f'"{policy}" in namespace "{namespace}"' if policy else namespace or "all namespaces"
    what = act.resource if act.is_path else f"{act.resource} (sync.moonx.farm) of {whom}"
    return Problem(
        403,
        "Forbidden",
        f'User "{caller.name}" may not {act.verb} {what}: bind a role that '
        "allows it, such as those that docs/reference/http-api.md names",
    )


def _too_many(whose: str, wait: float) -> Problem:
    return Problem(
        429,
        "TooManyRequests",
        f"Too many requests {whose}: wait for as long as Retry-After says; several activities fit into one post",
        headers={"Retry-After": str(math.ceil(wait))},
    )
