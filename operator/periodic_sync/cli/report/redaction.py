"""What must not leave the cluster is taken out: wallets, credentials, values of variables, and whose users they are.

What is known to be an id or a wallet is looked for in every text; on top, what looks like a wallet or a credential.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from periodic_sync.api.names import SYNC_USERS_ANNOTATION
from periodic_sync.api.wallets import HIDDEN, hide_wallets

GONE = "[redacted]"

_WORD = re.compile(r"[A-Za-z0-9._:@-]+")
_ENDS = ".:-"
_PATTERNS = (
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{GONE}@"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*){0,2}"), GONE),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;]+"), rf"\1 {GONE}"),
    (re.compile(r"(?i)\b((?:[a-z0-9]+[_-])*(?:password|passwd|secret|token|api[_-]?key))(\"?\s*[=:]\s*\"?)[^\s\"',;&]+"),
     rf"\1\2{GONE}"),
    (re.compile(r"0[xX][0-9a-fA-F]{8,}"), HIDDEN),
    (re.compile(r"\b(?:bc1|cosmos1|addr1)[0-9a-z]{20,}\b"), HIDDEN),
)  # fmt: skip
_BASE_58 = re.compile(r"\b(?=[A-Za-z0-9]*[0-9])(?=[A-Za-z0-9]*[a-z])(?=[A-Za-z0-9]*[A-Z])[1-9A-HJ-NP-Za-km-z]{26,64}\b")
_PLACEHOLDER = re.compile(r"(\{[A-Za-z]+\})")
_USER_KEYS = ("user", "userId", "users", "userIds")


@dataclass(slots=True)
class Redaction:
    """salt: makes hashes of one bundle mean nothing in another. phrases: whole texts that name users."""

    salt: bytes
    with_user_ids: bool = False
    users: set[str] = field(default_factory=set)
    wallets: set[str] = field(default_factory=set)
    phrases: dict[str, str] = field(default_factory=dict)

    def user(self, user_id: str) -> str:
        if self.with_user_ids:
            return self.pattern(user_id)
        return f"user-{hashlib.sha256(self.salt + user_id.encode()).hexdigest()[:10]}"

    def text(self, text: str) -> str:
        """For people: messages, notes, lines of logs."""
        for phrase in sorted(self.phrases, key=len, reverse=True):
            text = text.replace(phrase, self.phrases[phrase])
        if not self.with_user_ids:
            text = _WORD.sub(self._word, text)
        return _BASE_58.sub(HIDDEN, self.pattern(text))

    def pattern(self, text: str) -> str:
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text

    def files(self, files: Mapping[str, str]) -> dict[str, str]:
        """Known wallets, in whatever way they are written, once over everything: that takes a while for many."""
        return dict(zip(files, hide_wallets(files.values(), self.wallets), strict=True))

    def value(self, value: Any, *, by_key: bool = True) -> Any:
        """Every text in a structure. by_key: what stands under keys such as `user` is one, known or not."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(item, by_key=by_key) for item in value]
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): self._named(item)
                if by_key and key in _USER_KEYS
                else self.value(item, by_key=by_key)
                for key, item in value.items()
            }
        return value

    def _named(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.user(value)
        return [self.user(str(item)) for item in value] if isinstance(value, list) else self.value(value)

    def _word(self, found: re.Match[str]) -> str:
        word = found[0]
        if word in self.users:
            return self.user(word)
        bare = word.rstrip(_ENDS)
        return self.user(bare) + word[len(bare) :] if bare in self.users else word


def object_metadata(about: Mapping[str, Any]) -> dict[str, Any]:
    """Without what kubectl and others keep there: whole copies of the object among it."""
    kept = {key: item for key, item in about.items() if key not in ("managedFields", "annotations")}
    if about.get("annotations"):
        kept["annotations"] = dict.fromkeys(about["annotations"], GONE)
    return kept


def policy(body: Mapping[str, Any], redaction: Redaction) -> dict[str, Any]:
    """A SyncPolicy."""
    spec = dict(body.get("spec") or {})
    jobs = dict(spec.get("jobs") or {})
    if jobs.get("annotations"):
        jobs["annotations"] = dict.fromkeys(jobs["annotations"], GONE)
    if jobs:
        spec["jobs"] = jobs
    if spec.get("worker"):
        spec["worker"] = _worker(spec["worker"])
    about = object_metadata(body["metadata"])
    asked = (body["metadata"].get("annotations") or {}).get(SYNC_USERS_ANNOTATION)
    if asked in ("all", "active"):
        about["annotations"][SYNC_USERS_ANNOTATION] = asked
    return {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        "metadata": about,
        "spec": redaction.value(spec, by_key=False),
        "status": redaction.value(body.get("status") or {}),
    }


def _worker(worker: Mapping[str, Any]) -> dict[str, Any]:
    shown = _container(worker)
    http = dict(shown.get("http") or {})
    if http:
        base, mark, _ = str(http.get("url", "")).partition("?")
        http["url"] = base + (f"?{GONE}" if mark else "")
        if http.get("headers"):
            http["headers"] = [{"name": each.get("name"), "value": GONE} for each in http["headers"]]
        if "body" in http:
            http["body"] = _template(http["body"])
        shown["http"] = http
    return shown


def _template(value: Any) -> Any:
    """Its shape and placeholders."""
    if isinstance(value, Mapping):
        return {key: _template(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_template(item) for item in value]
    if isinstance(value, str):
        return "".join(part if _PLACEHOLDER.fullmatch(part) else "…" for part in _PLACEHOLDER.split(value) if part)
    return value


def _container(container: Mapping[str, Any]) -> dict[str, Any]:
    """Names of variables, and where they come from; no value, and no word of its command."""
    shown = dict(container)
    if shown.get("env"):
        shown["env"] = [{**each, "value": GONE} if "value" in each else each for each in shown["env"]]
    for key in ("command", "args"):
        if shown.get(key):
            shown[key] = [GONE] * len(shown[key])
    return shown


def _pod_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(spec)
    for key in ("containers", "initContainers", "ephemeralContainers"):
        if spec.get(key):
            shown[key] = [_container(each) for each in spec[key]]
    return shown


def job(body: Mapping[str, Any], redaction: Redaction) -> dict[str, Any]:
    """A Job."""
    spec = dict(body.get("spec") or {})
    template = spec.get("template") or {}
    spec["template"] = {
        "metadata": object_metadata(template.get("metadata") or {}),
        "spec": _pod_spec(template.get("spec") or {}),
    }
    return {
        "metadata": object_metadata(body["metadata"]),
        "spec": redaction.value(spec),
        "status": redaction.value(body.get("status") or {}),
    }


def pod(body: Mapping[str, Any], redaction: Redaction) -> dict[str, Any]:
    """A pod's status. What a worker wrote when it ended is left out but for its length: it names users."""
    status = dict(body.get("status") or {})
    for key in ("containerStatuses", "initContainerStatuses"):
        if status.get(key):
            status[key] = [_container_status(each) for each in status[key]]
    return {
        "metadata": object_metadata(body["metadata"]),
        "node": (body.get("spec") or {}).get("nodeName"),
        "status": redaction.value(status),
    }


def _container_status(status: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(status)
    for key in ("state", "lastState"):
        ended = (status.get(key) or {}).get("terminated")
        if ended and ended.get("message"):
            said = f"[{len(ended['message'])} characters]"
            shown[key] = {"terminated": {**ended, "message": said}}
    return shown


def cut(text: str) -> str:
    """A message that names users after its first colon, semicolon, or "such as"."""
    head = re.split(r"[:;]| such as ", text, maxsplit=1)[0]
    return text if head == text else f"{head}: [what follows names users]"
