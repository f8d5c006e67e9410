"""Errors as RFC 9457 problem details, that say what to do. None of them ever repeats what was sent."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from periodic_sync.api.errors import ApiError, NotFoundError, UnavailableError
from periodic_sync.api.policy import InvalidPolicyError
from periodic_sync.api.wallets import shown_id
from periodic_sync.client import InvalidUserError, StoreUnavailableError, UnknownUserError

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
"""After trouble that passes by itself."""

_LIKE_A_FIELD = re.compile(r"[A-Za-z_]{1,32}")

log = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818
    """An answer that is an error. code: one word that programs can rely on. detail: the cause, and what to do."""

    def __init__(self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, dict(headers or {})


def unavailable(code: str, detail: str, *, seconds: int = RETRY_SECONDS) -> Problem:
    """Try again later; it may have been carried out."""
    return Problem(503, code, detail, headers={"Retry-After": str(seconds)})


def no_such_policy(namespace: str, name: str) -> Problem:
    return Problem(
        404,
        "NoSuchPolicy",
        f"There is no SyncPolicy {shown_id(namespace)}/{shown_id(name)}: `kubectl get syncpolicy --all-namespaces` "
        "lists them",
    )


@contextmanager
def policy_problems(namespace: str, name: str) -> Iterator[None]:
    """Around reading a policy. Raises: Problem where there is none that can be worked with."""
    try:
        yield
    except NotFoundError:
        raise no_such_policy(namespace, name) from None
    except InvalidPolicyError as error:
        text = f"SyncPolicy {namespace}/{name} can't be worked with: correct it: {error}"
        raise Problem(409, "PolicyInvalid", text) from None


def answer(problem: Problem) -> JSONResponse:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
    }
    return JSONResponse(body, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """What an error of the layers below is to whoever called."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, UnknownUserError):
        return Problem(404, "UnknownUser", "This user is not registered: register it first with PUT")
    if isinstance(error, InvalidUserError):
        return Problem(422, "Invalid", f"{error}. Nothing was stored")
    if isinstance(error, StoreUnavailableError):
        return unavailable("StoreUnavailable", f"{error}. Calling again with the same does no harm")
    if isinstance(error, UnavailableError):
        return unavailable(
            "KubernetesUnavailable", "Kubernetes' API server gives no answer to rely on: call again later"
        )
    if isinstance(error, ApiError):
        return unavailable("KubernetesRefuses", f"Kubernetes' API server refuses what this server asks: {error}")
    if isinstance(error, RequestValidationError):
        return Problem(
            422, "Invalid", f"{_complaints(error.errors())}. Nothing was stored; /docs tells what is expected"
        )
    if isinstance(error, HTTPException):
        return _of_http(error)
    return Problem(500, "Internal", "This is a defect of the server, which its log tells more about: please report it")


def is_defect(error: Exception) -> bool:
    """Whether it is nothing that anybody foresaw."""
    return problem_of(error).code == "Internal"


def _of_http(error: HTTPException) -> Problem:
    advice = {
        400: "The request can't be read: send JSON in UTF-8",
        404: "There is no such address: /docs lists what there is",
        405: "This address knows other methods only: /docs lists them",
    }
    detail = advice.get(error.status_code, str(error.detail))
    code = HTTPStatus(error.status_code).phrase.title().replace(" ", "")
    return Problem(error.status_code, code, detail, headers=error.headers)


def _complaints(errors: Any) -> str:
    """Where and what, without the values: one of them may be a wallet. So may the name of a field be."""
    return "; ".join(f"{'.'.join(map(_place, each['loc']))}: {each['msg']}" for each in errors[:5])


def _place(part: int | str) -> str:
    return str(part) if isinstance(part, int) or _LIKE_A_FIELD.fullmatch(part) else "(a name that is no field's)"


def add_handlers(app: FastAPI) -> None:
    """Every error that leaves a route becomes a problem."""
    kinds = (Problem, UnknownUserError, InvalidUserError, StoreUnavailableError, ApiError)
    for kind in (*kinds, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> JSONResponse:
    return reply_to(error)


def reply_to(error: Exception) -> JSONResponse:
    """The answer to whoever called; what is no fault of theirs is logged."""
    problem = problem_of(error)
    if problem.status >= 500:
        log.warning("request failed", extra={"code": problem.code, "why": problem.detail})
    return answer(problem)
