"""Who calls, and may they: asked of Kubernetes, and kept for as long as controller-runtime keeps such answers."""

import hashlib
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from periodic_sync.api.wallets import shown_id
from periodic_sync.kube.answers import Answers
from periodic_sync.server.problems import Problem
from periodic_sync.server.rates import Rates

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
    """`syncpolicies`, or a subresource of it: `syncpolicies/users`."""
    namespace: str
    policy: str


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
        *,
        per_second: float,
        burst: float,
    ) -> None:
        """clock: seconds, only forward. per_second, burst: requests with one token."""
        self._authenticator, self._authorizer = authenticator, authorizer
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
            raise Problem(
                401,
                "NoToken",
                "Send `Authorization: Bearer TOKEN`, with a token such as `kubectl create token NAME "
                "--audience=periodic-sync` makes",
                headers=CHALLENGE,
            )
        if len(token) > LONGEST_TOKEN:
            raise _not_accepted()
        key = hashlib.blake2b(token.encode(), key=self._key, digest_size=32).digest()
        _spend(self._requests, key, "with this token")

        async def review() -> Caller | None:
            _spend(self._reviews, "tokens", "with tokens that were not seen lately")
            return await self._authenticator.authenticate(token)

        caller = await self._callers.get(key, review)
        if caller is None:
            raise _not_accepted()
        return caller

    async def check(self, caller: Caller, act: Act) -> None:
        """Raises: Problem where the caller may not, ApiError."""

        async def review() -> bool:
            _spend(self._reviews, caller.name, "by this account about different policies")
            return await self._authorizer.allows(caller, act)

        if not await self._rights.get((caller, act), review):
            policy, namespace = shown_id(act.policy), shown_id(act.namespace)
            whom = f'"{policy}" in namespace "{namespace}"' if policy else namespace or "all namespaces"
            raise Problem(
                403,
                "Forbidden",
                f'User "{caller.name}" may not {act.verb} {act.resource} (sync.moonx.farm) of {whom}: bind a role that '
                "allows it, such as those that docs/reference/http-api.md names",
            )


def _not_accepted() -> Problem:
    return Problem(
        401,
        "TokenNotAccepted",
        "Kubernetes does not accept this token here: it has expired, or was made for another audience. Make one with "
        "`kubectl create token NAME --audience=periodic-sync`",
        headers=CHALLENGE,
    )


def _spend(rates: Rates, key: object, whose: str) -> None:
    wait = rates.take(key)
    if wait:
        raise Problem(
            429,
            "TooManyRequests",
            f"Too many requests {whose}: wait for as long as Retry-After says; several activities fit into one post",
            headers={"Retry-After": str(math.ceil(wait))},
        )
