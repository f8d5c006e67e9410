"""The documents of a file of YAML or JSON, with the line of every value."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from periodic_sync.cli.lint.findings import Finding, Path, Severity
from periodic_sync.cli.lint.scalars import plain_scalar, tagged_scalar

MOST_NODES = 200_000
"""Aliases can make much of little."""

_DEEPEST = 100
_PLAIN = "plain"
_MERGE = "<<"


class _Loader(yaml.BaseLoader):
    """Decides nothing on plain scalars: what they are, kubectl's rules say."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _PLAIN
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]


class UnreadableError(Exception):
    """It is no YAML. line: from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Document:
    """A value as JSON has it. lines: of every value in it, from 1. findings: what kubectl would pass over."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Of the value, or of the nearest one around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_documents(text: str) -> Iterator[Document]:
    """Empty documents are none. Raises: UnreadableError."""
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            document = _Reading(Document()).read(node)
            if document.value is not None:
                yield document
    except yaml.YAMLError as error:
        if text.lstrip().startswith("{"):
            yield _json(text)
        else:
            raise _unreadable(error) from None
    except RecursionError:
        raise UnreadableError("it is nested too deeply", 1) from None


def _json(text: str) -> Document:
    """Tabs, which no YAML takes."""
    try:
        return Document(json.loads(text))
    except ValueError as error:
        raise UnreadableError(f"it is neither YAML nor JSON: {error}", getattr(error, "lineno", 1)) from None


def _unreadable(error: yaml.YAMLError) -> UnreadableError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        words = ": ".join(word for word in (error.context, error.problem) if word)
        return UnreadableError(f"it is no YAML: {words}", mark.line + 1 if mark else 1)
    return UnreadableError(f"it is no YAML: {str(error).splitlines()[0]}", 1)


class _Reading:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def read(self, node: yaml.Node) -> Document:
        self._document.value = self._value(node, ())
        return self._document

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        line = node.start_mark.line + 1
        if self._nodes > MOST_NODES or len(path) > _DEEPEST:
            raise UnreadableError("its aliases and levels make too much of it", line)
        self._document.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, at)) for at, item in enumerate(node.value)]
        return _scalar(node, line)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        given: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.value == _MERGE and not key_node.style:
                for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    found = self._value(source, path)
                    merged = {**(found if isinstance(found, dict) else {}), **merged}
                continue
            key = _key(key_node, line)
            at = (*path, key)
            if key in given:
                message = f"{key} is given twice, and the last one counts"
                self._document.findings.append(Finding(Severity.WARNING, at, message, line=line))
            self._document.lines[at] = line
            given[key] = self._value(value_node, at)
        return {**merged, **given}


def _scalar(node: yaml.Node, line: int) -> Any:
    try:
        return plain_scalar(node.value) if node.tag == _PLAIN else tagged_scalar(str(node.tag), node.value)
    except ValueError as error:
        raise UnreadableError(f"it is no YAML: {error}", line) from None


def _key(node: yaml.Node, line: int) -> str:
    value = _scalar(node, line) if isinstance(node, yaml.ScalarNode) else None
    if value is None:
        raise UnreadableError("a key must be a text", line)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
