"""`periodic-sync lint` without a cluster: how files are read, where things are found, and what it adds of its own.

That it agrees with the API server is seen in tests/integration/cli/test_lint.py.
"""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from periodic_sync.api.rules import RULES_KEY
from periodic_sync.cli import main as cli
from periodic_sync.cli.lint import cel
from periodic_sync.cli.lint.check import check
from periodic_sync.cli.lint.documents import UnreadableError, read_documents
from periodic_sync.cli.lint.findings import Severity
from periodic_sync.cli.lint.validation import crd_schema
from policy_support import Spec, policy_body, spec_with

MANIFEST = """\
# not the first line
apiVersion: sync.moonx.farm/v1alpha1
kind: SyncPolicy
metadata: {name: portfolios}
spec:
  store:
    configMap: {name: users}
  batchsize: 5
  intervals:
    marketHours: soon
  worker:
    http: {url: "http://sync.default.svc/{userId}"}
    env:
      - name: A
        value: 5
"""


def told(text: str) -> list[tuple[int, str, str]]:
    """Line, severity and field of each finding."""
    return [(found.line, found.severity.value, found.field) for found in check(text, "file").findings]


def messages(spec: Spec, severity: Severity) -> dict[str, str]:
    found = check(json.dumps(policy_body(spec)), "file").findings
    return {each.field: each.message for each in found if each.severity is severity}


def test_each_finding_has_the_line_it_is_about() -> None:
    assert told(MANIFEST) == [
        (2, "warning", ""),  # that the rules were not run
        (8, "warning", "spec.batchsize"),
        (15, "error", "spec.worker.env[0].value"),
    ]
    assert told(MANIFEST.replace("value: 5", "value: '5'")) == [
        (8, "warning", "spec.batchsize"),
        (10, "error", "spec.intervals.marketHours"),
    ]


def test_a_name_that_is_refused_is_told_by_its_line() -> None:
    text = (
        MANIFEST.replace("soon", "5m").replace("value: 5", "value: '5'").replace("{name: portfolios}", "{name: my.p}")
    )
    assert (4, "error", "") in told(text)


def test_what_is_missing_is_told_where_it_belongs() -> None:
    text = MANIFEST.replace("soon", "5m").replace("value: 5", "value: '5'").replace("{name: users}", "{}")
    assert (7, "error", "spec.store.configMap.name") in told(text)


def test_each_document_and_each_item_of_a_list_is_checked() -> None:
    one = yaml.safe_load(MANIFEST)
    listed = yaml.safe_dump(
        {"apiVersion": "v1", "kind": "List", "items": [one, {"kind": "ConfigMap"}, copy.deepcopy(one)]}
    )
    checked = check(f"{MANIFEST}---\n---\nkind: ConfigMap\n---\n{listed}", "file")
    assert checked.policies == 3
    assert [found.field for found in checked.findings].count("spec.worker.env[0].value") == 3
    assert len({found.line for found in checked.findings if found.is_error}) == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("09:00", "09:00"),
        ("17:00", "17:00"),
        ("1:30:00", "1:30:00"),
        ("2026-01-31", "2026-01-31"),
        ("yes", True),
        ("off", False),
        ("n", False),
        ("~", None),
        ("", None),
        ("010", 8),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("-5", -5),
        ("08", 8.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("5m", "5m"),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("18446744073709551616", 18446744073709551616.0),
        ("+", "+"),
    ],
)
def test_scalars_are_those_of_kubectl(text: str, value: Any) -> None:
    documents = list(read_documents(f"a: {text}"))
    assert documents[0].value == {"a": value}
    assert type(documents[0].value["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("base: &b {x: 1, z: 2}\nall: {<<: *b, z: 3}", {"base": {"x": 1, "z": 2}, "all": {"x": 1, "z": 3}}),
        ("on: 1\n5: 2", {"true": 1, "5": 2}),
        ('{\n\t"a": [1, null]\n}', {"a": [1, None]}),
    ],
)
def test_documents_are_those_of_kubectl(text: str, value: Any) -> None:
    assert [document.value for document in read_documents(text)] == [value]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [", 2, "no YAML"),
        ("a: 1\nb: *nobody", 2, "undefined alias"),
        ("? [a]\n: 1", 1, "a key must be a text"),
        ("&a [*a]", 1, "too much"),
        ("a: &a [1,1,1,1,1,1,1,1,1]\n" + "\n".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]" for n in range(8)), 0, "too much"),
        ("a: !!int soon", 1, "'soon' is no int"),
        ("[" * 3000, 1, "nested"),
        ("{\n'a\n", 0, "neither YAML nor JSON"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_told_by_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(UnreadableError, match=words) as refused:
        list(read_documents(text))
    assert not line or refused.value.line == line


def test_a_key_that_is_given_twice_is_told() -> None:
    text = MANIFEST.replace("  batchsize: 5\n", "  batchSize: 5\n  batchSize: 6\n")
    assert (9, "warning", "") in [(line, severity, "") for line, severity, _ in told(text)]


def test_a_misspelt_field_is_told_with_what_may_be_meant() -> None:
    assert messages(spec_with({"intervals": {"market_hours": "5m"}}), Severity.WARNING) == {
        "spec.intervals.market_hours": 'unknown field "spec.intervals.market_hours": do you mean marketHours?'
    }


@pytest.mark.parametrize(
    ("change", "severity", "field", "words"),
    [
        ({"marketHours": {"timeZone": "Europe/Atlantis"}}, "error", "spec.marketHours.timeZone", "is not a time zone"),
        ({"worker": {"http": {"body": "{userId}"}}}, "error", "spec.worker.http.body", "is not JSON"),
        ({"worker": {"http": {"url": "http://x.invalid/"}}}, "warning", "spec.worker.http.url", "fill in the address"),
        (
            {"worker": {"http": {"headers": [{"name": "Authorization", "value": "Bearer x"}]}}},
            "warning",
            "spec.worker.http.headers[0]",
            "bearerTokenSecretRef",
        ),
        ({"worker": {"http": {"url": "http://sync/all"}}}, "advice", "spec.worker.http.url", "know whom to sync"),
        (
            {"worker": {"http": {"url": "http://api.example.com/{userId}"}}},
            "advice",
            "spec.worker.http.url",
            "can be read on the way",
        ),
        ({"batchSize": 100}, "advice", "spec.jobs.deadline", "can take 12m30s"),
        ({"intervals": {"marketHours": "30m"}}, "advice", "spec.intervals.marketHours", "is that meant?"),
        ({"thresholds": {"stale": "10m"}}, "advice", "spec.thresholds.stale", "comes due as stale"),
        ({"worker": {"image": "r.io/w:latest"}}, "advice", "spec.worker.image", "changes when nobody looks"),
    ],
)
def test_what_the_api_server_takes_and_is_not_meant(change: Spec, severity: str, field: str, words: str) -> None:
    assert words in messages(spec_with(change), Severity(severity))[field]


def test_nothing_is_said_of_the_minimal_spec() -> None:
    assert check(json.dumps(policy_body(spec_with({}))), "file").findings == []


def test_a_header_s_value_is_never_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = spec_with(
        {"worker": {"http": {"url": "http://me:hunter2@sync/", "headers": [{"name": "X-A", "value": "hunter2\n"}]}}}
    )
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy_body(spec)))
    assert cli.main(["lint", str(file)]) == 1
    assert "hunter2" not in "".join(capsys.readouterr())


def test_as_a_person_types_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(MANIFEST.replace("value: 5", "value: '5'"))
    assert cli.main(["lint", str(file)]) == 1
    assert capsys.readouterr().out == (
        f'{file}:8: warning: spec.batchsize: unknown field "spec.batchsize": do you mean batchSize?\n'
        f"{file}:10: error: spec.intervals.marketHours: "
        "write a duration of at least 1s, with its unit (h, m, s or ms), such as 5m, 90s or 1h30m\n"
        "SyncPolicies: 1, errors: 1, warnings: 1, advice: 0\n"
    )
    file.write_text(MANIFEST.replace("value: 5", "value: '5'").replace("soon", "5m"))
    assert cli.main(["lint", str(file)]) == 0
    assert cli.main(["lint", "--strict", str(file)]) == 1
    capsys.readouterr()
    assert cli.main(["lint", "-o", "json", str(file)]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "file": str(file),
            "line": 8,
            "severity": "warning",
            "field": "spec.batchsize",
            "message": 'unknown field "spec.batchsize": do you mean batchSize?',
        }
    ]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("kind: ConfigMap\n", 0, "1: advice: there is no SyncPolicy in it"),
        ("a: [\n", 1, "error: it is no YAML"),
        (MANIFEST.replace("v1alpha1", "v1"), 1, 'no matches for kind "SyncPolicy" in version "sync.moonx.farm/v1"'),
        (MANIFEST.replace("metadata: {name: portfolios}", ""), 1, "name or generateName is required"),
        (MANIFEST.replace("{name: portfolios}", "{name: p, label: {}}"), 1, 'unknown field "metadata.label"'),
        (MANIFEST.replace("{name: portfolios}", "{name: p, labels: {a: 1}}"), 1, "metadata.labels.a: must be of type"),
    ],
)
def test_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, words: str) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text)
    assert cli.main(["lint", str(file)]) == code
    assert words in capsys.readouterr().out


def test_a_file_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "nowhere.yaml"]) == 1
    assert "nowhere.yaml" in capsys.readouterr().err


EXPRESSIONS = ("rule", "messageExpression")


def rules() -> list[str]:
    """All CEL expressions of the CRD."""
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            found.extend(rule[key] for rule in node.get(RULES_KEY, ()) for key in rule if key in EXPRESSIONS)
            for item in node.values():
                walk(item)

    walk(crd_schema())
    return found


def test_every_rule_uses_only_functions_that_are_known_here() -> None:
    of_cel = {"all", "exists", "exists_one", "has", "matches", "startsWith", "size", "duration", "string", "type"}
    for rule in rules():
        without_texts = re.sub(r'r?"[^"]*"|\'[^\']*\'', "", rule)
        assert set(re.findall(r"(\w+)\(", without_texts)) <= of_cel | cel.KNOWN_FUNCTIONS
        cel.compiled(rule)


def test_rules_ask_for_the_size_of_a_text_only_where_it_is_ascii() -> None:
    """The library counts bytes there; where they ask for a list's or a map's, there is none of it to count."""
    sized = [rule for rule in rules() if ".size() <=" in rule]
    assert sized
    for rule in sized:
        found = re.search(r'size\(\) <= \d+ && [a-z.]+\.matches\(r"\^([^"]*)\$"', rule)
        assert found
        assert "[^" not in found[1]


@pytest.mark.parametrize(
    ("less", "more"), [("1", "1100m"), ("64Mi", "0.5Gi"), ("1k", "1Ki"), ("999u", "1e0"), ("-1", ".5"), ("5.", "1e1")]
)
def test_quantities_compare(less: str, more: str) -> None:
    assert cel.quantity(less) < cel.quantity(more)
