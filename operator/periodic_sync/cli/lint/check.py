"""One file: its SyncPolicies, judged as the API server and then the operator would judge them."""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from periodic_sync.api.names import API_VERSION, GROUP, KIND
from periodic_sync.api.policy import InvalidPolicyError, SyncPolicy
from periodic_sync.cli.lint.advice import advise
from periodic_sync.cli.lint.cel import run_rules
from periodic_sync.cli.lint.documents import Document, UnreadableError, read_documents
from periodic_sync.cli.lint.findings import Cause, Finding, Path, Severity, refusal, spelled
from periodic_sync.cli.lint.schema import drop_nulls, fill_in, prune, unknown
from periodic_sync.cli.lint.validation import crd_schema, validate

SOME_RULES_WERE_NOT_CHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)
_NAME: Path = ("metadata", "name")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NO_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN.pattern}')"
)
_METADATA = dict.fromkeys(
    (
        "name",
        "generateName",
        "namespace",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    )
)


@dataclass(slots=True)
class Checked:
    """findings: in the order of lines. policies: how many SyncPolicies there were."""

    source: str
    policies: int = 0
    findings: list[Finding] = field(default_factory=list)


def check(text: str, source: str) -> Checked:
    """source: what to call the file."""
    checked = Checked(source)
    try:
        for document in read_documents(text):
            for at, body in _policies(document.value):
                checked.policies += 1
                checked.findings += _placed(document, at, check_policy(body))
            checked.findings += document.findings if checked.policies else []
    except UnreadableError as error:
        checked.findings.append(Finding(Severity.ERROR, (), str(error), line=error.line))
    if not checked.policies and not checked.findings:
        # Nothing to warn of: whole folders are given, and what else is in them is none of this program's.
        checked.findings.append(Finding(Severity.ADVICE, (), f"there is no {KIND} in it", line=1))
    checked.findings.sort(key=lambda finding: finding.line)
    return checked


def _policies(value: Any, at: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    if not isinstance(value, dict):
        return
    if value.get("kind") == KIND and str(value.get("apiVersion", "")).partition("/")[0] in (GROUP, ""):
        yield at, value
    elif str(value.get("kind", "")).endswith("List") and isinstance(value.get("items"), list):
        for number, item in enumerate(value["items"]):
            yield from _policies(item, (*at, "items", number))


def _placed(document: Document, at: Path, findings: list[Finding]) -> Iterator[Finding]:
    for found in findings:
        # The rule about the name belongs to the root, which alone may look at metadata.
        place = _NAME if not found.path and found.message.startswith("metadata.name ") else found.path
        yield replace(found, line=document.line((*at, *place)), field=spelled(found.path))


def check_policy(body: Mapping[str, Any]) -> list[Finding]:
    """Without lines. It is not changed."""
    if body.get("apiVersion") != API_VERSION:
        message = f'no matches for kind "{KIND}" in version "{body.get("apiVersion", "")}": write {API_VERSION}'
        return [refusal(("apiVersion",), message)]
    schema = crd_schema()
    value: dict[str, Any] = copy.deepcopy(dict(body))
    metadata = value.get("metadata")
    findings = list(prune(value, _without_metadata(schema)))
    value["metadata"] = metadata
    about = list(_metadata(metadata))
    if value.pop("status", None) is not None:
        findings.append(
            Finding(Severity.WARNING, ("status",), "status is the operator's: what is written here is lost")
        )
    drop_nulls(value, schema)
    fill_in(value, schema)
    refused = [*about, *validate(value, schema)]
    if any(finding.cause and finding.cause.keeps_rules_from_running for finding in refused):
        findings.append(Finding(Severity.WARNING, (), SOME_RULES_WERE_NOT_CHECKED))
    else:
        refused += run_rules(value, schema)
    findings += refused
    if not any(finding.is_error for finding in findings):
        findings += _beyond(value)
    return findings


def _without_metadata(schema: Mapping[str, Any]) -> dict[str, Any]:
    """It is no part of the schema for the API server either, which has a type of its own for it."""
    kept = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {**schema, "properties": {**schema["properties"], "metadata": kept}}


def _metadata(metadata: Any) -> Iterator[Finding]:
    at = ("metadata",)
    metadata = metadata if isinstance(metadata, dict) else {}
    for key in metadata:
        if key not in _METADATA:
            yield unknown((*at, key), _METADATA)
    for key in ("name", "generateName", "namespace"):
        yield from _text((*at, key), metadata.get(key))
    name = metadata.get("name")
    if not (name or metadata.get("generateName")):
        yield refusal((*at, "name"), "Required value: name or generateName is required", Cause.REQUIRED)
    elif isinstance(name, str) and name and not _SUBDOMAIN.fullmatch(name):
        yield refusal((*at, "name"), _NO_SUBDOMAIN)
    for key in ("labels", "annotations"):
        pairs = metadata.get(key) or {}
        if not isinstance(pairs, dict):
            yield refusal((*at, key), "must be of type object", Cause.TYPE)
            continue
        for each, text in pairs.items():
            yield from _text((*at, key, each), text)


def _text(path: Path, value: Any) -> Iterator[Finding]:
    if value is not None and not isinstance(value, str):
        yield refusal(path, "must be of type string: write it in quotes", Cause.TYPE)


def _beyond(value: dict[str, Any]) -> Iterator[Finding]:
    """What the API server takes and the operator does not, or what is seldom meant."""
    metadata = {"namespace": "default", "uid": "", **value["metadata"]}
    metadata.setdefault("name", metadata.get("generateName", ""))
    try:
        policy = SyncPolicy.parse({**value, "metadata": metadata})
    except InvalidPolicyError as error:
        place, _, sentence = str(error).partition(": ")
        yield Finding(Severity.ERROR, tuple(place.split(".")), f"the operator can't work with it: {sentence}")
        return
    yield from advise(policy.spec)
