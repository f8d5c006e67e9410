"""Sets of indexes as Kubernetes writes them in `completedIndexes`: `1,3-5,7`."""

import re
from collections.abc import Iterable

_PART = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")


def parse_indexes(text: str, count: int) -> frozenset[int]:
    """Read such a set, without what is not below `count`; spaces around the parts are allowed.

    A range is never expanded beyond `count`, however far it reaches.
    Raises: ValueError where a part is neither a number nor a range that rises.
    """
    found: set[int] = set()
    for part in text.split(",") if text.strip() else ():
        match = _PART.fullmatch(part.strip())
        if not match:
            raise ValueError("a part of it is neither an index nor a range of them, such as 3 or 17-20")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"the range {part.strip()} ends before it begins")
        found.update(range(first, min(last + 1, count)))
    return frozenset(found)


def format_indexes(indexes: Iterable[int]) -> str:
    """Write such a set as Kubernetes does: rising, three or more in a row as a range."""
    runs: list[tuple[int, int]] = []
    for index in sorted(set(indexes)):
        if runs and index == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return ",".join(_format_run(first, last) for first, last in runs)


def _format_run(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"
