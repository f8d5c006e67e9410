"""What is taken out of a bundle, by tables."""

import json
from typing import Any

import pytest

from periodic_sync.cli.report import redaction as redact
from periodic_sync.cli.report.collecting import log_line, state_figures
from periodic_sync.cli.report.redaction import Redaction
from periodic_sync.core.users import UserState
from periodic_sync.stores.state_format import encode

ADA = "ada@example.com"


@pytest.fixture
def redaction() -> Redaction:
    return Redaction(b"salt", users={ADA, "u1", "10"}, wallets={"stars1qqq", "a b"})


@pytest.mark.parametrize(
    "text",
    [
        "0xdeadbeef00112233",
        "wallet 0XDEADBEEF00112233.",
        "redis://:hunter2@redis:6379/0",
        "rediss://me:hunter2@redis",
        "Authorization: Bearer hunter2",
        "authorization=basic hunter2",
        'password="hunter2"',
        "REDIS_PASSWORD=hunter2",
        "api-key: hunter2",
        "?token=hunter2&x=1",
        "eyJhbGciOi.hunter2.hunter2",
        "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    ],
)
def test_wallets_and_credentials_are_taken_out_of_texts(redaction: Redaction, text: str) -> None:
    shown = redaction.text(text)
    for secret in ("hunter2", "deadbeef", "DEADBEEF", "4Nd1mBQ", "bc1qar0"):
        assert secret not in shown
    assert "[redacted]" in shown or "(wallet)" in shown


def test_known_wallets_are_found_however_they_are_written(redaction: Redaction) -> None:
    files = redaction.files({"a": "stars1qqq said STARS1QQQ", "b": "https://rpc/a%20b"})
    assert files == {"a": "(wallet) said (wallet)", "b": "https://rpc/(wallet)"}


@pytest.mark.parametrize(
    "text",
    [
        "Job portfolios-3f9a1c-lz4k2m9p was refused: exceeded quota: small",
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "2026-01-31T09:30:00.000000Z",
        "0b5c1f0e-1a2b-4c3d-8e9f-001122334455",
        "http://sync.default.svc/users/{userId}/sync",
        "Secret redis has no key url",
    ],
)
def test_what_helps_stays(redaction: Redaction, text: str) -> None:
    assert redaction.text(text) == text


def test_users_are_hashed_the_same_everywhere_and_not_as_parts_of_words(redaction: Redaction) -> None:
    ada, one = redaction.user(ADA), redaction.user("u1")
    assert redaction.text(f"{ADA}: rpc; u1, u11 and xu1; (u1)") == f"{ada}: rpc; {one}, u11 and xu1; ({one})"
    assert redaction.user(ADA) != Redaction(b"pepper").user(ADA)
    assert Redaction(b"salt", with_user_ids=True, users={ADA}).text(ADA) == ADA


def test_numbers_of_a_structure_stay_when_a_user_is_called_so(redaction: Redaction) -> None:
    assert redaction.value({"replicas": 10, "message": "10"}) == {"replicas": 10, "message": redaction.user("10")}


def test_users_in_a_log_are_hashed_whether_they_are_known_or_not(redaction: Redaction) -> None:
    line = json.dumps({"message": "user not synced", "user": "unknown-to-all", "reason": "0xdeadbeef00112233", "n": 1})
    assert json.loads(log_line(line, redaction)) == {
        "message": "user not synced",
        "user": redaction.user("unknown-to-all"),
        "reason": "(wallet)",
        "n": 1,
    }
    assert log_line("plain u1", redaction) == f"plain {redaction.user('u1')}"


def test_phrases_that_name_users_are_cut(redaction: Redaction) -> None:
    text = "3 entries are skipped: user-activity/u7: no wallet"
    redaction.phrases[text] = redact.cut(text)
    assert redaction.text(f"StoreReady=True: {text}") == (
        "StoreReady=True: 3 entries are skipped: [what follows names users]"
    )
    assert redact.cut("names 2 users that are unknown, such as u1") == (
        "names 2 users that are unknown,: [what follows names users]"
    )
    assert redact.cut("Users are read") == "Users are read"


def test_a_pod_s_last_words_are_counted(redaction: Redaction) -> None:
    ended = {"exitCode": 3, "message": "canary-message"}
    body: dict[str, Any] = {
        "metadata": {"name": "p", "annotations": {"a": "canary"}, "managedFields": [1]},
        "spec": {"nodeName": "n", "containers": [{"env": [{"name": "A", "value": "canary"}]}]},
        "status": {"containerStatuses": [{"name": "worker", "state": {"terminated": ended}}]},
    }
    shown = redact.pod(body, redaction)
    assert shown["status"]["containerStatuses"][0]["state"] == {
        "terminated": {"exitCode": 3, "message": "[14 characters]"}
    }
    assert "canary" not in json.dumps(shown)


def test_a_job_keeps_its_shape(redaction: Redaction) -> None:
    container = {
        "name": "worker",
        "image": "r.io/w:1",
        "command": ["run", "canary"],
        "args": ["canary"],
        "env": [
            {"name": "A", "value": "canary"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ],
    }
    spec = {"completions": 2, "template": {"metadata": {}, "spec": {"containers": [container]}}}
    shown = redact.job({"metadata": {"name": "j"}, "spec": spec}, redaction)
    assert "canary" not in json.dumps(shown)
    assert shown["spec"]["completions"] == 2
    (kept,) = shown["spec"]["template"]["spec"]["containers"]
    assert (kept["image"], kept["env"][1]) == ("r.io/w:1", container["env"][1])


def test_states_are_counted_and_nobody_is_named() -> None:
    states = {"u1": UserState(last_claim=5), "u2": UserState(last_claim=6, failures=2, returns=1)}
    maps = [{"data": {"users": encode(states)}}, {"data": {"users": "no state"}}]
    assert state_figures(maps) == {
        "configMaps": 2, "users": 2, "failing": 1, "unexplained": 0, "returned": 1, "unreadable": 1,
    }  # fmt: skip
