"""The API server: its version, its clock, and the CustomResourceDefinition in it."""

import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from periodic_sync.api.crd import CRD_NAME, build_crd
from periodic_sync.api.errors import ApiError, ForbiddenError, NotFoundError
from periodic_sync.api.names import GROUP, VERSION
from periodic_sync.cli.check.lines import Line, failed, ok, tried, unseen, warning
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.resources import DEFINITIONS

LEAST_VERSION = (1, 31)
SKEW_TOLD = 5.0
"""Seconds. Date headers know whole seconds, and an answer takes its time."""
SKEW_TOO_MUCH = 300.0
"""Records that are further ahead are refused by the operator."""
_INSTALL = "apply the CRD of the operator's version: `kubectl apply --server-side -k crds`"
_MOST_PLACES = 3


class Server(NamedTuple):
    """ahead: seconds by which the API server's clock is ahead of this machine's; None where it tells none."""

    version: Mapping[str, Any]
    ahead: float | None


async def look_at_server(client: KubeClient) -> Server:
    """Raises: ApiError."""
    before = time.time()
    answer = await client.read("/version")
    after = time.time()
    date = answer.headers.get("Date")
    # A header's second has begun: on average half of it is over.
    ahead = parsedate_to_datetime(date).timestamp() + 0.5 - (before + after) / 2 if date else None
    version: dict[str, Any] = json.loads(answer.body)
    return Server(version, ahead)


def judge_version(version: Mapping[str, Any]) -> Line:
    topic, name = "Kubernetes", str(version.get("gitVersion", "unknown"))
    digits = [re.match(r"\d+", str(version.get(part, ""))) for part in ("major", "minor")]
    if not all(digits):
        return unseen(topic, f"the API server's version, {name}, can't be read")
    if tuple(int(found[0]) for found in digits if found) < LEAST_VERSION:
        return failed(topic, f"version {name} is too old", "upgrade the cluster to 1.31 or later")
    return ok(topic, f"version {name}")


def judge_clock(topic: str, ahead: float | None, whose: str) -> Line:
    """ahead: seconds by which that clock is ahead of this machine's."""
    if ahead is None:
        return unseen(topic, f"{whose} tells no time")
    if abs(ahead) < SKEW_TOLD:
        return ok(topic, f"this machine and {whose} agree within {SKEW_TOLD:.0f} s")
    way = "behind" if ahead > 0 else "ahead of"
    message = f"this machine is {abs(ahead):.0f} s {way} {whose}"
    fix = "synchronise the clocks (NTP): activity that is told with times of the wrong clock is refused from 5 min on"
    return failed(topic, message, fix) if abs(ahead) >= SKEW_TOO_MUCH else warning(topic, message, fix)


async def look_at_definition(client: KubeClient) -> list[Line]:
    found = await tried(client.get(DEFINITIONS, None, CRD_NAME))
    if isinstance(found, ForbiddenError):
        served = await tried(client.read(f"/apis/{GROUP}/{VERSION}"))
        if not isinstance(served, ApiError):
            return [ok("CRD", f"{GROUP}/{VERSION} is served"), unseen("CRD's schema", found)]
        found = served
    return judge_definition(found)


def judge_definition(found: Object | ApiError) -> list[Line]:
    if isinstance(found, NotFoundError):
        return [failed("CRD", "this cluster knows no SyncPolicies", _INSTALL)]
    if isinstance(found, ApiError):
        return [unseen("CRD", found)]
    conditions = {it["type"]: it["status"] for it in (found.get("status") or {}).get("conditions") or ()}
    version = next((it for it in found["spec"]["versions"] if it["name"] == VERSION and it["served"]), None)
    if version is None or conditions.get("Established") != "True":
        return [failed("CRD", f"{CRD_NAME} is there, and {VERSION} is not served", _INSTALL)]
    (ours,) = build_crd()["spec"]["versions"]
    places = differences(_meaning(ours["schema"]), _meaning(version["schema"]))
    if not places:
        return [ok("CRD", f"{CRD_NAME} is that of this program's version")]
    shown = ", ".join(places[:_MOST_PLACES]) + (
        f" and {len(places) - _MOST_PLACES} more" * (len(places) > _MOST_PLACES)
    )
    return [warning("CRD", f"its schema is of another version than this program: {shown} differ", _INSTALL)]


def _meaning(node: Any) -> Any:
    """Without descriptions, which refuse nothing."""
    if isinstance(node, dict):
        return {
            key: _meaning(item) for key, item in node.items() if not (key == "description" and isinstance(item, str))
        }
    return [_meaning(item) for item in node] if isinstance(node, list) else node


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """The fields, as people write them, in which two schemas differ."""
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return [] if ours == theirs else [path or "the schema"]
    found: list[str] = []
    for key in sorted(ours.keys() | theirs.keys()):
        if key in ("openAPIV3Schema", "properties", "additionalProperties", "items"):
            at = path
        elif isinstance(ours.get(key, theirs.get(key)), dict):
            at = f"{path}.{key}" if path else key
        else:
            at = path
        for place in differences(ours.get(key), theirs.get(key), at):
            if place not in found:
                found.append(place)
    return found
