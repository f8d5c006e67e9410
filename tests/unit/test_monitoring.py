"""deploy/monitoring: what its rules and its dashboard ask for exists, each alert fires when it should, and each has an
entry in the runbook."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster_support import ROOT
from kustomize_support import overlay
from periodic_sync.telemetry import api_definitions, definitions
from promtool import promtool

RULE_TESTS = Path(__file__).parent / "monitoring" / "rules.test.yaml"
DASHBOARD = ROOT / "deploy" / "monitoring" / "dashboard.json"
RUNBOOK = ROOT / "docs" / "how-to" / "runbook.md"

ALL = (*definitions.ALL, *api_definitions.ALL)
SERIES = {name: each for each in ALL for name in each.series}
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
TARGET = {"namespace", "pod"}
"""Labels that the scrape adds."""

SELECTOR = re.compile(r"\b((?:periodic_sync|process)_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")


@cache
def component() -> dict[str, dict[str, Any]]:
    """What it adds to a kustomization, by kind, and what is for the HTTP API by name."""
    found = {(item["kind"], item["metadata"]["name"]): item for item in overlay("deploy/monitoring")}
    return {kind if name == "periodic-sync" or kind == "ConfigMap" else name: it for (kind, name), it in found.items()}


def alerts() -> list[dict[str, Any]]:
    return [rule for group in component()["PrometheusRule"]["spec"]["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for alert in alerts():
        yield alert["alert"], alert["expr"]
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["definition"]


ALERTS = alerts()
EXPRESSIONS = list(expressions())


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS, ids=[title for title, _ in EXPRESSIONS])
def test_every_series_that_is_asked_for_exists_with_these_labels_and_values(title: str, expression: str) -> None:
    selectors = SELECTOR.findall(expression)
    assert selectors
    labels: set[str] = set()
    for name, matchers in selectors:
        assert name in SERIES or name in PROCESS, f"{title}: there is no {name}"
        has = TARGET | ({*SERIES[name].labels} if name in SERIES else set()) | ({"le"} if "_bucket" in name else set())
        labels |= has
        for label, _, value in MATCHER.findall(matchers):
            assert label in has, f"{title}: {name} has no label {label}"
            known = known_values(name, label) if "$" not in value else ()
            if known:
                unknown = [each for each in value.split("|") if each not in known]
                assert not unknown, f"{title}: {label} is never {unknown}"
    for grouping in GROUPING.findall(expression):
        assert {each.strip() for each in grouping.split(",")} <= labels, f"{title}: {grouping}"


def test_a_policys_gauge_is_only_asked_for_the_highest_of_all_operators() -> None:
    """Two operators may both have a series of a policy while one hands over to the other."""
    gauges = [each.name for each in definitions.ALL if each.is_of_a_policy and each.kind is definitions.Kind.GAUGE]
    for title, expression in EXPRESSIONS:
        if "label_values" not in expression:
            asked = re.sub(r"max by \([^)]*\) \(periodic_sync_\w+(\{[^}]*\})?\)", "", expression)
            assert not [name for name in gauges if re.search(rf"\b{name}\b", asked)], title


def known_values(name: str, label: str) -> tuple[str, ...]:
    if name not in SERIES:
        return ()
    if SERIES[name] in api_definitions.ALL:
        return api_definitions.VALUES.get(label, ())
    return definitions.values_of(SERIES[name], label)


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    asked = {name for _, expression in EXPRESSIONS for name, _ in SELECTOR.findall(expression)}
    assert [each.name for each in ALL if not asked & set(each.series)] == []


def test_the_dashboard_has_a_row_for_each_part_and_no_panel_overlaps_another() -> None:
    rows = [panel["title"] for panel in panels() if panel["type"] == "row"]
    parts = "Overview, Scheduling, Lag, Workers, Store, Kubernetes API, Process, HTTP API, Live events"
    assert rows == parts.split(", ")
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels())
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels()}) == len(panels())


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_an_alert_says_what_is_wrong_and_where_to_read_on(alert: dict[str, Any]) -> None:
    name, words = alert["alert"], alert["annotations"]
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert words["summary"].endswith(".")
    assert words["description"].endswith(".")
    assert words["runbook_url"] == f"docs/how-to/runbook.md#{name.lower()}"
    assert alert["for"]


def test_the_runbook_has_an_entry_for_each_alert_and_for_nothing_else() -> None:
    entries = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    assert [entry.splitlines()[0] for entry in entries] == [alert["alert"] for alert in ALERTS]
    for entry in entries:
        parts = re.findall(r"^\*\*(.+?)\.\*\*", entry, re.MULTILINE)
        assert parts == ["Meaning", "Impact", "How to look", "What to do"], entry.splitlines()[0]


@pytest.mark.parametrize(("monitored", "folder"), [("PodMonitor", ""), ("periodic-sync-api", "api")])
def test_what_is_scraped_is_a_port_of_its_own(monitored: str, folder: str) -> None:
    monitor = component()[monitored]
    deployment = yaml.safe_load((ROOT / "deploy" / "kustomize" / folder / "deployment.yaml").read_text())
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    template = deployment["spec"]["template"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert endpoint["honorLabels"] is True


def test_the_dashboard_is_where_grafana_looks_for_it() -> None:
    config_map = component()["ConfigMap"]
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config_map["data"]["periodic-sync.json"]) == json.loads(DASHBOARD.read_text())


def test_prometheus_finds_every_alert_firing_when_it_should_and_not_before(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(component()["PrometheusRule"]["spec"]))
    (tmp_path / RULE_TESTS.name).write_text(RULE_TESTS.read_text())
    promtool("check", "rules", rules)
    promtool("test", "rules", tmp_path / RULE_TESTS.name)


def test_every_alert_is_tried_both_ways() -> None:
    tried: dict[str, set[bool]] = {}
    for test in yaml.safe_load(RULE_TESTS.read_text())["tests"]:
        for case in test["alert_rule_test"]:
            tried.setdefault(case["alertname"], set()).add(bool(case.get("exp_alerts")))
    assert tried == {alert["alert"]: {True, False} for alert in ALERTS}
