"""Fills user data into the URL and the JSON body of a call. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from periodic_sync.worker.batch import Batch, User

PLACEHOLDERS = ("userId", "wallet", "policy", "batch", "priority")
_PLACEHOLDER = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")
_BRACES = re.compile(r"\{[^{}]*\}?|\}")
_NOT_IN_URLS = re.compile(r"[^!-~]")
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class RenderError(ValueError):
    """This user's data can't go where the template wants it. Its text is a reason that names no wallet."""


def check_url(url: str) -> None:
    """See to it that a URL template can be called.

    Raises: ValueError with a sentence.
    """
    if _NOT_IN_URLS.search(url):
        raise ValueError("holds spaces or non-ASCII characters: write them percent-encoded")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// address, such as http://sync.default.svc/users/{userId}/sync")
    if "{" in parts.netloc or "}" in parts.netloc:
        # A user's record must never choose the host that gets the bearer token.
        raise ValueError("has a placeholder in its host: placeholders go into the path or the query")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials: use headers or bearerTokenSecretRef")
    _ = parts.port  # raises a sentence of its own
    for braces in _BRACES.findall(url):
        if not _PLACEHOLDER.fullmatch(braces):
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"has {braces}, which is not filled in: known are {known}")


def values_for(batch: Batch, user: User) -> dict[str, str]:
    """What each placeholder stands for, for one user."""
    return {
        "userId": user.id,
        "wallet": user.wallet,
        "policy": batch.policy,
        "batch": batch.batch,
        "priority": batch.priority,
    }


def render_url(template: str, values: Mapping[str, str]) -> str:
    """Fill in a URL; every value is percent-encoded whole, slashes too.

    Raises: RenderError for a value of "." or ".." in the path: servers read these as steps in the path however they
    are encoded, and would sync something else.
    """

    def fill(match: re.Match[str]) -> str:
        return quote(values[match[1]], safe="")

    path = urlsplit(template).path
    for segment, part in zip(_PLACEHOLDER.sub(fill, path).split("/"), path.split("/"), strict=True):
        if segment in (".", "..") and segment != part:
            raise RenderError("user id or wallet is only dots, which a URL path can't carry")
    return _PLACEHOLDER.sub(fill, template)


def render_body(template: Any, values: Mapping[str, str], tokens: list[Any]) -> Any:
    """Fill in a JSON value: placeholders within its strings, and a string that is exactly "{tokens}" becomes the list.

    Keys, and braces that are no placeholder, stay as they are. Filled-in text is never searched again.
    """
    if isinstance(template, str):
        return tokens if template == "{tokens}" else _PLACEHOLDER.sub(lambda match: values[match[1]], template)
    if isinstance(template, list):
        return [render_body(item, values, tokens) for item in template]
    if isinstance(template, dict):
        return {key: render_body(item, values, tokens) for key, item in template.items()}
    return template


def body_for(method: str, template: Any, batch: Batch, user: User) -> bytes | None:
    """The body of one user's call as JSON in UTF-8, or None where there is none.

    Without a template POST, PUT and PATCH carry `{"userId", "wallet", "priority", "tokens"}`, other methods nothing.
    """
    tokens = list(user.tokens)
    if template is not None:
        value = render_body(template, values_for(batch, user), tokens)
    elif method in _METHODS_WITH_BODY:
        value = {"userId": user.id, "wallet": user.wallet, "priority": batch.priority, "tokens": tokens}
    else:
        return None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
