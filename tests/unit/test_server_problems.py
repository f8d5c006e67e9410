"""Errors as answers: what they are, what they say to do, and what they never repeat."""

import json

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from periodic_sync.api.errors import ForbiddenError, UnavailableError
from periodic_sync.client import InvalidUserError, StoreUnavailableError, UnknownUserError
from periodic_sync.server.problems import Problem, answer, no_such_policy, problem_of

CASES = [
    (UnknownUserError("ada"), 404, "UnknownUser"),
    (InvalidUserError("interval is negative"), 422, "Invalid"),
    (StoreUnavailableError("Redis gives no answer"), 503, "StoreUnavailable"),
    (UnavailableError("no answer"), 503, "KubernetesUnavailable"),
    (ForbiddenError("configmaps is forbidden"), 503, "KubernetesRefuses"),
    (HTTPException(404), 404, "NotFound"),
    (HTTPException(405, headers={"Allow": "GET"}), 405, "MethodNotAllowed"),
    (RuntimeError("0xwallet"), 500, "Internal"),
    (Problem(429, "TooManyRequests", "Wait"), 429, "TooManyRequests"),
]


@pytest.mark.parametrize(("error", "status", "code"), CASES)
def test_every_error_becomes_a_problem_with_what_to_do(error: Exception, status: int, code: str) -> None:
    told = answer(problem_of(error))
    body = json.loads(bytes(told.body))
    assert (told.status_code, body["status"], body["code"]) == (status, status, code)
    assert told.media_type == "application/problem+json"
    assert body.keys() == {"type", "title", "status", "code", "detail"}
    assert body["detail"]
    assert "0xwallet" not in body["detail"]


@pytest.mark.parametrize("error", [case[0] for case in CASES if case[1] == 503])
def test_whatever_passes_by_says_when_to_try_again(error: Exception) -> None:
    assert problem_of(error).headers["Retry-After"] == "5"


def test_a_bad_body_is_told_by_its_fields_and_not_repeated() -> None:
    error = RequestValidationError(
        [{"loc": ("body", "wallet"), "msg": "String should have at most 256 characters", "input": "0xCANARY"}]
    )
    problem = problem_of(error)
    assert problem.detail.startswith("body.wallet: String should have at most 256 characters")
    assert "CANARY" not in problem.detail


def test_headers_that_belong_to_an_error_are_kept() -> None:
    assert problem_of(HTTPException(405, headers={"Allow": "GET"})).headers == {"Allow": "GET"}


@pytest.mark.parametrize("name", ["0x52908400098527886E0F7030069857D2E4169EE7", 'wäl "let"', "wal-let"])
def test_a_wallet_in_the_place_of_a_fields_name_is_not_repeated(name: str) -> None:
    error = RequestValidationError([{"loc": ("body", "users", 3, name), "msg": "Extra inputs are not permitted"}])
    assert problem_of(error).detail.startswith("body.users.3.(a name that is no field's): Extra inputs")


def test_a_misspelt_field_is_named() -> None:
    error = RequestValidationError([{"loc": ("body", "intervall"), "msg": "Extra inputs are not permitted"}])
    assert problem_of(error).detail.startswith("body.intervall: Extra inputs")


def test_a_wallet_in_the_place_of_a_policy_is_not_repeated() -> None:
    assert "0x52" not in no_such_policy("shop", "0x52908400098527886e0f7030069857d2e4169ee7").detail
