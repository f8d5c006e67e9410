"""The variables PERIODIC_SYNC_* of the old service as the settings of a policy. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from periodic_sync.api.durations import HOUR, MINUTE, SECOND, format_duration, parse_duration

PREFIX = "PERIODIC_SYNC_"
ENABLED = f"{PREFIX}ENABLED"
MARKET_HOURS = f"{PREFIX}MARKET_HOURS_INTERVAL"
OFF_HOURS = f"{PREFIX}OFF_HOURS_INTERVAL"
STALE = f"{PREFIX}STALE_THRESHOLD"
BATCH_SIZE = f"{PREFIX}BATCH_SIZE"
KNOWN = (ENABLED, MARKET_HOURS, OFF_HOURS, STALE, BATCH_SIZE)

DEFAULT_ACTIVE = 24 * HOUR
LONGEST = 99_999 * HOUR
LONGEST_WRITTEN = LONGEST + HOUR - SECOND
"""99999h59m59s: still longer than the longest interval."""
LARGEST_BATCH = 1000

_DEFAULTS = {MARKET_HOURS: 5 * MINUTE, OFF_HOURS: 15 * MINUTE, STALE: HOUR, BATCH_SIZE: 10}
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_SHOWN = 40
"""Characters of a value in a warning."""


@dataclass(slots=True)
class Settings:
    """Durations in milliseconds. active: None where the default will do, which the old service had no variable for."""

    enabled: bool = True
    market_hours: int = _DEFAULTS[MARKET_HOURS]
    off_hours: int = _DEFAULTS[OFF_HOURS]
    stale: int = _DEFAULTS[STALE]
    active: int | None = None
    batch_size: int = _DEFAULTS[BATCH_SIZE]
    origins: dict[str, str] = field(default_factory=dict)
    """By variable: where its setting came from, for a comment beside it."""
    warnings: list[str] = field(default_factory=list)


def read_settings(variables: Mapping[str, str | None]) -> Settings:
    """variables: all there are; others than PERIODIC_SYNC_* mean nothing. What the rules refuse is told and mended."""
    settings = Settings()
    for name in sorted(variables):
        if name.startswith(PREFIX) and name not in KNOWN:
            settings.warnings.append(f"{name} is none of the old service's settings that have a place here: left out")
    given = {name: (variables.get(name) or "").strip() for name in KNOWN if variables.get(name) is not None}
    settings.enabled = _enabled(given, settings)
    settings.market_hours = _duration(given, MARKET_HOURS, settings)
    settings.off_hours = _duration(given, OFF_HOURS, settings)
    settings.stale = _duration(given, STALE, settings)
    settings.batch_size = _batch_size(given, settings)
    _mend_stale(settings)
    _mend_active(settings)
    return settings


def _enabled(given: Mapping[str, str], settings: Settings) -> bool:
    text = given.get(ENABLED)
    if text is None:
        settings.origins[ENABLED] = "the default"
        return True
    settings.origins[ENABLED] = _from(ENABLED, text)
    found = _WORDS.get(text.lower())
    if found is None:
        _warn(settings, ENABLED, text, "neither true nor false", "enabled: false, so that nothing starts by mistake")
        return False
    return found


def _duration(given: Mapping[str, str], name: str, settings: Settings) -> int:
    """Milliseconds, as the old service had them."""
    default = _DEFAULTS[name]
    text = given.get(name)
    if text is None:
        settings.origins[name] = "the default"
        return default
    settings.origins[name] = _from(name, text)
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        return _written_out(name, text, default, settings)
    value = int(text)
    if value <= 0:
        _warn(settings, name, text, "not longer than zero", f"{format_duration(default)}, the default")
        return default
    return _bounded(name, text, value, settings)


def _written_out(name: str, text: str, default: int, settings: Settings) -> int:
    """A duration with units, which the old service would have cut to its first number."""
    try:
        value = parse_duration(text)
    except ValueError:
        value = 0
    if value <= 0:
        _warn(settings, name, text, "no number of milliseconds", f"{format_duration(default)}, the default")
        return default
    value = _bounded(name, text, value, settings)
    _warn(settings, name, text, "no number of milliseconds, which the old service had", format_duration(value))
    return value


def _bounded(name: str, text: str, value: int, settings: Settings) -> int:
    within = min(max(value, SECOND), LONGEST)
    if within != value:
        _warn(settings, name, text, f"refused: 1s to {format_duration(LONGEST)} can be set", format_duration(within))
    return within


def _batch_size(given: Mapping[str, str], settings: Settings) -> int:
    default = _DEFAULTS[BATCH_SIZE]
    text = given.get(BATCH_SIZE)
    if text is None:
        settings.origins[BATCH_SIZE] = "the default"
        return default
    settings.origins[BATCH_SIZE] = _from(BATCH_SIZE, text)
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", text) or int(text) <= 0:
        _warn(settings, BATCH_SIZE, text, "no number of users from 1 on", f"{default}, the default")
        return default
    if int(text) > LARGEST_BATCH:
        _warn(settings, BATCH_SIZE, text, f"refused: 1 to {LARGEST_BATCH} can be set", str(LARGEST_BATCH))
    return min(int(text), LARGEST_BATCH)


def _mend_stale(settings: Settings) -> None:
    shorter = min(settings.market_hours, settings.off_hours)
    if settings.stale > shorter:
        return
    longer = min(2 * shorter, LONGEST_WRITTEN)
    which = "twice that interval" if longer == 2 * shorter else "the longest that can be written"
    settings.warnings.append(
        f"a stale threshold of {format_duration(settings.stale)} is refused, as it is not longer than the shorter "
        f"interval, {format_duration(shorter)}: every user would be stale at all times. Made of it: "
        f"{format_duration(longer)}, {which}"
    )
    settings.stale = longer
    settings.origins[STALE] += ", raised"


def _mend_active(settings: Settings) -> None:
    longest = max(settings.market_hours, settings.off_hours)
    if longest <= DEFAULT_ACTIVE:
        return
    settings.active = longest
    settings.warnings.append(
        f"users count as active for {format_duration(DEFAULT_ACTIVE)}, which is shorter than the longer interval and "
        f"refused. Made of it: thresholds.active of {format_duration(longest)}"
    )


def _from(name: str, text: str) -> str:
    return f"from {name}={_short(text)}"


def _short(text: str) -> str:
    """One line of printable characters, as it goes into a comment."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _warn(settings: Settings, name: str, text: str, what: str, made: str) -> None:
    settings.warnings.append(f"{name}={_short(text)} is {what}. Made of it: {made}")
