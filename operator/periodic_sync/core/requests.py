"""Manual requests: what a person's two annotations ask for."""

from collections.abc import Mapping
from dataclasses import dataclass

from periodic_sync.api.names import REQUESTED_AT_ANNOTATION, SYNC_USERS_ANNOTATION
from periodic_sync.core.ledger import Ledger, Scope

_SCOPES = {"all": Scope.ALL, "active": Scope.ACTIVE}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the annotations state it. `users`: the ids of a named scope; empty for the others."""

    token: str
    scope: Scope
    users: frozenset[str] = frozenset()


def read_request(annotations: Mapping[str, str]) -> Asked | None:
    """What is asked for; None: nothing, or a token without anyone to sync.

    `all` and `active` alone are scopes; in a list they are ids like any other.
    """
    token = annotations.get(REQUESTED_AT_ANNOTATION, "").strip()
    text = annotations.get(SYNC_USERS_ANNOTATION, "").strip()
    users = frozenset(part.strip() for part in text.split(",") if part.strip())
    if not token or not users:
        return None
    if text in _SCOPES:
        return Asked(token, _SCOPES[text])
    return Asked(token, Scope.NAMED, users)


def named_users(asked: Asked | None, ledger: Ledger) -> frozenset[str]:
    """The ids of the ledger's request, as long as the annotation carries its token."""
    request = ledger.request
    return asked.users if asked is not None and request is not None and request.token == asked.token else frozenset()
