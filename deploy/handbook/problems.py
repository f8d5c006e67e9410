"""The codes of the HTTP API's problems, found where they are raised."""

from http import HTTPStatus
from typing import Any

from handbook.calls import calls, constants_of, name_of
from handbook.markdown import listed, table, text

_OF_THE_FRAMEWORK = {400: {"BadRequest"}, 404: {"NotFound"}, 405: {"MethodNotAllowed"}}
"""What it refuses by itself: these codes are made of the status."""

_HEAD = """## Problems

What any route may answer in place of 2xx. `code` is one word that programs can rely on, `detail` a sentence with what
to do. 429 and 503 carry `Retry-After`, in seconds.

"""


def codes() -> dict[int, set[str]]:
    """By status."""
    found = {status: set(words) for status, words in _OF_THE_FRAMEWORK.items()}
    for call in calls("server"):
        match (name_of(call), *constants_of(call)):
            case ("Problem", int(status), str(word), *_):
                found.setdefault(status, set()).add(word)
            case ("unavailable", str(word), *_):
                found.setdefault(503, set()).add(word)
    return found


def section(document: dict[str, Any]) -> str:
    """document: the OpenAPI document, which says what a status means."""
    rows = [
        [str(status), text(_meaning(document, status)), listed(sorted(words))]
        for status, words in sorted(codes().items())
    ]
    fields = document["components"]["schemas"]["ProblemAnswer"]["properties"]
    return f"{_HEAD}{table(['status', '', 'codes'], rows)}Fields: {listed(fields)}.\n"


def _meaning(document: dict[str, Any], status: int) -> str:
    for operations in document["paths"].values():
        for operation in operations.values():
            told = operation["responses"].get(str(status))
            if told:
                return str(told["description"])
    return HTTPStatus(status).phrase
