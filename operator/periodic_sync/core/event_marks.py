"""How far somebody has come through a policy's events, and the ids of events, which are that as a text.

Events come from one or two sources, each of which has an order of its own. An id has a mark for each: first the one of
the source that the event is from, which is the same whoever tells the event, then where the other source was.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

Position = tuple[int, ...]
"""In one source: the resource version of an object, or the two numbers of an entry's id in a Redis stream."""

WHOLE = 2**31
"""An index above every event's."""
LONGEST_ID = 200
_BEYOND_ALL = 2**64
"""No source counts further; Redis refuses to be asked, again and again."""

_MARK = re.compile(r"([a-z])(\d{1,20}(?:-\d{1,20})?)(?:\.(\d{1,9}))?", re.ASCII)


class LostError(Exception):
    """What followed a mark is not all there any more."""


class Mark(NamedTuple):
    """Everything before this position, and of it the events up to this index. Marks of one source are ordered."""

    position: Position
    last: int = WHOLE


Cursor = Mapping[str, Mark]
"""By the letter of the source."""


def id_of(letter: str, mark: Mark, others: Cursor) -> str:
    """Of the event at this mark. others: may have one of that source too, which does not count."""
    parts = [(letter, mark), *sorted((other, at) for other, at in others.items() if other != letter)]
    return "~".join(f"{name}{_text(at)}" for name, at in parts)


def read_id(text: str) -> dict[str, Mark]:
    """Raises: ValueError."""
    cursor: dict[str, Mark] = {}
    for part in text.split("~") if len(text) <= LONGEST_ID else ():
        found = _MARK.fullmatch(part)
        position = tuple(map(int, found[2].split("-"))) if found else ()
        if found is None or found[1] in cursor or max(position) >= _BEYOND_ALL:
            cursor.clear()
            break
        cursor[found[1]] = Mark(position, int(found[3]) if found[3] else WHOLE)
    if not cursor:
        raise ValueError("it is no event's id")
    return cursor


def _text(mark: Mark) -> str:
    position = "-".join(map(str, mark.position))
    return position if mark.last >= WHOLE else f"{position}.{mark.last}"
