"""The routes of one policy's users. What a post says is stored when it is answered."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response, Security
from fastapi.security import HTTPBearer

from periodic_sync.client import Client, UnknownUserError, User
from periodic_sync.client.backend import Clock
from periodic_sync.client.users import moment
from periodic_sync.server.guard import Guard, right
from periodic_sync.server.models import (
    Activities,
    Activity,
    ProblemAnswer,
    Recorded,
    Registration,
    Removed,
    SyncAccepted,
    SyncRequest,
    Tokens,
    UserAnswer,
    Users,
    WhyAnswer,
)
from periodic_sync.server.policies import Policies
from periodic_sync.server.problems import MEDIA_TYPE
from periodic_sync.server.shown import rfc_3339, shown_user, shown_why
from periodic_sync.server.sync import request_sync
from periodic_sync.server.why import Explainer
from periodic_sync.stores.records import USER_ID

PREFIX = "/v1/namespaces/{namespace}/policies/{policy}"
USER = "/users/{user_id}"
MOST_A_PAGE = 1000

Namespace = Annotated[str, Path(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Policy = Annotated[str, Path(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
UserId = Annotated[str, Path(pattern=f"^{USER_ID.pattern}$")]

_PROBLEM = {"model": ProblemAnswer, "content": {MEDIA_TYPE: {}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {**_PROBLEM, "description": text}
    for status, text in {
        400: "The request can't be read",
        401: "No token, or one that is not accepted",
        403: "The token's account may not do this",
        404: "There is no such policy or user",
        408: "The body came too slowly",
        409: "The policy can't be worked with",
        413: "The body is too large",
        415: "The body is not JSON",
        422: "A value breaks the rules",
        429: "Too many requests: wait for Retry-After",
        503: "Not now: try again after Retry-After",
    }.items()
}


def bearer() -> Any:
    """Only told in the OpenAPI document; the guard has seen to it before."""
    return Security(HTTPBearer(auto_error=False, description="A ServiceAccount's token for this API's audience"))


class UserRoutes:
    """For any number of tasks."""

    def __init__(self, policies: Policies, explainer: Explainer, guard: Guard, clock: Clock) -> None:
        self._policies, self._explainer, self._guard, self._clock = policies, explainer, guard, clock

    def router(self) -> APIRouter:
        routes = APIRouter(
            prefix=PREFIX,
            route_class=self._guard.route_class(),
            dependencies=[bearer()],
            responses=PROBLEMS,
            tags=["users"],
        )
        users = "syncpolicies/users"
        add = routes.add_api_route
        add("/users", self.page, methods=["GET"], openapi_extra=right("list", users))
        add(USER, self.register, methods=["PUT"], status_code=204, openapi_extra=right("update", users))
        add(USER, self.get, methods=["GET"], openapi_extra=right("get", users))
        add(USER, self.remove, methods=["DELETE"], openapi_extra=right("delete", users))
        activity = right("create", "syncpolicies/activity")
        add("/activity", self.activities, methods=["POST"], openapi_extra=activity)
        add(f"{USER}/activity", self.activity, methods=["POST"], status_code=204, openapi_extra=activity)
        sync = right("create", "syncpolicies/sync")
        add(f"{USER}/sync", self.sync, methods=["POST"], status_code=202, openapi_extra=sync)
        tokens = right("create", "syncpolicies/tokens")
        add(f"{USER}/tokens", self.tokens, methods=["POST"], status_code=204, openapi_extra=tokens)
        add(f"{USER}/why", self.why, methods=["GET"], openapi_extra=right("get", "syncpolicies/why"))
        return routes

    async def register(self, namespace: Namespace, policy: Policy, user_id: UserId, body: Registration) -> None:
        """Register a user, or update one: an interval or a time zone that is not given is taken away."""
        async with self._policies.use(namespace, policy) as opened:
            await opened.client.register(
                user_id,
                body.wallet,
                interval=body.interval,
                time_zone=body.time_zone,
                last_active=body.last_active,
            )

    async def activity(
        self, namespace: Namespace, policy: Policy, user_id: UserId, body: Activity | None = None
    ) -> None:
        """A user was active, now or then."""
        async with self._policies.use(namespace, policy) as opened:
            await opened.client.record_activity(user_id, body.at if body else None)

    async def activities(self, namespace: Namespace, policy: Policy, body: Activities) -> Recorded:
        """Many users were active, each now or then. Those who are not registered are named in the answer."""
        times = {user.id: user.at for user in body.users}
        async with self._policies.use(namespace, policy) as opened:
            unknown = await opened.client.record_activities(times)
        return Recorded(recorded=len(times) - len(unknown), unknown=sorted(unknown))

    async def sync(
        self,
        request: Request,
        response: Response,
        namespace: Namespace,
        policy: Policy,
        user_id: UserId,
        body: SyncRequest | None = None,
    ) -> SyncAccepted:
        """Sync a user now, ahead of all others; active from now on, and with a wallet registered first.

        The wallet takes the right to update users as well.
        """
        if body is not None and body.wallet is not None:
            await self._guard.check(request, "update", "syncpolicies/users")
        at = moment(self._clock.now())
        async with self._policies.use(namespace, policy) as opened:
            await request_sync(opened.client, user_id, body or SyncRequest(), at)
        response.headers["Location"] = request.url.path.removesuffix("/sync")
        return SyncAccepted(requested_at=rfc_3339(at))

    async def tokens(self, namespace: Namespace, policy: Policy, user_id: UserId, body: Tokens) -> None:
        """Tokens of a user changed: a hint for the next sync, which makes nobody due."""
        async with self._policies.use(namespace, policy) as opened:
            await opened.client.mark_tokens_changed(user_id, body.tokens, body.at)

    async def get(self, namespace: Namespace, policy: Policy, user_id: UserId) -> UserAnswer:
        """One user, with what the operator knows of it."""
        async with self._policies.use(namespace, policy) as opened:
            return shown_user(await _found(opened.client, user_id))

    async def page(
        self,
        namespace: Namespace,
        policy: Policy,
        cursor: Annotated[str, Query(max_length=400)] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_A_PAGE)] = 100,
    ) -> Users:
        """Users a page at a time. One that changes meanwhile may come twice, and none is left out."""
        async with self._policies.use(namespace, policy) as opened:
            found = await opened.client.page(cursor, limit)
        return Users(users=[shown_user(user) for user in found.users], cursor=found.cursor)

    async def remove(self, namespace: Namespace, policy: Policy, user_id: UserId) -> Removed:
        """Erase a user."""
        async with self._policies.use(namespace, policy) as opened:
            removal = await opened.client.remove(user_id)
        if user_id not in removal.removed:
            raise UnknownUserError(user_id)
        return Removed(remains=removal.remains)

    async def why(self, namespace: Namespace, policy: Policy, user_id: UserId) -> WhyAnswer:
        """Why a user is, or is not, synced now, and when it is due next."""
        return shown_why(user_id, await self._explainer.why(namespace, policy, user_id))


async def _found(client: Client, user_id: str) -> User:
    found = await client.get(user_id)
    if found is None:
        raise UnknownUserError(user_id)
    return found
