"""What was found, where."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

Path = tuple[str | int, ...]
"""Where a value is in its document: names of fields, keys of maps, places in lists."""


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


class Cause(StrEnum):
    """Why the API server refuses, in its own words."""

    REQUIRED = "FieldValueRequired"
    INVALID = "FieldValueInvalid"
    TYPE = "FieldValueTypeInvalid"
    UNSUPPORTED = "FieldValueNotSupported"
    DUPLICATE = "FieldValueDuplicate"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"

    @property
    def keeps_rules_from_running(self) -> bool:
        return self not in (Cause.INVALID, Cause.DUPLICATE)


@dataclass(frozen=True, slots=True)
class Finding:
    """cause: that of the API server; None: it has nothing against it. line: from 1."""

    severity: Severity
    path: Path
    message: str
    cause: Cause | None = None
    line: int = 0
    field: str = ""

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR


def refusal(path: Path, message: str, cause: Cause = Cause.INVALID) -> Finding:
    return Finding(Severity.ERROR, path, message, cause)


def spelled(path: Iterable[str | int]) -> str:
    """As Kubernetes writes it: spec.worker.env[0].name."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
