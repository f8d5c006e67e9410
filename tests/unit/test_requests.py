"""What two annotations ask for."""

import pytest

from periodic_sync.api.names import REQUESTED_AT_ANNOTATION, SYNC_USERS_ANNOTATION
from periodic_sync.core.ledger import Scope
from periodic_sync.core.requests import Asked, read_request


@pytest.mark.parametrize(
    ("users", "token", "asked"),
    [
        pytest.param("all", "t1", Asked("t1", Scope.ALL), id="everyone"),
        pytest.param("active", "t1", Asked("t1", Scope.ACTIVE), id="everyone active"),
        pytest.param(" all ", " t1 ", Asked("t1", Scope.ALL), id="blanks around both"),
        pytest.param("u1", "t1", Asked("t1", Scope.NAMED, frozenset({"u1"})), id="one user"),
        pytest.param("u1, u2,,u1", "t1", Asked("t1", Scope.NAMED, frozenset({"u1", "u2"})), id="a list, odd commas"),
        pytest.param("all,u1", "t1", Asked("t1", Scope.NAMED, frozenset({"all", "u1"})), id="all in a list is an id"),
        pytest.param("all,", "t1", Asked("t1", Scope.NAMED, frozenset({"all"})), id="all with a comma is an id"),
        pytest.param("ALL", "t1", Asked("t1", Scope.NAMED, frozenset({"ALL"})), id="ALL is an id"),
        pytest.param("", "t1", None, id="a token without users"),
        pytest.param(" , ,", "t1", None, id="a token with nothing but commas"),
        pytest.param("all", "", None, id="users without a token"),
        pytest.param("all", "  ", None, id="users with a blank token"),
    ],
)
def test_annotations(users: str, token: str, asked: Asked | None) -> None:
    assert read_request({SYNC_USERS_ANNOTATION: users, REQUESTED_AT_ANNOTATION: token, "other": "x"}) == asked


@pytest.mark.parametrize("key", [SYNC_USERS_ANNOTATION, REQUESTED_AT_ANNOTATION])
def test_one_annotation_alone_asks_for_nothing(key: str) -> None:
    assert read_request({key: "all"}) is None
    assert read_request({}) is None
