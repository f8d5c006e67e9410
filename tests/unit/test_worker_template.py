"""Filling user data into URL and body: nothing a record holds can leave the place it was put in."""

import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.worker.batch import Batch, BatchError, User, parse_batch
from periodic_sync.worker.template import RenderError, body_for, render_body, render_url, values_for

BATCH = Batch(version=1, policy="portfolios", namespace="default", batch="b1", priority="high", users=())
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def user(id: str = "u1", wallet: str = "0xAB", tokens: tuple[Any, ...] = ("0xt",)) -> User:
    return User(id=id, wallet=wallet, tokens=tokens)


@pytest.mark.parametrize(
    ("template", "who", "url"),
    [
        ("http://s/users/{userId}/sync", user("u1"), "http://s/users/u1/sync"),
        ("http://s/{userId}", user("a@b:c"), "http://s/a%40b%3Ac"),
        ("http://s/{wallet}", user(wallet="x/../y?z#w"), "http://s/x%2F..%2Fy%3Fz%23w"),
        ("http://s/?w={wallet}&p={policy}", user(wallet="a&b=c"), "http://s/?w=a%26b%3Dc&p=portfolios"),
        ("http://s/{batch}/{priority}", user(), "http://s/b1/high"),
        ("http://s/{userId}", user("{wallet}"), "http://s/%7Bwallet%7D"),
        ("http://s/?u={userId}", user(".."), "http://s/?u=.."),
    ],
)
def test_values_are_percent_encoded_whole(template: str, who: User, url: str) -> None:
    assert render_url(template, values_for(BATCH, who)) == url


@pytest.mark.parametrize("who", [user(".."), user(".")])
def test_an_id_of_only_dots_is_refused_where_it_would_climb_the_path(who: User) -> None:
    with pytest.raises(RenderError, match="only dots"):
        render_url("http://s/users/{userId}/sync", values_for(BATCH, who))


@given(id=TEXT.filter(lambda text: text not in ("", ".", "..")))
def test_any_id_stays_one_segment_of_the_path(id: str) -> None:
    path = urlsplit(render_url("http://s/users/{userId}/sync", values_for(BATCH, user(id)))).path
    assert [unquote(part) for part in path.split("/")] == ["", "users", id, "sync"]


@pytest.mark.parametrize(
    ("method", "template", "body"),
    [
        ("POST", None, {"userId": "u1", "wallet": "0xAB", "priority": "high", "tokens": ["0xt"]}),
        ("PATCH", None, {"userId": "u1", "wallet": "0xAB", "priority": "high", "tokens": ["0xt"]}),
        ("POST", {"who": "{userId} of {policy}", "{userId}": 1}, {"who": "u1 of portfolios", "{userId}": 1}),
        ("POST", {"only": "{tokens}", "text": "all {tokens}"}, {"only": ["0xt"], "text": "all {tokens}"}),
        ("POST", [None, 1.5, True, {"deep": ["{wallet}"]}], [None, 1.5, True, {"deep": ["0xAB"]}]),
        ("GET", {"id": "{userId}"}, {"id": "u1"}),
    ],
)
def test_bodies(method: str, template: Any, body: Any) -> None:
    assert json.loads(body_for(method, template, BATCH, user()) or b"") == body


def test_a_get_has_no_body_unless_one_is_given() -> None:
    assert body_for("GET", None, BATCH, user()) is None


@given(id=TEXT.filter(bool), wallet=TEXT)
def test_whatever_a_record_holds_arrives_as_the_string_it_is(id: str, wallet: str) -> None:
    template = {"id": "{userId}", "both": ["{userId}|{wallet}"]}
    body = body_for("POST", template, BATCH, user(id, wallet))
    assert json.loads(body or b"") == {"id": id, "both": [f"{id}|{wallet}"]}


def test_the_template_itself_is_never_changed() -> None:
    template = {"a": ["{userId}", "{tokens}"]}
    render_body(template, values_for(BATCH, user()), ["x"])
    assert template == {"a": ["{userId}", "{tokens}"]}


def test_an_id_that_is_the_wallet_is_not_public() -> None:
    assert user("u1").public_id == "u1"
    assert user("0xab", "0xAB").public_id is None
    assert user("user-0xAB", "0xAB").public_id is None
    assert user("u1", "").public_id == "u1"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "content: Invalid JSON"),
        (b'{"version":2,"users":[]}', "version: Input should be 1"),
        (b'{"version":1}', "users: Field required"),
        (b'{"version":1,"users":[{"wallet":"0xsecret"}]}', "users.0.id: Field required"),
        (json.dumps({"version": 1, "users": [{"id": "u"}] * 1001}).encode(), "at most 1000 items"),
    ],
)
def test_a_batch_file_that_cannot_be_read_is_explained_without_quoting_it(content: bytes, sentence: str) -> None:
    with pytest.raises(BatchError) as caught:
        parse_batch(content)
    assert sentence in str(caught.value)
    assert "0xsecret" not in str(caught.value)
