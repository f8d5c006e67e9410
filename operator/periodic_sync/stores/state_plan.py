"""How states spread over ConfigMaps, as pure functions from what is there to the writes that bring in something new.

A state moves `journal` → `recent` → base (`b<count>-<index>`): every change is one write of the small journal; when
enough has been spent on rewriting it, it is folded into `recent`, which keeps the users who are synced over and over;
when that is large beside the base, everything is folded into the base, cut by a hash of the user id.

What makes this safe, with any number of writers, any of them frozen or dead between two writes:
- Where the same user is in several parts the highest claim wins, so a copy left behind does no harm.
- A state is removed from a part only after it was written to another one, and only by compare-and-swap on the version
  in which it was read: what was added since stays.
- New states enter through the journal alone, by compare-and-swap on the version of the view they were folded onto. As
  long as the journal is unchanged nothing has been added anywhere, so such a view, however old, misses nothing.
"""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from zlib import crc32

from periodic_sync.core.users import UserState
from periodic_sync.stores.state_format import encode, newer

JOURNAL = "journal"
RECENT = "recent"
_BASE = re.compile(r"b([0-9]+)-([0-9]+)")

KIB = 1024
LARGEST_PART = 512 * KIB
"""Of the journal and of `recent`, in bytes of text; well under the API server's limit of 1 MiB."""
OVERHEAD = 700
"""What a write of a ConfigMap costs besides its text: names, labels, owner, managed fields. About right is enough."""
SMALLEST_FOLD = 4 * KIB
"""The journal may cost this much before it is folded, however small `recent` is."""
SMALLEST_RECENT = 32 * KIB
_AIM_OF_BASE = 128 * KIB
_SMALLEST_BASE = 32 * KIB
_LARGEST_BASE = 256 * KIB


@dataclass(frozen=True, slots=True)
class Part:
    """One ConfigMap of states, as it was read or written."""

    users: Mapping[str, UserState]
    version: str | None = None
    """What its next write is compared with; None: it isn't there."""
    size: int = 0
    """Bytes of its text."""
    spent: int = 0
    """Bytes spent on writing it since it was last folded; kept by the journal only."""


ABSENT = Part({})


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a part, valid only where its version is still `expected` (None: where it isn't there)."""

    part: str
    expected: str | None
    users: Mapping[str, UserState] = field(default_factory=dict)
    text: str = ""
    spent: int = 0
    delete: bool = False


@dataclass(frozen=True)
class View:
    """All parts of one moment, by name."""

    parts: Mapping[str, Part]

    def part(self, name: str) -> Part:
        return self.parts.get(name, ABSENT)

    def base(self) -> dict[str, Part]:
        return {name: part for name, part in self.parts.items() if _BASE.fullmatch(name)}


def is_part(name: str) -> bool:
    """Whether a name is one that this module gives."""
    return name in (JOURNAL, RECENT) or _BASE.fullmatch(name) is not None


def merge(parts: Iterable[Mapping[str, UserState]]) -> dict[str, UserState]:
    """The newest state of every user."""
    merged: dict[str, UserState] = {}
    for users in parts:
        if not merged:
            merged.update(users)
            continue
        for user_id, state in users.items():
            known = merged.get(user_id)
            if known is None or newer(state, known):
                merged[user_id] = state
    return merged


def plan_changes(view: View, changes: Mapping[str, UserState]) -> list[Write]:
    """The writes that bring in new states, in the order they have to be made; the last one makes them durable.

    changes: each newer than what the view has of that user; their text fits a part (see `pieces`).
    """
    journal, recent = view.part(JOURNAL), view.part(RECENT)
    users = {**journal.users, **changes}
    text = encode(users)
    spent = journal.spent + len(text) + OVERHEAD
    # Renting against buying: fold when rewriting the journal has cost as much as writing `recent` once does. It is at
    # most twice the best that could be had with foresight, and with steady work it is the best.
    if len(text) <= LARGEST_PART and spent <= max(SMALLEST_FOLD, recent.size + OVERHEAD):
        return [Write(JOURNAL, journal.version, users, text, spent)]
    return [*_fold(view), _journal_of(view, changes)]


def plan_forgetting(view: View, claims: Mapping[str, int]) -> list[Write]:
    """The writes that forget users, folding everything on the way.

    claims: the users, each with its last claim when that was decided: whoever was claimed since is kept.
    """
    states = merge(part.users for part in view.parts.values())
    forget = {u for u, claim in claims.items() if u in states and states[u].last_claim == claim}
    return [*_fold_all(view, forget), _journal_of(view, {})] if forget else []


def pieces(changes: Mapping[str, UserState]) -> Iterable[Mapping[str, UserState]]:
    """Cut changes so that each piece fits a part; normally there is one."""
    if len(changes) <= 1 or len(encode(changes)) <= LARGEST_PART:
        yield changes
        return
    items = list(changes.items())
    yield from pieces(dict(items[: len(items) // 2]))
    yield from pieces(dict(items[len(items) // 2 :]))


def _journal_of(view: View, users: Mapping[str, UserState]) -> Write:
    text = encode(users)
    return Write(JOURNAL, view.part(JOURNAL).version, users, text, len(text) + OVERHEAD if users else 0)


def _fold(view: View) -> list[Write]:
    """Journal into `recent`; or, where that gets large, everything into the base."""
    recent = merge([view.part(RECENT).users, view.part(JOURNAL).users])
    text = encode(recent)
    base_size = sum(part.size for part in view.base().values())
    if len(text) <= min(LARGEST_PART, max(SMALLEST_RECENT, base_size // 2)):
        return [Write(RECENT, view.part(RECENT).version, recent, text)]
    return _fold_all(view, frozenset())


def _fold_all(view: View, forget: Set[str]) -> list[Write]:
    everything = {
        user_id: state
        for user_id, state in merge(part.users for part in view.parts.values()).items()
        if user_id not in forget
    }
    base = view.base()
    count = _base_count(len(encode(everything)), base)
    cuts: list[dict[str, UserState]] = [{} for _ in range(count)]
    for user_id, state in everything.items():
        cuts[crc32(user_id.encode()) % count][user_id] = state
    writes, names = [], [f"b{count}-{index}" for index in range(count)]
    for name, users in zip(names, cuts, strict=True):
        if users != view.part(name).users:
            writes.append(Write(name, view.part(name).version, users, encode(users)))
    # Parts of another cut go only now that all they hold is in this one.
    writes += [Write(name, part.version, delete=True) for name, part in base.items() if name not in names]
    if view.part(RECENT).users:
        writes.append(Write(RECENT, view.part(RECENT).version))
    return writes


def _base_count(size: int, base: Iterable[str]) -> int:
    """Into how many parts to cut that many bytes: as it is while they stay of a reasonable size."""
    now = max((int(name[1:].split("-")[0]) for name in base), default=0)
    if now and size <= now * _LARGEST_BASE and (now == 1 or size >= now * _SMALLEST_BASE):
        return now
    count = 1
    while size > count * _AIM_OF_BASE:
        count *= 2
    return count
