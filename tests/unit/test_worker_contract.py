"""The two sides of the worker's contract, which share no code: what one writes, the other reads."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.batch_files import BatchUser
from periodic_sync.core.results import read_message
from periodic_sync.core.worker_pods import pod_spec
from periodic_sync.worker.results import Failure, termination_message
from periodic_sync.worker.settings import Settings, read_settings

URL = "http://sync.default.svc/users/{userId}/sync"
EXAMPLES = Path(__file__).parents[2] / "examples"


def through_the_pod(**http: Any) -> Settings:
    """The worker's settings, from the environment that the operator gives its container."""
    store = {"configMap": {"name": "users"}}
    spec = SyncPolicySpec.model_validate({"store": store, "worker": {"http": {"url": URL, **http}}})
    pod = pod_spec(spec.worker, {}, batch_file="b", deadline_seconds=600, worker_image="worker")
    return read_settings(
        {each["name"]: each.get("value", "token-of-the-secret") for each in pod["containers"][0]["env"]}
    )


def test_the_settings_of_a_policy_reach_the_worker() -> None:
    settings = through_the_pod(
        method="PUT",
        headers=[{"name": "X-Cost", "value": "$(HOME)"}],
        bearerTokenSecretRef={"name": "sync", "key": "token"},
        timeout="1m1s500ms",
        attempts=7,
        concurrency=9,
        requestsPerSecond=11,
    )
    http = settings.http
    assert (http.url, http.method, http.timeout, http.attempts) == (URL, "PUT", 61.5, 7)
    assert (http.concurrency, http.requests_per_second, http.headers[0].value) == (9, 11, "$(HOME)")
    assert (settings.bearer_token, settings.deadline) == ("token-of-the-secret", 600)


def test_the_defaults_of_both_sides_are_the_same() -> None:
    assert through_the_pod().http == read_settings({"SYNC_HTTP": f'{{"url":"{URL}"}}'}).http


@pytest.mark.parametrize(
    ("body", "template"),
    [
        (None, None),
        ({"user": "{userId}", "only": "{tokens}"}, {"user": "{userId}", "only": "{tokens}"}),
        ('{"user": "{userId}"}', {"user": "{userId}"}),
        (["{userId}", 1, None], ["{userId}", 1, None]),
        ('"{userId}"', "{userId}"),
    ],
)
def test_a_body_template_reaches_the_worker_as_yaml_and_as_json_text(body: object, template: object) -> None:
    assert through_the_pod(body=body).http.body == template


@given(failed=st.sets(st.integers(0, 999), min_size=1), length=st.integers(4, 128))
def test_the_operator_reads_from_the_message_exactly_who_failed(failed: set[int], length: int) -> None:
    ids = [f"{position:04d}".rjust(length, "u") for position in range(1000)]
    message = termination_message({position: Failure(ids[position], "HTTP 500") for position in failed})
    read = read_message(message, [BatchUser(id, "0x1") for id in ids])
    assert set(read) == {ids[position] for position in failed}
    assert read[ids[min(failed)]] == "HTTP 500"


def test_the_policy_of_the_shell_worker_is_valid() -> None:
    policy = yaml.safe_load((EXAMPLES / "shell-worker" / "syncpolicy.yaml").read_text())
    assert SyncPolicySpec.model_validate(policy["spec"]).worker.image
