"""A SyncPolicy as YAML that people read and finish: each setting with where it came from. Pure."""

import json
from dataclasses import dataclass

from periodic_sync.api.durations import format_duration
from periodic_sync.api.names import API_VERSION, KIND
from periodic_sync.cli.convert_env import settings as old
from periodic_sync.cli.convert_env.settings import Settings

FILL_IN_URL = "http://fill-in.invalid/users/{userId}/sync"
"""No such host can exist (RFC 2606), so that a policy that was forgotten to be finished reaches nobody."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the old settings don't say. redis_secret: None for a store of ConfigMaps. url: None: to be filled in."""

    name: str
    namespace: str | None
    config_map: str
    redis_secret: str | None
    secret_key: str
    key_prefix: str
    url: str | None


def manifest(settings: Settings, place: Place, source: str) -> str:
    """source: where the settings were read."""
    named = {"name": place.name} | ({"namespace": place.namespace} if place.namespace else {})
    lines = [
        f"# A SyncPolicy in place of the old service, from {source}.",
        "# What it leaves out has its default: `kubectl explain syncpolicy.spec --recursive` tells them all.",
        f"apiVersion: {API_VERSION}",
        f"kind: {KIND}",
        f"metadata: {_flow(named)}",
        "spec:",
        *_noted(
            (f"  enabled: {str(settings.enabled).lower()}", settings.origins[old.ENABLED]),
            ("  intervals:", ""),
            (f"    marketHours: {format_duration(settings.market_hours)}", settings.origins[old.MARKET_HOURS]),
            (f"    offHours: {format_duration(settings.off_hours)}", settings.origins[old.OFF_HOURS]),
            ("  thresholds:", ""),
            *_active(settings),
            (f"    stale: {format_duration(settings.stale)}", settings.origins[old.STALE]),
            (f"  batchSize: {settings.batch_size}", settings.origins[old.BATCH_SIZE]),
        ),
        "  store:",
        f"    {_store(place)}",
        "  worker:",
        "    http:",
        *(["      # FILL IN: where your sync service syncs one user"] if place.url is None else []),
        f"      url: {json.dumps(place.url or FILL_IN_URL)}",
    ]
    return "\n".join(lines) + "\n"


def _active(settings: Settings) -> list[tuple[str, str]]:
    if settings.active is None:
        return []
    return [(f"    active: {format_duration(settings.active)}", "as long as the longer interval")]


def _store(place: Place) -> str:
    if place.redis_secret is None:
        name = _flow({"name": place.config_map})
        return f"configMap: {name} # one user a key, as docs/reference/configmap-store.md has it"
    reference = {"name": place.redis_secret, "key": place.secret_key}
    return f"redis: {{urlSecretRef: {_flow(reference)}, keyPrefix: {json.dumps(place.key_prefix)}}}"


def _flow(pairs: dict[str, str]) -> str:
    """JSON's quotes, which YAML reads alike, whatever a name looks like."""
    return "{" + ", ".join(f"{key}: {json.dumps(text)}" for key, text in pairs.items()) + "}"


def _noted(*lines: tuple[str, str]) -> list[str]:
    width = max(len(line) for line, note in lines if note)
    return [f"{line:<{width}}  # {note}" if note else line for line, note in lines]
