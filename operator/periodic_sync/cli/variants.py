"""The policies that `simulate` plays: from the cluster or a file, and changed by hand."""

import sys
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from periodic_sync.api.names import KIND
from periodic_sync.cli.errors import CommandError

if TYPE_CHECKING:
    from periodic_sync.api.spec import SyncPolicySpec

Body = dict[str, Any]


def from_file(file: str, name: str | None) -> Body:
    """The SyncPolicy in a file, or the one of that name. `-`: standard input. Raises: CommandError, OSError."""
    text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    where = "standard input" if file == "-" else file
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise CommandError(
            f"{where}{line} is no YAML: {getattr(error, 'problem', None) or 'it can not be read'}"
        ) from None
    found = [each for each in _objects(documents) if each.get("kind") == KIND]
    chosen = [each for each in found if name is None or _name(each) == name]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(map(_name, found))
    if not chosen:
        raise CommandError(f"{where} has no {KIND}{f' {name}, but {names}' if name and names else ''}")
    raise CommandError(f"{where} has several SyncPolicies: name one of {names}")


def changed(body: Body, changes: Iterable[str]) -> Body:
    """With these changes, each such as `spec.batchSize=20`; values are YAML, `null` takes away.

    Raises: CommandError.
    """
    result = deepcopy(body)
    for change in changes:
        path, is_given, text = change.partition("=")
        *parents, last = path.removeprefix("spec.").split(".")
        if not (is_given and last and all(parents or ["-"])):
            raise CommandError(f"--set {change}: write it as spec.batchSize=20")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise CommandError(f"--set {change}: what is after the = is no YAML") from None
        holder = result.setdefault("spec", {})
        for parent in parents:
            holder = holder[parent] if isinstance(holder.get(parent), dict) else holder.setdefault(parent, {})
            if not isinstance(holder, dict):
                raise CommandError(f"--set {change}: there is nothing under {parent} to be set")
        if value is None:
            holder.pop(last, None)
        else:
            holder[last] = value
    return result


def spec_of(body: Mapping[str, Any], what: str) -> "SyncPolicySpec":
    """By the API server's rules; what: as a sentence begins.

    Raises: CommandError, also for a field that nobody knows: it may be one that is misspelt.
    """
    from periodic_sync.api.names import API_VERSION
    from periodic_sync.api.policy import SyncPolicy
    from periodic_sync.cli.lint.check import check_policy
    from periodic_sync.cli.lint.findings import spelled

    about = {"name": _name(body) or "policy"}
    whole = {"apiVersion": API_VERSION, "kind": KIND, "metadata": about, "spec": body.get("spec") or {}}
    findings = [each for each in check_policy(whole) if each.is_error or each.message.startswith("unknown field")]
    if findings:
        said = "; ".join(f"{spelled(each.path)}: {each.message}" for each in findings)
        raise CommandError(f"{what} would be refused: {said}")
    return SyncPolicy.parse({**whole, "metadata": {**about, "namespace": "", "uid": ""}}).spec


def _objects(documents: Iterable[Any]) -> Iterable[Body]:
    for each in documents:
        if isinstance(each, dict) and isinstance(each.get("items"), list):
            yield from _objects(each["items"])
        elif isinstance(each, dict):
            yield each


def _name(body: Mapping[str, Any]) -> str:
    return str((body.get("metadata") or {}).get("name", ""))
