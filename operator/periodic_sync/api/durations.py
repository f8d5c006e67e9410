"""Durations as the Gateway API writes them (GEP-2257): `5m`, `1h30m`, `500ms`.

The pattern is GEP-2257's own, `^([0-9]{1,5}(h|m|s|ms)){1,4}$`: whole numbers, one to four parts.
"""

import re

DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_WHOLE = re.compile(DURATION_PATTERN)
_PART = re.compile(r"([0-9]{1,5})(ms|h|m|s)")
_UNITS = {"h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1}


def parse_duration(text: str) -> int:
    """Read a GEP-2257 duration.

    Returns: whole milliseconds, at least 0.
    Raises: ValueError with a sentence that shows how durations are written.
    """
    # fullmatch, since `$` alone would let a trailing line break pass.
    if not isinstance(text, str) or not _WHOLE.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a duration: write hours, minutes, seconds or milliseconds, such as 5m, 1h30m or 500ms"
        )
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def format_duration(milliseconds: int) -> str:
    """Write whole milliseconds the shortest way that GEP-2257 knows, largest unit first: 90000 is `1m30s`.

    For logs and messages it also writes what GEP-2257 has no words for, which `parse_duration` then refuses:
    a minus sign, and more than 99999 hours.
    """
    if milliseconds == 0:
        return "0s"
    sign, milliseconds = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    parts: list[str] = []
    for unit, size in _UNITS.items():
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts)
