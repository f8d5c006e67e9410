"""The CRD as people meet it: `kubectl apply`, `get`, `explain`, `wait` and `patch` against a real API server."""

from pathlib import Path
from typing import Any

import pytest

from bad_specs import BAD_SPECS, TYPOS, Bad
from cluster_support import Kubectl, KubectlError, eventually
from policy_support import (
    DEFAULTS,
    EVERY_FIELD,
    GOOD_CHANGES,
    MINIMAL_SPEC,
    Spec,
    largest_spec,
    merged,
    policy_body,
    spec_with,
)

pytestmark = pytest.mark.usefixtures("crd")

CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Scheduling",
    "message": "Users are synced",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-11-24T09:00:00Z",
}
FULL_STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "conditions": [CONDITION],
    "enabled": True,
    "running": True,
    "isMarketHours": True,
    "store": "ConfigMap/user-activity",
    "totalUsers": 1250,
    "activeUsers": 340,
    "staleUsers": 5,
    "dueUsers": 12,
    "inFlightUsers": 20,
    "skippedEntries": 0,
    "activeJobs": 2,
    "lastScheduleTime": "2026-11-24T09:00:00Z",
    "lastSyncTime": "2026-11-24T09:00:00Z",
    "nextScheduledSync": "2099-11-24T09:05:00Z",
    "lastHandledRequest": "release 42",
    "lastCompletedRequest": "release 41",
    "usersSynced": 100_000,
    "usersFailed": 3,
}

MANIFEST_WITH_EMPTY_FIELDS = """
apiVersion: sync.moonx.farm/v1alpha1
kind: SyncPolicy
metadata: {name: portfolios}
spec:
  enabled:
  intervals: {marketHours: 5m, offHours: 15m, userMinimum: 1m}
  marketHours:
    start: 09:00
    end: 17:00
    timeZone:
  store:
    configMap: {name: user-activity}
    redis:
  jobs:
    usersPerMinute:
    labels:
  worker:
    http:
      url: http://sync.default.svc/users/{userId}/sync
      requestsPerSecond:
    env:
"""


@pytest.fixture
def trial(api_server: Path) -> Kubectl:
    """kubectl for tests that only try and write nothing, which need no namespace of their own."""
    return Kubectl(api_server)


def refusal(kubectl: Kubectl, body: dict[str, Any], *options: str) -> str:
    with pytest.raises(KubectlError) as refused:
        kubectl.apply(body, "--dry-run=server", *options)
    return str(refused.value)


def policy(kubectl: Kubectl, spec: Spec = MINIMAL_SPEC, name: str = "portfolios") -> dict[str, Any]:
    return policy_body(spec, name=name, namespace=kubectl.namespace)


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.case) for bad in BAD_SPECS])
def test_a_bad_spec_is_refused_with_a_sentence_that_helps(trial: Kubectl, bad: Bad) -> None:
    message = refusal(trial, policy(trial, spec_with(bad.change)))
    for words in bad.words:
        assert words.lower() in message.lower()


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.case) for bad in TYPOS])
def test_a_misspelt_field_is_refused_by_its_path(trial: Kubectl, bad: Bad) -> None:
    message = refusal(trial, policy(trial, spec_with(bad.change)))
    for words in bad.words:
        assert words in message


def test_several_mistakes_are_told_together(trial: Kubectl) -> None:
    change = {"intervals": {"marketHours": "0s"}, "marketHours": {"start": "9:00"}, "store": {"redis": {}}}
    message = refusal(trial, policy(trial, spec_with({**change, "store": {"configMap": {"name": "A"}}})))
    assert "spec.intervals.marketHours" in message
    assert "spec.marketHours.start" in message
    assert "spec.store.configMap.name" in message
    assert "no such key" not in message
    assert "evaluating" not in message


@pytest.mark.parametrize("name", ["p" * 41, "my.policy"])
def test_a_name_from_which_no_job_names_can_be_made_is_refused(trial: Kubectl, name: str) -> None:
    assert "metadata.name must be at most 40 characters" in refusal(trial, policy(trial, name=name))


@pytest.mark.parametrize("name", ["p" * 40, "p", "a-1"])
def test_a_name_of_up_to_40_characters_is_taken(trial: Kubectl, name: str) -> None:
    trial.apply(policy(trial, name=name), "--dry-run=server")


def test_a_policy_without_a_spec_is_refused(trial: Kubectl) -> None:
    body = policy(trial)
    del body["spec"]
    assert "spec: Required value" in refusal(trial, body)


def test_the_defaults_are_those_of_the_design(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl))
    assert kubectl.get("syncpolicy", "portfolios")["spec"] == merged(DEFAULTS, MINIMAL_SPEC)


def test_defaults_fill_sections_that_are_given_in_part(kubectl: Kubectl) -> None:
    change = {"intervals": {"offHours": "20m"}, "jobs": {"history": {"failed": 1}}, "marketHours": {"days": ["Mon"]}}
    kubectl.apply(policy(kubectl, spec_with(change)))
    assert kubectl.get("syncpolicy", "portfolios")["spec"] == merged(merged(DEFAULTS, MINIMAL_SPEC), change)


def test_every_field_is_kept_as_it_was_written(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl, EVERY_FIELD))
    assert kubectl.get("syncpolicy", "portfolios")["spec"] == EVERY_FIELD


@pytest.mark.parametrize("change", [pytest.param(change, id=case) for case, change in GOOD_CHANGES.items()])
def test_a_good_spec_is_taken_and_kept(kubectl: Kubectl, change: Spec) -> None:
    kubectl.apply(policy(kubectl, spec_with(change)))
    assert kubectl.get("syncpolicy", "portfolios")["spec"] == merged(merged(DEFAULTS, MINIMAL_SPEC), change) | (
        {"worker": _worker_defaults(change)} if change.get("worker", {}).get("http", {}) is None else {}
    )


def _worker_defaults(change: Spec) -> Spec:
    defaults = {key: value for key, value in DEFAULTS["worker"].items() if key != "http"}
    return merged(defaults, change["worker"])


def test_a_policy_at_every_bound_is_within_what_the_api_server_spends_on_rules(trial: Kubectl) -> None:
    trial("create", "--dry-run=server", "-f", "-", stdin=policy_body(largest_spec(), name="p" * 40))


@pytest.mark.parametrize("verb", [["create"], ["apply"]])
def test_empty_fields_in_a_manifest_count_as_absent(kubectl: Kubectl, verb: list[str]) -> None:
    kubectl(*verb, "-f", "-", stdin=MANIFEST_WITH_EMPTY_FIELDS)
    assert kubectl.get("syncpolicy", "portfolios")["spec"] == merged(DEFAULTS, MINIMAL_SPEC)


def test_the_columns_are_those_of_the_design(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl))
    narrow = ["NAME", "ENABLED", "READY", "MARKET", "TOTAL", "ACTIVE", "JOBS", "LAST", "NEXT", "AGE"]
    assert kubectl("get", "syncpolicy").splitlines()[0].split() == narrow
    wide = [*narrow, "STALE", "DUE", "FAILED", "STORE", "REASON"]
    assert kubectl("get", "syncpolicy", "-o", "wide").splitlines()[0].split() == wide


def test_the_columns_show_the_status(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl))
    report(kubectl, FULL_STATUS)
    name, enabled, ready, market, total, active, jobs, _last, next_sync, _age, *wide = kubectl(
        "get", "syncp", "-o", "wide", "--no-headers"
    ).split()
    assert (name, enabled, ready, market) == ("portfolios", "true", "True", "true")
    assert (total, active, jobs, next_sync) == ("1250", "340", "2", "2099-11-24T09:05:00Z")
    assert wide == ["5", "12", "3", "ConfigMap/user-activity", "Scheduling"]


def test_the_short_name_and_the_category_find_policies(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl))
    for words in ("syncp", "sync", "syncpolicies", "syncpolicy/portfolios"):
        assert "portfolios" in kubectl("get", words, "-o", "name")


def test_status_takes_what_is_designed_and_nothing_is_added_to_it(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl))
    assert "status" not in kubectl.get("syncpolicy", "portfolios")
    report(kubectl, FULL_STATUS)
    assert kubectl.get("syncpolicy", "portfolios")["status"] == FULL_STATUS


def test_an_apply_leaves_the_status_alone(kubectl: Kubectl) -> None:
    kubectl.apply({**policy(kubectl), "status": {"totalUsers": 7}})
    assert "status" not in kubectl.get("syncpolicy", "portfolios")


def test_kubectl_wait_sees_the_ready_condition(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl))
    with pytest.raises(KubectlError, match="timed out"):
        kubectl("wait", "--for=condition=Ready", "syncpolicy/portfolios", "--timeout=100ms")
    report(kubectl, FULL_STATUS)
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "syncpolicy/portfolios", "--timeout=10s")


def test_one_patch_rolls_back(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl))
    kubectl("patch", "syncpolicy", "portfolios", "--type=merge", "-p", '{"spec":{"enabled":false}}')
    changed = kubectl.get("syncpolicy", "portfolios")
    assert changed["spec"]["enabled"] is False
    assert changed["metadata"]["generation"] == 2


def test_a_bad_patch_is_refused_with_the_same_sentence(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl))
    with pytest.raises(KubectlError, match="write a duration of at least 1s"):
        kubectl("patch", "syncp", "portfolios", "--type=merge", "-p", '{"spec":{"intervals":{"marketHours":"0s"}}}')


def test_two_teams_share_env_by_name_and_days_as_a_set(kubectl: Kubectl) -> None:
    first = spec_with({"worker": {"env": [{"name": "A", "value": "1"}]}, "marketHours": {"days": ["Mon"]}})
    second = {"worker": {"env": [{"name": "B", "value": "2"}]}, "marketHours": {"days": ["Tue"]}}
    kubectl.apply(policy(kubectl, first), "--server-side", "--field-manager=one")
    kubectl.apply(policy(kubectl, second), "--server-side", "--field-manager=two")
    spec = kubectl.get("syncpolicy", "portfolios")["spec"]
    assert spec["worker"]["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert spec["marketHours"]["days"] == ["Mon", "Tue"]


def test_conditions_of_two_writers_stand_side_by_side(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl))
    for kind in ("Ready", "StoreReady"):
        body = policy(kubectl, {})
        del body["spec"]
        body["status"] = {"conditions": [{**CONDITION, "type": kind}]}
        kubectl.apply(body, "--server-side", "--subresource=status", f"--field-manager={kind}")
    conditions = kubectl.get("syncpolicy", "portfolios")["status"]["conditions"]
    assert [condition["type"] for condition in conditions] == ["Ready", "StoreReady"]


def test_a_deletion_returns_at_once_and_leaves_nothing(kubectl: Kubectl) -> None:
    kubectl.apply(policy(kubectl))
    kubectl("delete", "syncpolicy", "portfolios", "--timeout=5s")
    assert kubectl.get("syncpolicies")["items"] == []


def test_explain_is_the_reference(kubectl: Kubectl) -> None:
    def explained(path: str, *options: str) -> str:
        text = kubectl("explain", path, *options)
        # The API server publishes the schema a moment after it serves the resource.
        assert "<no description>" not in text
        assert "<empty>" not in text
        return text

    fields = eventually(lambda: explained("syncpolicy.spec", "--recursive"))
    for name in ("marketHours", "userMinimum", "urlSecretRef", "bearerTokenSecretRef", "resourceFieldRef", "succeeded"):
        assert name in fields
    assert "Default: 5m." in explained("syncpolicy.spec.intervals.marketHours")
    assert "From 1 to 1000. Default: 10." in explained("syncpolicy.spec.batchSize")
    for path in ("syncpolicy", "syncpolicy.spec", "syncpolicy.spec.worker.http", "syncpolicy.status.conditions"):
        explained(path)


def report(kubectl: Kubectl, status: dict[str, Any]) -> None:
    """Write the status as the operator does."""
    kubectl.apply(
        {key: value for key, value in policy(kubectl).items() if key != "spec"} | {"status": status},
        "--server-side",
        "--subresource=status",
    )
