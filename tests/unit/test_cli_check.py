"""What `check` makes of what it sees, by tables. tests/integration/cli/test_check.py looks at a real API server."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from cluster_support import ROOT
from periodic_sync import __version__
from periodic_sync.api.errors import ForbiddenError, NotFoundError, UnavailableError
from periodic_sync.cli.check import cluster, conditions, operators, redis, rights, room, users
from periodic_sync.cli.check.lines import Line, Mark
from periodic_sync.core.objects import PolicyRef, name_prefix
from periodic_sync.stores.redis.troubles import RedisNotReady

FORBIDDEN = ForbiddenError('secrets "x" is forbidden: User "me" cannot get resource "secrets"', status=403)
POLICY = PolicyRef("shop", "portfolios", "uid")
NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def marks(lines: list[Line]) -> list[str]:
    return [line.mark.value for line in lines]


@pytest.mark.parametrize(
    ("major", "minor", "mark"),
    [("1", "31", Mark.OK), ("1", "37+", Mark.OK), ("2", "0", Mark.OK), ("1", "30", Mark.FAILED), ("", "", Mark.UNSEEN)],
)
def test_versions(major: str, minor: str, mark: Mark) -> None:
    assert cluster.judge_version({"major": major, "minor": minor, "gitVersion": "v"}).mark is mark


@pytest.mark.parametrize(
    ("ahead", "mark", "words"),
    [
        (0.4, Mark.OK, "agree"),
        (-4.9, Mark.OK, "agree"),
        (30.0, Mark.WARNING, "this machine is 30 s behind it"),
        (-400.0, Mark.FAILED, "this machine is 400 s ahead of it"),
        (None, Mark.UNSEEN, "tells no time"),
    ],
)
def test_clocks(ahead: float | None, mark: Mark, words: str) -> None:
    line = cluster.judge_clock("clock", ahead, "it")
    assert line.mark is mark
    assert words in line.message


def test_a_definition_that_is_missing_or_not_served() -> None:
    assert marks(cluster.judge_definition(NotFoundError("no"))) == ["failed"]
    assert marks(cluster.judge_definition(UnavailableError("no"))) == ["not looked at"]
    body = {"spec": {"versions": [{"name": "v1alpha1", "served": False}]}}
    assert marks(cluster.judge_definition(body)) == ["failed"]


def test_differences_of_schemas_are_told_by_field() -> None:
    def schema(**changes: Any) -> Any:
        size = {"type": "integer", "maximum": 10, **changes}
        return {"openAPIV3Schema": {"properties": {"spec": {"properties": {"batchSize": size}}}}}

    assert cluster.differences(schema(), schema()) == []
    assert cluster.differences(schema(), schema(maximum=5)) == ["spec.batchSize"]
    assert cluster.differences(schema(), {"openAPIV3Schema": {"properties": {}}}) == ["spec"]


def deployment(**changes: Any) -> dict[str, Any]:
    container = {
        "name": "operator",
        "image": f"r.io/periodic-sync:{__version__}",
        "args": ["operator", *changes.get("args", ())],
        "env": [{"name": "WORKER_IMAGE", "value": "w:1"}, {"name": "POD_NAME", "valueFrom": {}}],
    }
    return {
        "metadata": {"namespace": "ops", "name": "periodic-sync"},
        "spec": {"replicas": changes.get("replicas", 2), "template": {"spec": {"containers": [container]}}},
        "status": {"availableReplicas": changes.get("available", 2)},
    }


@pytest.mark.parametrize(
    ("changes", "mark", "words"),
    [
        ({}, Mark.OK, "2 of 2 pods are available"),
        ({"available": 1}, Mark.WARNING, "1 of 2"),
        ({"available": 0}, Mark.FAILED, "0 of 2"),
        ({"replicas": 0}, Mark.FAILED, "scaled to 0"),
        ({"args": ["--namespace", "shop"]}, Mark.OK, "serving namespace shop"),
        ({"args": ["--namespace=shop"]}, Mark.OK, "serving namespace shop"),
    ],
)
def test_deployments(changes: dict[str, Any], mark: Mark, words: str) -> None:
    operator = operators.operator_of(deployment(**changes))
    assert operator
    assert operator.worker_image == "w:1"
    line = operators.judge_deployment(operator)
    assert line.mark is mark
    assert words in line.message


def test_the_http_api_s_deployment_is_none_of_the_operator() -> None:
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["args"] = ["server"]
    assert operators.operator_of(body) is None


@pytest.mark.parametrize(
    ("image", "mark"),
    [
        (f"r.io:5000/p:{__version__}", Mark.OK),
        (f"p:v{__version__}@sha256:{'0' * 64}", Mark.OK),
        ("p:9.9.9", Mark.WARNING),
        ("p:latest", Mark.UNSEEN),
        ("r.io:5000/p", Mark.UNSEEN),
    ],
)
def test_images(image: str, mark: Mark) -> None:
    assert operators.judge_image(image).mark is mark


def pod(*, reason: str = "", restarts: int = 0) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": "m"}} if reason else {"running": {}}
    return {
        "metadata": {"name": "p-1", "namespace": "ops"},
        "status": {"containerStatuses": [{"state": state, "restartCount": restarts}]},
    }


def test_pods_that_can_not_start_are_told() -> None:
    assert operators.judge_pods([pod(), pod(reason="ContainerCreating")]) == []
    assert marks(operators.judge_pods([pod(reason="CrashLoopBackOff"), pod(restarts=5)])) == ["failed", "warning"]
    assert marks(operators.judge_pods(FORBIDDEN)) == ["not looked at"]
    assert marks(conditions.judge_pods([pod(), pod(reason="ImagePullBackOff")])) == ["failed"]
    assert marks(conditions.judge_pods([pod()])) == ["ok"]


def lease(holder: str = "one") -> dict[str, Any]:
    time = "2026-01-31T09:30:00.000000Z"
    return {"spec": {"holderIdentity": holder, "leaseDurationSeconds": 12, "renewTime": time}}


@pytest.mark.parametrize(
    ("found", "age", "renewed", "expected"),
    [
        (lease(), 5.0, True, ["ok"]),
        (lease(), -0.6, True, ["ok"]),  # the API server tells its time in whole seconds
        (lease(), 14.0, True, ["ok"]),
        (lease(), 50.0, True, ["ok", "warning"]),
        (lease(), -50.0, True, ["ok", "warning"]),
        (lease(), 50.0, False, ["failed"]),
        (lease(""), 5.0, False, ["failed"]),
        (NotFoundError("no", status=404), 0.0, False, ["failed"]),
        (FORBIDDEN, 0.0, False, ["not looked at"]),
    ],
)
def test_leases(found: Any, age: float, renewed: bool, expected: list[str]) -> None:
    assert marks(operators.judge_lease(found, age, renewed_since=renewed)) == expected


def test_the_rights_are_those_of_the_shipped_role() -> None:
    role = yaml.safe_load((ROOT / "deploy/kustomize/cluster-role.yaml").read_text())
    shipped = {
        (group, resource, verb, name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }
    assert {
        (group, resource, verb, name) for group, resource, verbs, name in rights.OPERATOR for verb in verbs
    } == shipped
    leases = next(yaml.safe_load_all((ROOT / "deploy/kustomize/leader-election.yaml").read_text()))["rules"]
    assert leases[0]["verbs"] == list(rights.LEASE_VERBS)


def test_rights_that_are_missing_are_named() -> None:
    wanted = [rights.Right("get", "", "secrets", "redis", "shop"), rights.Right("list", "batch", "jobs")]
    allowed, denied = {"status": {"allowed": True}}, {"status": {"allowed": False}}
    assert rights.judge_rights("it", wanted, [allowed, allowed]).mark is Mark.OK
    line = rights.judge_rights("it", wanted, [denied, allowed])
    assert (line.mark, line.message) == (Mark.FAILED, "it may not get secrets redis in shop")
    assert "redis-secret" in line.fix
    assert rights.judge_rights("it", wanted, [denied, FORBIDDEN]).mark is Mark.UNSEEN


def test_conditions() -> None:
    def policy(**status: Any) -> dict[str, Any]:
        return {"metadata": {"name": "p", "generation": 2}, "status": status}

    def condition(kind: str, status: str) -> dict[str, str]:
        return {"type": kind, "status": status, "reason": "R", "message": "m"}

    assert marks(conditions.judge_conditions(policy())) == ["failed"]
    good = [condition("Ready", "True"), condition("StoreReady", "True"), condition("Stalled", "False")]
    assert marks(conditions.judge_conditions(policy(conditions=good, observedGeneration=2))) == ["ok"] * 3
    bad = [condition("Ready", "False"), condition("Stalled", "True"), condition("StoreReady", "Unknown")]
    assert marks(conditions.judge_conditions(policy(conditions=bad, observedGeneration=1))) == [
        "failed", "failed", "warning", "warning",
    ]  # fmt: skip


def event(reason: str, *, minutes: int, kind: str = "Warning", **regarding: str) -> dict[str, Any]:
    at = (NOW - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    about = {"kind": "SyncPolicy", "uid": "uid", **regarding}
    return {
        "metadata": {},
        "type": kind,
        "reason": reason,
        "note": f"{minutes} ago",
        "eventTime": at,
        "regarding": about,
    }


def test_events_of_the_last_hour_are_told_once_a_reason() -> None:
    ours = f"{name_prefix('portfolios', 'uid')}1"
    events = [
        event("A", minutes=5),
        event("A", minutes=50),
        event("B", minutes=10, kind="Warning"),
        event("Old", minutes=61),
        event("Fine", minutes=1, kind="Normal"),
        event("Other", minutes=1, uid="another"),
        event("FailedCreate", minutes=20) | {"regarding": {"kind": "Job", "name": ours}},
    ]
    assert [line.message for line in conditions.judge_events(events, POLICY, NOW)] == [
        "A (2 in the last hour): 5 ago",
        "B (1 in the last hour): 10 ago",
        "FailedCreate (1 in the last hour): 20 ago",
    ]
    assert marks(conditions.judge_events([], POLICY, NOW)) == ["ok"]


@pytest.mark.parametrize(
    ("answer", "mark"),
    [
        ({}, Mark.OK),
        (ForbiddenError("exceeded quota: small", status=403), Mark.FAILED),
        (ForbiddenError('User "me" cannot create resource "pods"', status=403), Mark.UNSEEN),
        (UnavailableError("no answer"), Mark.UNSEEN),
    ],
)
def test_what_would_be_refused(answer: Any, mark: Mark) -> None:
    assert room.judge("pods", "a pod", answer).mark is mark


def test_config_maps() -> None:
    def shard(name: str, **data: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "data": data}

    assert [line.message for line in users.judge_config_maps("shop", "s", shard("s", a="1"), [shard("t", b="2")])] == [
        "2 entries in 2 ConfigMaps"
    ]
    assert marks(users.judge_config_maps("shop", "s", shard("s", a="x" * 950_000), [])) == ["ok", "warning"]
    many = shard("s", **{f"u{number}": "{}" for number in range(10_001)})
    assert marks(users.judge_config_maps("shop", "s", many, [])) == ["ok", "warning"]
    [missing] = users.judge_config_maps("shop", "s", NotFoundError("no"), [])
    assert (missing.mark.value, missing.fix) == ("failed", "`kubectl create configmap s -n shop`, even empty")
    assert marks(users.judge_config_maps("shop", "s", shard("s"), FORBIDDEN)) == ["not looked at"]


def test_redis() -> None:
    away = RedisNotReady("Redis at redis:6379 can't be found", passes=True)
    assert redis.judge_trouble(away, given=False).mark is Mark.UNSEEN
    assert redis.judge_trouble(away, given=True).mark is Mark.FAILED
    assert redis.judge_trouble(RedisNotReady("too old"), given=False).mark is Mark.FAILED
    assert redis.judge_persistence("it", {"aof_enabled": "1"}).mark is Mark.OK
    assert redis.judge_persistence("it", {"aof_enabled": "0"}).mark is Mark.WARNING
    assert redis.judge_persistence("it", {"aof_enabled": "1", "aof_last_write_status": "err"}).mark is Mark.FAILED
    assert redis.judge_persistence("it", {}).mark is Mark.UNSEEN
    assert marks(redis.judge_memory("it", {})) == ["not looked at"]
    full = {"maxmemory_policy": "noeviction", "used_memory": "95", "maxmemory": "100"}
    assert marks(redis.judge_memory("it", full)) == ["warning"]
    assert redis.judge_answers("me", {"HSET": b"OK"}).mark is Mark.OK
    line = redis.judge_answers("me", {"HSET": b"OK", "DEL": b"no permission"})
    assert (line.mark, line.message) == (Mark.FAILED, "user me may not DEL under the policy's prefix")
    assert redis.judge_owner("", "c/n/p", "p:") == redis.judge_owner("c/n/p", "/n/p", "p:") == []
    assert marks(redis.judge_owner("c/n/q", "c/n/p", "p:")) == ["failed"]


def test_of_the_rights_in_redis_just_those_are_asked_that_the_scripts_write_with() -> None:
    reading = {"EXISTS", "HGET", "HGETALL", "HLEN", "HMGET"}
    scripts = (ROOT / "operator/periodic_sync/stores/redis/lua").glob("*.lua")
    called = {name for script in scripts for name in re.findall(r"redis\.call\(\s*'([A-Z]+)'", script.read_text())}
    assert {"HSET", "ZSCORE"} <= called
    writing = {name for name in called - reading if not name.startswith("Z")} | (called & {"ZADD", "ZREM"})
    assert writing == set(redis.WRITES)
