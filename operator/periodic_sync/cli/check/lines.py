"""What a check found, as lines: what was looked at, how it is, why, and what to do."""

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from periodic_sync.api.errors import ApiError, ForbiddenError

T = TypeVar("T")


class Mark(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNSEEN = "not looked at"
    """Which is no failure: often whoever asks may not look."""


@dataclass(frozen=True, slots=True)
class Line:
    """fix: what to do, or empty."""

    mark: Mark
    topic: str
    message: str
    fix: str = ""


def ok(topic: str, message: str) -> Line:
    return Line(Mark.OK, topic, message)


def warning(topic: str, message: str, fix: str = "") -> Line:
    return Line(Mark.WARNING, topic, message, fix)


def failed(topic: str, message: str, fix: str = "") -> Line:
    return Line(Mark.FAILED, topic, message, fix)


def unseen(topic: str, why: ApiError | str, fix: str = "") -> Line:
    """why: the API server's refusal, or a sentence."""
    text = f"you may not look: {why}" if isinstance(why, ForbiddenError) else str(why)
    return Line(Mark.UNSEEN, topic, text, fix)


async def tried(request: Awaitable[T]) -> T | ApiError:
    """What was answered, or why nothing was."""
    try:
        return await request
    except ApiError as error:
        return error
