"""The termination message: which users of a batch failed, in at most 4 KiB. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MESSAGE_LIMIT = 4096  # bytes; the kubelet cuts off what is longer, and cut JSON would blame the whole batch
CALLS_ROOM = 400  # kept for how the calls went, of which there are three kinds
REASON_LIMIT = 80


@dataclass(frozen=True)
class Failure:
    """Why one user failed. `id` is None for a user who must not be named, and is then told by position."""

    id: str | None
    reason: str


def short_reason(text: str) -> str:
    """One printable line of at most 80 characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= REASON_LIMIT else line[: REASON_LIMIT - 3].rstrip() + "..."


def compress_indexes(positions: Iterable[int]) -> str:
    """Write positions as Kubernetes writes completedIndexes: `0,3-5,9,10`, where three or more in a row are a range."""
    ordered = sorted(set(positions))
    parts: list[str] = []
    start = 0
    for at, position in enumerate(ordered):
        if at + 1 < len(ordered) and ordered[at + 1] == position + 1:
            continue
        row = ordered[start : at + 1]
        parts += [f"{row[0]}-{row[-1]}"] if len(row) >= 3 else [str(each) for each in row]
        start = at + 1
    return ",".join(parts)


def termination_message(failures: Mapping[int, Failure], limit: int = MESSAGE_LIMIT, *, room: int = 0) -> str:
    """The message for those who failed, by position in the batch: ASCII JSON of at most `limit` bytes.

    The first in the batch are named with their reasons, as many as fit; the others are positions in `failedIndexes`.
    room: bytes of these that reasons leave to something else.
    Raises: ValueError when not even the positions fit, which takes a batch of well over 1,000 users.
    """
    positions = sorted(failures)
    nameable = [position for position in positions if failures[position].id is not None]
    fitting = _encode(failures, [], positions)
    if len(fitting) > limit:
        raise ValueError(f"the positions of {len(positions)} users who failed don't fit into {limit} bytes")
    for count in range(1, len(nameable) + 1):
        named = nameable[:count]
        chosen = set(named)
        message = _encode(failures, named, [each for each in positions if each not in chosen])
        if len(message) > limit - room:
            break
        fitting = message
    return fitting


def with_calls(message: str, calls: Mapping[str, object]) -> str:
    """The message with how the calls went, where there is room for it: who failed matters more."""
    if not calls:
        return message
    longer = json.dumps({**(json.loads(message) if message else {"version": 1}), "calls": calls}, separators=(",", ":"))
    return longer if len(longer) <= MESSAGE_LIMIT else message


def _encode(failures: Mapping[int, Failure], named: list[int], others: list[int]) -> str:
    message: dict[str, object] = {"version": 1}
    if named:
        message["failed"] = {failures[each].id: short_reason(failures[each].reason) for each in named}
    if others or not named:
        message["failedIndexes"] = compress_indexes(others)
    return json.dumps(message, separators=(",", ":"))
