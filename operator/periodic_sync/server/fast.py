"""The one route that is called all day, `POST …/users/{id}/activity`, without the framework around it.

The framework's share of such a request is two thirds. What is asked here is what its own route asks, by the same guard
and the same client; it stays for the OpenAPI document, and for whatever this one leaves to it.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from periodic_sync.server.access import Act
from periodic_sync.server.guard import NAMESPACE, POLICY, Guard
from periodic_sync.server.models import Activity
from periodic_sync.server.policies import Policies
from periodic_sync.server.problems import is_defect, reply_to
from periodic_sync.stores.records import USER_ID

RESOURCE = "syncpolicies/activity"

_PATH = re.compile(
    rf"/v1/namespaces/({NAMESPACE.pattern})/policies/({POLICY.pattern})/users/({USER_ID.pattern})/activity"
)
_BODY: TypeAdapter[Activity | None] = TypeAdapter(Activity | None)
_DONE = {"type": "http.response.start", "status": 204, "headers": []}
_EMPTY = {"type": "http.response.body", "body": b""}


@dataclass(frozen=True, slots=True)
class _Route:
    """What the log and the metrics name a request by."""

    path: str


class FastActivity:
    """Posts of one user's activity; everything else goes to `app`."""

    def __init__(self, app: ASGIApp, guard: Guard, policies: Policies, template: str) -> None:
        """template: of the route's path."""
        self._app, self._guard, self._policies = app, guard, policies
        self._route = _Route(template)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PATH.fullmatch(scope["path"]) if scope.get("method") == "POST" else None
        if found is None or b"%" in scope["raw_path"]:
            return await self._app(scope, receive, send)
        namespace, policy, user_id = found.groups()
        scope["route"] = self._route
        scope["path_params"] = {"namespace": namespace, "policy": policy, "user_id": user_id}
        try:
            await self._record(Act("create", RESOURCE, namespace, policy), user_id, scope, receive)
        except Exception as error:
            await reply_to(error)(scope, receive, send)
            if is_defect(error):
                raise  # for the log
            return None
        await send(_DONE)
        return await send(_EMPTY)

    async def _record(self, act: Act, user_id: str, scope: Scope, receive: Receive) -> None:
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))  # of several the first, as the framework does
        caller = await self._guard.identify(headers.get(b"authorization", b"").decode("latin-1"))
        scope.setdefault("state", {})["caller"] = caller
        await self._guard.check_served(caller, act)
        at = None
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            at = await self._at(Request(scope, receive))
        async with self._policies.use(act.namespace, act.policy) as opened:
            await opened.client.record_activity(user_id, at)

    async def _at(self, request: Request) -> str | None:
        """Raises: Problem, RequestValidationError, HTTPException."""
        await self._guard.read_body(request)
        body = _activity(await request.body())
        return body.at if body else None


def _activity(sent: bytes) -> Activity | None:
    """As the framework reads it, with the same complaints. Raises: RequestValidationError, HTTPException."""
    try:
        return _BODY.validate_python(json.loads(sent) if sent else None, from_attributes=True)
    except ValidationError as error:
        complaints: list[Any] = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(complaints) from None
    except json.JSONDecodeError as error:
        raise RequestValidationError([{"loc": ("body", error.pos), "msg": "JSON decode error"}]) from None
    except (ValueError, RecursionError):  # no UTF-8, a number with too many digits, or too many brackets
        raise HTTPException(400) from None
