"""Events as readers get them: each message is a JSON array of one or more."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from periodic_sync.core.event_marks import Cursor, Mark, Position, id_of
from periodic_sync.core.events import Event
from periodic_sync.server.events.source import Step
from periodic_sync.server.shown import instant

MOST_TOGETHER = 100
"""Events in one message."""
_INSTANTS = ("at", "retry_at")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the events at one position. first: the index of the first. others: how far it has come elsewhere."""

    letter: str
    position: Position
    first: int
    events: tuple[Event, ...]
    others: Cursor

    @property
    def last(self) -> Mark:
        """Of its last event."""
        return Mark(self.position, self.first + len(self.events) - 1)

    def text(self) -> str:
        """The message."""
        texts = (
            _text(event, id_of(self.letter, Mark(self.position, self.first + number), self.others))
            for number, event in enumerate(self.events)
        )
        return f"[{','.join(texts)}]"

    def after(self, cursor: Cursor) -> "Piece":
        """What of it is new to somebody who is there. Its ids lead back to no place before that."""
        mark = cursor[self.letter]
        told = mark.last + 1 - self.first if mark.position == self.position else 0
        others = {letter: max(at, cursor[letter]) for letter, at in self.others.items()}
        return replace(self, first=self.first + max(0, told), events=self.events[max(0, told) :], others=others)


def pieces(letter: str, step: Step, at: Cursor) -> Iterator[Piece]:
    """at: how far all sources had come before the step of this one."""
    others = {other: mark for other, mark in at.items() if other != letter}
    for start in range(0, len(step.events), MOST_TOGETHER):
        yield Piece(letter, step.position, step.first + start, step.events[start : start + MOST_TOGETHER], others)


def alone(event: Event, cursor: Cursor) -> str:
    """The message of an event that only says how far all has come."""
    letter = min(cursor)
    return f"[{_text(event, id_of(letter, cursor[letter], cursor))}]"


def shown(event: Event) -> dict[str, Any]:
    """As in the message, without the id."""
    found: dict[str, Any] = {"type": event.TYPE}
    for field in fields(event):
        value = getattr(event, field.name)
        first, *rest = field.name.split("_")
        name = first + "".join(word.title() for word in rest)
        found[name] = instant(value) if field.name in _INSTANTS and value is not None else value
    return found


def _text(event: Event, event_id: str) -> str:
    return json.dumps({"id": event_id, **shown(event)}, separators=(",", ":"))
