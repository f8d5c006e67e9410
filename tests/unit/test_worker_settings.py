"""The worker's settings: what is accepted, and that a mistake is answered with a sentence that quotes no secret."""

import json

import pytest

from periodic_sync.worker.settings import SettingsError, read_settings

URL = "http://sync.default.svc/users/{userId}/sync"


def environment(http: dict[str, object], **others: str) -> dict[str, str]:
    return {"SYNC_HTTP": json.dumps({"url": URL, **http}), **others}


def test_a_url_alone_gets_the_defaults_of_the_custom_resource() -> None:
    settings = read_settings(environment({}))
    http = settings.http
    assert (http.method, http.timeout, http.attempts, http.concurrency) == ("POST", 30.0, 3, 4)
    assert (http.requests_per_second, http.body, http.headers) == (None, None, ())
    assert (settings.bearer_token, settings.deadline) == (None, None)


def test_every_field_of_the_custom_resource_is_read() -> None:
    settings = read_settings(
        environment(
            {
                "method": "PUT",
                "body": {"id": "{userId}"},
                "headers": [{"name": "X-Team", "value": "wallets"}],
                "bearerTokenSecretRef": {"name": "sync", "key": "token"},
                "timeout": "1m500ms",
                "attempts": 5,
                "concurrency": 8,
                "requestsPerSecond": 20,
            },
            SYNC_HTTP_BEARER_TOKEN="s3cret\n",
            SYNC_DEADLINE_SECONDS="600",
        )
    )
    http = settings.http
    assert (http.method, http.timeout, http.attempts, http.concurrency) == ("PUT", 60.5, 5, 8)
    assert (http.requests_per_second, http.body, http.headers[0].name) == (20.0, {"id": "{userId}"}, "X-Team")
    assert (settings.bearer_token, settings.deadline) == ("s3cret", 600.0)
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("body", "template"),
    [
        ('{"user": "{userId}"}', {"user": "{userId}"}),
        ({"user": "{userId}"}, {"user": "{userId}"}),
        (["{tokens}"], ["{tokens}"]),
        ('"{userId}"', "{userId}"),
        (json.dumps('{"user": "{userId}"}'), {"user": "{userId}"}),
        (json.dumps('"{userId}"'), "{userId}"),
        ("", None),
        ('""', None),
        (None, None),
    ],
    ids=[
        "JSON text",
        "an object",
        "a list",
        "JSON text of a string",
        "JSON text, wrapped once more",
        "JSON text of a string, wrapped once more",
        "empty text is none",
        "empty text wrapped is none",
        "null is none",
    ],
)
def test_a_body_template_comes_as_json_or_as_its_text(body: object, template: object) -> None:
    assert read_settings(environment({"body": body})).http.body == template


def test_fields_of_a_newer_operator_are_ignored() -> None:
    assert read_settings(environment({"somethingNew": True})).http.url == URL


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "SYNC_HTTP is not set"),
        ({"SYNC_HTTP": "{"}, "SYNC_HTTP is not JSON"),
        ({"SYNC_HTTP": "{}"}, "url: Field required"),
        (environment({"url": "ftp://sync/x"}), "url: must be an http:// or https:// address"),
        (environment({"url": "http:///x"}), "url: must be an http:// or https:// address"),
        (environment({"url": "http://sync/{userID}"}), "url: has {userID}, which is not filled in: known are {userId}"),
        (environment({"url": "http://sync/{userId"}), "url: has {userId, which is not filled in"),
        (environment({"url": "http://{userId}.svc/"}), "url: has a placeholder in its host"),
        (environment({"url": "http://me:pw@sync/"}), "url: holds credentials"),
        (environment({"url": "http://sync/a b"}), "url: holds spaces or non-ASCII characters"),
        (environment({"url": "http://sync:99999/"}), "url: Port out of range"),
        (environment({"method": "post"}), "method: must be an HTTP method in capitals"),
        (environment({"timeout": "30"}), "timeout: '30' is not a duration"),
        (environment({"timeout": "0s"}), "timeout: must be longer than 0s"),
        (environment({"timeout": 30}), "timeout: write a duration as a string"),
        (environment({"attempts": 11}), "attempts: Input should be less than or equal to 10"),
        (environment({"concurrency": 0}), "concurrency: Input should be greater than or equal to 1"),
        (environment({"requestsPerSecond": 0}), "requestsPerSecond: Input should be greater than 0"),
        (environment({"body": "{userId}"}), "body: is not JSON"),
        (environment({"headers": [{"name": "A B"}]}), "headers.0.name: is no HTTP header name"),
        (environment({"headers": [{"name": "A", "value": "x\r\nB: y"}]}), "headers.0.value: must be a single line"),
        (environment({"bearerTokenSecretRef": {"name": "sync", "key": "token"}}), "key 'token' of Secret 'sync'"),
        (environment({}, SYNC_HTTP_BEARER_TOKEN="two words"), "SYNC_HTTP_BEARER_TOKEN holds spaces"),
        (environment({}, SYNC_DEADLINE_SECONDS="10m"), "SYNC_DEADLINE_SECONDS is '10m'"),
        (environment({}, SYNC_DEADLINE_SECONDS="nan"), "SYNC_DEADLINE_SECONDS is 'nan'"),
        (environment({}, SYNC_DEADLINE_SECONDS="0"), "SYNC_DEADLINE_SECONDS is '0'"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(variables)
    assert sentence in str(caught.value)


def test_a_mistake_never_quotes_header_values_or_the_token() -> None:
    variables = environment(
        {"headers": [{"name": "X-Key", "value": "hush\n"}], "attempts": "hush"}, SYNC_HTTP_BEARER_TOKEN="hush hush"
    )
    with pytest.raises(SettingsError) as caught:
        read_settings(variables)
    assert "hush" not in str(caught.value)
