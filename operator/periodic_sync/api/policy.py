"""A SyncPolicy as the operator reads it from the API server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import ValidationError

from periodic_sync.api.spec import SyncPolicySpec


class InvalidPolicyError(Exception):
    """The resource is none that the operator can work with; the text says what to correct, for a person."""


@dataclass(frozen=True)
class SyncPolicy:
    """One SyncPolicy at one generation."""

    name: str
    namespace: str
    uid: str
    generation: int
    spec: SyncPolicySpec
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Read the object that the API server sent.

        The API server refuses bad specs itself, but an older CRD in the cluster may have let one pass, and CEL cannot
        look into everything. Fields that are not known, from a newer CRD, are left out.

        Raises: InvalidPolicyError with one sentence that names the fields.
        """
        metadata = body["metadata"]
        try:
            # Through a plain dict, since kopf's bodies are views that pydantic does not take for one.
            spec = SyncPolicySpec.model_validate(_plain(body.get("spec") or {}))
        except ValidationError as error:
            raise InvalidPolicyError(_sentence(error)) from None
        except RecursionError:
            raise InvalidPolicyError("spec is nested too deeply: give worker.http.body as a string of JSON") from None
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            spec=spec,
            annotations=dict(metadata.get("annotations") or {}),
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _sentence(error: ValidationError) -> str:
    return "; ".join(_complaint(problem) for problem in error.errors(include_url=False))


def _complaint(problem: Any) -> str:
    """Where and what: `spec.jobs.deadline: write a duration of at least 1s, ...`."""
    path = "spec"
    for step in problem["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    if problem["type"] == "missing":
        return f"{path} is required"
    cause = problem.get("ctx", {}).get("error")
    # pydantic's sentences begin with a capital letter, and say "Value error" before those of our own.
    text = str(cause) if cause else problem["msg"][:1].lower() + problem["msg"][1:]
    return f"{path}: {text}"
