"""The models of a SyncPolicy read what the API server sends, and say what is wrong with what slipped past it."""

import zoneinfo
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import ValidationError

from bad_specs import BAD_SPECS, Bad
from periodic_sync.api.durations import HOUR, MINUTE, SECOND
from periodic_sync.api.policy import InvalidPolicyError, SyncPolicy
from periodic_sync.api.spec import History, Intervals, Jobs, MarketHours, SyncPolicySpec, Thresholds
from periodic_sync.api.status import Condition, SyncPolicyStatus
from policy_support import EVERY_FIELD, GOOD_CHANGES, IMAGE_WORKER, MINIMAL_SPEC, Spec, policy_body, spec_with


def body(spec: Spec, **metadata: Any) -> Spec:
    """A policy as it comes back from the API server."""
    made = policy_body(spec)
    made["metadata"] |= {"uid": "5a1c", "generation": 3, **metadata}
    return made


def parsed(change: Spec) -> SyncPolicySpec:
    return SyncPolicy.parse(body(spec_with(change))).spec


def nested(levels: int) -> list[Any]:
    template: list[Any] = []
    for _ in range(levels):
        template = [template]
    return template


def test_a_policy_carries_what_identifies_it() -> None:
    policy = SyncPolicy.parse(body(MINIMAL_SPEC, annotations={"a": "b"}))
    assert (policy.namespace, policy.name, policy.uid, policy.generation) == ("default", "portfolios", "5a1c", 3)
    assert policy.annotations == {"a": "b"}
    assert policy.spec.store.config_map is not None
    assert policy.spec.store.config_map.name == "user-activity"


def test_the_minimal_spec_gets_the_defaults_of_the_design() -> None:
    spec = parsed({})
    assert spec.enabled is True
    assert spec.intervals == Intervals(market_hours=5 * MINUTE, off_hours=15 * MINUTE, user_minimum=MINUTE)
    assert spec.market_hours == MarketHours(start="09:00", end="17:00", time_zone="Etc/UTC")
    assert spec.market_hours.days == ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    assert spec.thresholds == Thresholds(active=24 * HOUR, stale=HOUR)
    assert spec.batch_size == 10
    assert spec.jobs == Jobs(max_concurrent_batches=10, batches_per_job=1, deadline=10 * MINUTE)
    assert spec.jobs.users_per_minute is None
    assert spec.jobs.history == History(succeeded=3, failed=5)
    assert (spec.jobs.labels, spec.jobs.annotations) == ({}, {})
    assert spec.worker.http is not None
    assert (spec.worker.http.method, spec.worker.http.timeout) == ("POST", 30 * SECOND)
    assert (spec.worker.http.attempts, spec.worker.http.concurrency) == (3, 4)
    assert (spec.worker.http.requests_per_second, spec.worker.http.body, spec.worker.http.headers) == (None, None, ())
    assert (spec.worker.image, spec.worker.image_pull_policy) == ("", "IfNotPresent")
    assert (spec.worker.command, spec.worker.args, spec.worker.env, spec.worker.env_from) == ((), (), (), ())
    assert (spec.worker.resources, spec.worker.pod_template.name) == ({}, "")


def test_every_field_reads_and_writes_back_as_the_same() -> None:
    spec = SyncPolicySpec.model_validate(EVERY_FIELD)
    assert spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True) == EVERY_FIELD
    assert SyncPolicySpec.model_validate(spec.model_dump(mode="json", by_alias=True)) == spec


@pytest.mark.parametrize("change", [pytest.param(change, id=case) for case, change in GOOD_CHANGES.items()])
def test_a_good_spec_reads_and_writes_back_as_the_same(change: Spec) -> None:
    spec = parsed(change)
    assert SyncPolicySpec.model_validate(spec.model_dump(mode="json", by_alias=True)) == spec


def test_what_a_container_takes_stays_as_it_was_written() -> None:
    spec = parsed({"worker": EVERY_FIELD["worker"]})
    for ours, theirs in ((list(spec.worker.env), "env"), (list(spec.worker.env_from), "envFrom")):
        assert ours == EVERY_FIELD["worker"][theirs]
    assert spec.worker.resources == EVERY_FIELD["worker"]["resources"]


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.case) for bad in BAD_SPECS if bad.by_operator])
def test_what_the_operator_could_not_work_with_is_refused_with_a_sentence(bad: Bad) -> None:
    with pytest.raises(InvalidPolicyError) as refused:
        parsed(bad.change)
    assert str(refused.value).startswith("spec.")
    assert "Value error" not in str(refused.value)
    assert "pydantic" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"store": None}, "spec.store is required"),
        ({"store": {"configMap": {"name": None}}}, "spec.store.configMap.name is required"),
        ({"batchSize": 0}, "spec.batchSize: input should be greater than or equal to 1"),
        (
            {"worker": {"env": [{"name": "A"}, {"name": "B=C"}]}},
            "spec.worker.env[1].name: write the name of an environment variable: "
            "no spaces and no '=', such as LOG_LEVEL",
        ),
        (
            {"intervals": {"marketHours": "0s"}, "batchSize": 1001},
            "spec.intervals.marketHours: write a duration of at least 1s, with its unit (h, m, s or ms), such as 5m, "
            "90s or 1h30m; spec.batchSize: input should be less than or equal to 1000",
        ),
    ],
)
def test_the_sentence_names_the_fields(change: Spec, sentence: str) -> None:
    with pytest.raises(InvalidPolicyError) as refused:
        parsed(change)
    assert str(refused.value) == sentence


def test_a_body_that_is_a_string_but_no_json_is_told_since_the_api_server_cannot_look_into_it() -> None:
    with pytest.raises(
        InvalidPolicyError, match=r"spec.worker.http.body: write a JSON template.*this string is not JSON"
    ):
        parsed({"worker": {"http": {"body": '{"user": {userId}}'}}})


@pytest.mark.parametrize("template", ['{"user": "{userId}"}', {"user": "{userId}"}, ["{userId}"], 7, '"{userId}"', ""])
def test_a_body_stays_as_it_was_written_for_the_worker_to_read(template: object) -> None:
    http = parsed({"worker": {"http": {"body": template}}}).worker.http
    assert http is not None
    assert http.body == template


@pytest.mark.parametrize("template", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, nested(2_000), nested(100_000)])
def test_a_body_that_is_nested_too_deeply_is_refused_and_does_not_stop_the_operator(template: object) -> None:
    with pytest.raises(InvalidPolicyError, match=r"not JSON|nested too deeply"):
        parsed({"worker": {"http": {"body": template}}})


def test_fields_of_a_newer_crd_are_left_out() -> None:
    spec = parsed({"learnedTimes": True, "worker": {"env": [{"name": "A", "shade": "blue"}]}})
    assert spec.worker.env == ({"name": "A"},)


def test_null_means_absent() -> None:
    made = body(MINIMAL_SPEC)
    made["spec"] = {**made["spec"], "enabled": None, "jobs": {"usersPerMinute": None, "labels": None}}
    made["spec"]["store"] = {**made["spec"]["store"], "redis": None}
    assert SyncPolicy.parse(made).spec == parsed({})


def test_a_body_that_is_a_read_only_view_is_read_too() -> None:
    view = MappingProxyType({**body(MINIMAL_SPEC), "spec": MappingProxyType(spec_with({"worker": IMAGE_WORKER}))})
    assert SyncPolicy.parse(view).spec.worker.image == IMAGE_WORKER["image"]


def test_a_policy_without_a_spec_is_refused_with_a_sentence() -> None:
    made = body(MINIMAL_SPEC)
    del made["spec"]
    with pytest.raises(InvalidPolicyError, match=r"spec.store is required; spec.worker is required"):
        SyncPolicy.parse(made)


@pytest.mark.parametrize("spec", ["text", ["list"], 5])
def test_a_spec_that_is_no_object_is_refused_and_does_not_stop_the_operator(spec: object) -> None:
    with pytest.raises(InvalidPolicyError):
        SyncPolicy.parse({**body(MINIMAL_SPEC), "spec": spec})


def test_a_spec_can_not_be_changed_by_accident() -> None:
    with pytest.raises(ValidationError):
        parsed({}).batch_size = 5  # type: ignore[misc]


def test_every_zone_of_the_iana_database_has_the_shape_of_a_zone() -> None:
    # `localtime` is a file of the machine, and means another zone on each.
    for zone in zoneinfo.available_timezones() - {"localtime"}:
        assert parsed({"marketHours": {"timeZone": zone}}).market_hours.time_zone == zone


def test_the_status_is_written_with_whole_seconds_and_nothing_unknown() -> None:
    condition = Condition.model_validate(
        {
            "type": "Ready",
            "status": "True",
            "reason": "Scheduling",
            "message": "",
            "lastTransitionTime": "2026-11-24T10:00:00.5+01:00",
        }
    )
    status = SyncPolicyStatus(total_users=0, conditions=(condition,))
    assert status.model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "totalUsers": 0,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Scheduling",
                "message": "",
                "lastTransitionTime": "2026-11-24T09:00:00Z",
            }
        ],
    }
