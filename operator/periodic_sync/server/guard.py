"""What every route with a right goes through before anything of its body is read: who, may they, and how much."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from periodic_sync.server.access import Access, Act, Caller
from periodic_sync.server.problems import Problem, no_such_policy

RIGHT = "x-kubernetes-access"
"""Of an operation in the OpenAPI document: the verb and the resource that its caller needs."""
NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
POLICY = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def right(verb: str, resource: str) -> dict[str, Any]:
    """For `openapi_extra` of a route: what its caller has to be allowed."""
    return {RIGHT: {"verb": verb, "resource": resource}}


class Guard:
    """namespace: the only one served; None: all. most_bytes: of a body. seconds: for a body to arrive."""

    def __init__(self, access: Access, *, namespace: str | None, most_bytes: int, seconds: float) -> None:
        self._access, self._namespace = access, namespace
        self._most_bytes, self._seconds = most_bytes, seconds

    def route_class(self) -> type[APIRoute]:
        """Routes that can't be made without a right."""
        guard = self

        class GuardedRoute(APIRoute):
            def get_route_handler(self) -> Handler:
                handle, wanted = super().get_route_handler(), (self.openapi_extra or {})[RIGHT]

                async def guarded(request: Request) -> Response:
                    await guard.admit(request, wanted["verb"], wanted["resource"])
                    return await handle(request)

                return guarded

        return GuardedRoute

    async def admit(self, request: Request, verb: str, resource: str) -> None:
        """Raises: Problem, ApiError."""
        caller = await self._access.identify(request.headers.get("authorization", ""))
        request.state.caller = caller
        await self.check_served(caller, self._act(request, verb, resource))
        await self.read_body(request)

    async def identify(self, authorization: str) -> Caller:
        """authorization: the header, "" where there is none. Raises: Problem, ApiError."""
        return await self._access.identify(authorization)

    async def check_served(self, caller: Caller, act: Act) -> None:
        """Whether the caller may, of a policy that is served here. Raises: Problem, ApiError."""
        await self._access.check(caller, act)
        if act.policy and self._namespace not in (None, act.namespace):
            raise no_such_policy(act.namespace, act.policy)

    async def enter(self, authorization: str, act: Act) -> Caller:
        """The same for who comes without a body. Raises: Problem, ApiError."""
        caller = await self._access.identify(authorization)
        await self.check_served(caller, act)
        return caller

    async def check(self, request: Request, verb: str, resource: str) -> None:
        """Whether whoever was admitted may do that as well. Raises: Problem, ApiError."""
        await self._access.check(request.state.caller, self._act(request, verb, resource))

    def _act(self, request: Request, verb: str, resource: str) -> Act:
        if resource.startswith("/"):
            return Act(verb, resource, "", "")
        if "policy" in request.path_params:
            return named(verb, resource, request.path_params["namespace"], request.path_params["policy"])
        if "policy" in request.query_params:
            return named("get", resource, *policy_of(request.query_params["policy"]))
        return Act(verb, resource, self._namespace or "", "")

    async def read_body(self, request: Request) -> None:
        """So that whoever reads it later finds it there, whole and not too long. Raises: Problem."""
        announced = request.headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > self._most_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._most_bytes:
                        raise self._too_large()
        except TimeoutError:
            raise Problem(408, "BodyTooSlow", "The body did not arrive in time: send it at once") from None
        except ClientDisconnect:
            raise Problem(400, "BodyCutOff", "The connection was closed before the whole body was there") from None
        if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, "NotJson", "Send JSON, with the header `Content-Type: application/json`")
        request._body = bytes(body)

    def _too_large(self) -> Problem:
        text = f"A body may have {self._most_bytes} bytes at most: send several smaller ones"
        return Problem(413, "BodyTooLarge", text, headers={"Connection": "close"})


def named(verb: str, resource: str, namespace: str, policy: str) -> Act:
    """Raises: Problem where no policy can have that name; Kubernetes is not asked about such ones."""
    if not (NAMESPACE.fullmatch(namespace) and POLICY.fullmatch(policy)):
        raise Problem(
            404, "NoSuchPolicy", "No SyncPolicy can have that name: /v1/namespaces/NAMESPACE/policies/POLICY/…"
        )
    return Act(verb, resource, namespace, policy)


def policy_of(text: str) -> tuple[str, str]:
    """Namespace and name, of the query `policy`. Raises: Problem."""
    namespace, slash, name = text.partition("/")
    if not slash:
        raise Problem(422, "Invalid", "Write ?policy=NAMESPACE/NAME")
    act = named("get", "syncpolicies", namespace, name)
    return act.namespace, act.policy
