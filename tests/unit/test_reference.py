"""The pages of docs/reference that are made from code are the ones that the code makes, and leave nothing out."""

from collections.abc import Iterator

import pytest

from cluster_support import ROOT
from handbook import cli, http_routes, log_lines, problems, reasons, syncpolicy
from handbook.markdown import COMMAND, text
from handbook.reference import PAGES
from periodic_sync.api.crd import build_crd
from periodic_sync.api.names import Reason
from periodic_sync.api.reasons import CONDITION_MEANINGS, EVENT_MEANINGS, ConditionReason, EventReason
from periodic_sync.api.rules import RULES_KEY
from periodic_sync.core.status import READY_REASONS
from periodic_sync.inspection.words import SENTENCES

(_VERSION,) = build_crd()["spec"]["versions"]
_SCHEMA = _VERSION["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("path", PAGES)
def test_the_page_is_the_one_that_the_code_makes(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path](), f"{path} is out of date: run `{COMMAND}`"


def nodes(node: object) -> Iterator[dict[str, object]]:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from nodes(child)
    elif isinstance(node, list):
        for child in node:
            yield from nodes(child)


def test_every_field_and_every_rule_of_the_resource_is_told() -> None:
    page = syncpolicy.render()
    for node in nodes(_SCHEMA):
        for name in node.get("properties", ()):
            assert f"| `{name}` |" in page or name in ("apiVersion", "kind", "metadata", "spec", "status")
        for rule in node.get(RULES_KEY, ()):
            assert text(rule["message"]) in page


def test_every_reason_has_a_meaning_and_each_once() -> None:
    assert {each.reason for each in CONDITION_MEANINGS} == set(ConditionReason)
    assert [each.reason for each in EVENT_MEANINGS] == list(dict.fromkeys(each.reason for each in EVENT_MEANINGS))
    assert {each.reason for each in EVENT_MEANINGS} == set(EventReason)
    assert {each.reason for each in CONDITION_MEANINGS if each.type == "Ready"} == set(READY_REASONS)
    assert set(SENTENCES) == set(Reason)
    page = reasons.render()
    assert [word for word in (*Reason, *ConditionReason, *EventReason) if f"| `{word}` |" not in page] == []


def test_every_log_line_at_the_level_of_errors_has_a_meaning() -> None:
    found = log_lines.serious()
    assert len(found) > 5
    assert found == set(log_lines.MEANINGS), "tell in deploy/handbook/log_lines.py what the line means"


def test_every_route_is_told_with_its_right() -> None:
    page = http_routes.render()
    routes = [(method, path) for path, methods in http_routes.document()["paths"].items() for method in methods]
    assert len(routes) > 10
    for method, path in routes:
        assert f"## {method.upper()} {path.replace(http_routes.PREFIX, '…')}\n" in page


def test_every_command_is_told_with_all_its_options() -> None:
    page = cli.render()
    assert len(cli.commands()) > 10
    for name, command in cli.commands().items():
        section = page.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert section, name
        for param in command.params:
            assert all(f"`{option}" in section for option in param.opts if option.startswith("-")), (name, param.opts)


def test_every_argument_and_option_has_a_help_text() -> None:
    without = {(name, param.name) for name, each in cli.commands().items() for param in each.params if not param.help}
    assert without == set()


def test_every_problem_is_told_with_its_code() -> None:
    found = problems.codes()
    assert found[401] == {"NoToken", "TokenNotAccepted"}
    assert {"StoreUnavailable", "KubernetesUnavailable", "TimedOut"} <= found[503]
    page = http_routes.render()
    for status, words in found.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {status} |")]
        assert all(f"`{word}`" in row for word in words)
