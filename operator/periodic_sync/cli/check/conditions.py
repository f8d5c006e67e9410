"""What the operator itself says of a policy, and what the cluster said of it in the last hour."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from periodic_sync.api.errors import ApiError
from periodic_sync.api.names import Condition
from periodic_sync.cli.check.lines import Line, failed, ok, tried, unseen, warning
from periodic_sync.cli.check.operators import held_up
from periodic_sync.core.objects import PolicyRef, name_prefix
from periodic_sync.kube.client import KubeClient, Object, Objects
from periodic_sync.kube.policy_objects import PolicyObjects
from periodic_sync.kube.resources import EVENTS

LAST = timedelta(hours=1)
_MOST_EVENTS = 8
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")


def judge_conditions(body: Mapping[str, Any]) -> list[Line]:
    about, status = body["metadata"], body.get("status") or {}
    name = f"policy {about['name']}"
    if not status:
        return [failed(name, "the operator has not taken it up", "see the lines about the operator")]
    lines = [_judged(name, condition) for condition in status.get("conditions") or ()]
    if status.get("observedGeneration", 0) < about.get("generation", 0):
        message = f"the operator has seen generation {status.get('observedGeneration', 0)} of {about['generation']}"
        lines.append(warning(name, message, "wait a moment; if it stays, see the lines about the operator"))
    return lines


def _judged(name: str, condition: Mapping[str, Any]) -> Line:
    kind = str(condition.get("type"))
    bad = "True" if kind == Condition.STALLED else "False"
    words = f"{kind}={condition.get('status')} {condition.get('reason')}: {condition.get('message')}"
    if condition.get("status") == bad:
        return failed(name, words)
    return ok(name, words) if condition.get("status") in ("True", "False") else warning(name, words)


async def look_at_events(client: KubeClient, policy: PolicyRef, now: datetime) -> list[Line]:
    found = await tried(client.list(EVENTS, policy.namespace))
    if isinstance(found, ApiError):
        return [unseen("events", found)]
    return judge_events(found, policy, now)


def judge_events(events: Objects, policy: PolicyRef, now: datetime) -> list[Line]:
    """Warnings about the policy and about what it made, each reason once, with the newest note."""
    newest: dict[str, tuple[datetime, str, int]] = {}
    for event in events:
        at = event_time(event)
        if event.get("type") == "Normal" or not is_of(event, policy) or now - at > LAST:
            continue
        reason = str(event.get("reason"))
        before = newest.get(reason)
        note = str(event.get("note") or "") if before is None or at >= before[0] else before[1]
        newest[reason] = (max(at, before[0]) if before else at, note, (before[2] if before else 0) + 1)
    if not newest:
        return [ok("events", "no warnings in the last hour")]
    shown = sorted(newest.items(), key=lambda item: item[1][0], reverse=True)[:_MOST_EVENTS]
    return [warning("events", f"{reason} ({count} in the last hour): {note}") for reason, (_, note, count) in shown]


def is_of(event: Object, policy: PolicyRef) -> bool:
    regarding = event.get("regarding") or {}
    if regarding.get("kind") in ("Job", "Pod"):
        return str(regarding.get("name")).startswith(name_prefix(policy.name, policy.uid))
    return bool(regarding.get("uid") == policy.uid)


def event_time(event: Object) -> datetime:
    """Of the last time that it happened."""
    series = event.get("series") or {}
    text = (
        series.get("lastObservedTime")
        or event.get("deprecatedLastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
    )
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else datetime.fromtimestamp(0, UTC)


async def look_at_pods(client: KubeClient, policy: PolicyRef) -> list[Line]:
    found = await tried(PolicyObjects(client, policy.namespace, policy.name, policy.uid).pods())
    if isinstance(found, ApiError):
        return [unseen("worker's pods", found)]
    return judge_pods(found)


def judge_pods(pods: Objects) -> list[Line]:
    """Those that can't start."""
    lines: dict[str, Line] = {}
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            waiting = held_up(status)
            if not waiting:
                continue
            reason = waiting["reason"]
            fix = (
                "correct the image's name, or give the pods the right to pull it (worker.podTemplate, imagePullSecrets)"
                if reason in _NOT_PULLED
                else ""
            )
            message = f"{pod['metadata']['name']} waits: {reason}: {waiting.get('message') or 'no message'}"
            lines.setdefault(reason, failed("worker's pods", message, fix))
    return list(lines.values()) or [ok("worker's pods", f"none waits for anything but its turn ({len(pods)} there)")]
