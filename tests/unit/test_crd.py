"""The CRD in `crds/` is the one that the models make, and is what the design promises."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cluster_support import CRD_FILE
from periodic_sync.api.crd import COMMAND, build_crd, render_crd
from periodic_sync.api.rules import RULES_KEY

CRD = build_crd()
(VERSION,) = CRD["spec"]["versions"]
ROOT_SCHEMA = VERSION["schema"]["openAPIV3Schema"]
SPEC, STATUS = ROOT_SCHEMA["properties"]["spec"], ROOT_SCHEMA["properties"]["status"]

Node = dict[str, Any]


def nodes(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """The schema's nodes, each with its path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in node:
            yield from nodes(node[key], path + mark)


ALL_NODES = [*nodes(SPEC, "spec"), *nodes(STATUS, "status")]


def test_the_file_is_the_one_that_the_models_make() -> None:
    assert CRD_FILE.read_text(encoding="utf-8") == render_crd(), f"{CRD_FILE.name} is out of date: run `{COMMAND}`"


def test_the_file_says_how_it_is_made_and_reads_back_as_the_same() -> None:
    text = render_crd()
    assert text.startswith(f"# Made by `{COMMAND}`")
    assert yaml.safe_load(text) == CRD
    assert "&id" not in text


def test_the_names_are_those_of_the_design() -> None:
    assert CRD["metadata"]["name"] == "syncpolicies.sync.moonx.farm"
    assert (CRD["spec"]["group"], VERSION["name"], CRD["spec"]["scope"]) == (
        "sync.moonx.farm",
        "v1alpha1",
        "Namespaced",
    )
    names = CRD["spec"]["names"]
    assert (names["kind"], names["plural"]) == ("SyncPolicy", "syncpolicies")
    assert (names["shortNames"], names["categories"]) == (["syncp"], ["sync"])
    assert VERSION["subresources"] == {"status": {}}


def test_the_columns_are_those_of_the_design() -> None:
    columns = [(column["name"].upper(), column["priority"]) for column in VERSION["additionalPrinterColumns"]]
    assert [name for name, priority in columns if priority == 0] == [
        *("ENABLED", "READY", "MARKET", "TOTAL", "ACTIVE", "JOBS", "LAST", "NEXT", "AGE")
    ]
    assert [name for name, priority in columns if priority == 1] == ["STALE", "DUE", "FAILED", "STORE", "REASON"]


def test_the_moment_of_the_next_sync_is_a_string_since_kubectl_prints_future_dates_as_invalid() -> None:
    kinds = {column["name"]: column["type"] for column in VERSION["additionalPrinterColumns"]}
    assert kinds["Next"] == "string"
    assert kinds["Last"] == kinds["Age"] == "date"


def test_the_status_has_the_designed_fields_and_no_others() -> None:
    assert list(STATUS["properties"]) == [
        *("observedGeneration", "conditions", "enabled", "running", "isMarketHours", "store"),
        *("totalUsers", "activeUsers", "staleUsers", "dueUsers", "dueUsersByPriority"),
        *("inFlightUsers", "skippedEntries", "activeJobs"),
        *("lastScheduleTime", "lastSyncTime", "nextScheduledSync", "lastHandledRequest", "lastCompletedRequest"),
        *("usersSynced", "usersFailed"),
    ]


def test_the_status_has_no_defaults() -> None:
    assert [path for path, node in nodes(STATUS, "status") if "default" in node] == []


@pytest.mark.parametrize(("path", "node"), [pytest.param(*entry, id=entry[0]) for entry in ALL_NODES])
def test_a_field_is_described_bounded_and_structural(path: str, node: Node) -> None:
    assert not node.keys() & {"$ref", "anyOf", "allOf", "oneOf", "title", "nullable", "propertyNames", "$defs"}
    if not path.endswith(("[]", "{}")):
        assert len(node["description"].split()) > 2
        assert node["description"].endswith(".")
        assert "\n" not in node["description"]
    kind = node.get("type")
    if kind is None:
        assert node.keys() & {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"}
    elif kind == "string":
        assert "maxLength" in node or "enum" in node or node.get("format") == "date-time"
    elif kind == "integer":
        assert "minimum" in node
        assert path.startswith("status") or "maximum" in node
    elif kind == "array":
        assert {"maxItems", "x-kubernetes-list-type"} <= node.keys()
    elif kind == "object":
        assert "properties" in node or "maxProperties" in node


@pytest.mark.parametrize(("path", "node"), [pytest.param(*entry, id=entry[0]) for entry in ALL_NODES])
def test_the_rules_of_a_field_say_what_to_write(path: str, node: Node) -> None:
    for rule in node.get(RULES_KEY, []):
        assert len(rule["message"].split()) > 5
        # A pattern in the message would be what the rules are there to spare people.
        assert "^" not in rule["message"]
        assert "[a-z" not in rule["message"]


def test_patterns_are_only_in_conditions_which_no_person_writes() -> None:
    patterned = [path for path, node in ALL_NODES if "pattern" in node]
    assert patterned == ["status.conditions[].type", "status.conditions[].reason"]


def test_every_spec_field_of_the_design_with_a_default_has_it_in_the_schema() -> None:
    without = {path for path, node in nodes(SPEC, "spec") if "default" not in node and path.count(".") == 1}
    assert without == {"spec.store", "spec.worker"}


def test_the_default_of_an_object_is_that_object_with_all_defaults_of_its_children() -> None:
    def check(node: Node) -> None:
        for name, child in node.get("properties", {}).items():
            if isinstance(child.get("default"), dict) and "properties" in child:
                children = {key: value["default"] for key, value in child["properties"].items() if "default" in value}
                assert child["default"] == children, name
            check(child)

    check(SPEC)


def test_lists_are_merged_by_server_side_apply_as_designed() -> None:
    kinds = {path: node["x-kubernetes-list-type"] for path, node in ALL_NODES if node.get("type") == "array"}
    assert kinds == {
        "spec.marketHours.days": "set",
        "spec.worker.http.headers": "map",
        "spec.worker.command": "atomic",
        "spec.worker.args": "atomic",
        "spec.worker.env": "map",
        "spec.worker.envFrom": "atomic",
        "spec.worker.resources.claims": "map",
        "status.conditions": "map",
    }
    keys = {
        path: node["x-kubernetes-list-map-keys"] for path, node in ALL_NODES if "x-kubernetes-list-map-keys" in node
    }
    assert keys == {
        "spec.worker.http.headers": ["name"],
        "spec.worker.env": ["name"],
        "spec.worker.resources.claims": ["name"],
        "status.conditions": ["type"],
    }


def test_a_body_of_any_json_has_a_bottom_since_python_cannot_read_what_is_nested_very_deeply() -> None:
    body = SPEC["properties"]["worker"]["properties"]["http"]["properties"]["body"]
    below = [node for path, node in nodes(body, "body") if "items" not in node]
    assert len(below) == 2**4
    assert all(node["maxItems"] == node["maxProperties"] == 0 and "additionalProperties" not in node for node in below)


def test_the_crd_fits_into_the_annotation_that_kubectl_apply_keeps() -> None:
    assert len(render_crd()) < 200_000
