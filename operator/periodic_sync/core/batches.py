"""Filling batches with users, most urgent first, and Jobs with batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from json.encoder import encode_basestring_ascii
from operator import itemgetter
from typing import NamedTuple

from periodic_sync.api.names import Priority, Reason
from periodic_sync.core.due import Case, Decision, tokens_to_sync
from periodic_sync.core.outcomes import ISOLATED, batch_limit
from periodic_sync.core.tick import CLOCK_SKEW, Tick
from periodic_sync.core.users import UserRecord

BATCH_FILE_LIMIT = 900 * 1024
"""Bytes that the batches of one Job may take together: an object of the API server takes at most 1 MiB."""

_BATCH_BYTES = 512
_USER_BYTES = 96
"""What a batch file says around the users, and around one user's id, wallet and tokens; with room for a new field."""


class PlannedUser(NamedTuple):
    """A user of a planned batch."""

    record: UserRecord
    tokens: tuple[str, ...]
    """Those to sync; none: all."""
    reason: Reason
    """Its Due code; NotDue for one that is taken along, BackingOff for one that is in a probe."""
    due_at: int | None = None
    """Since when it is due by the clock; None: it is due for another reason, or nobody can tell since when."""


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """Users to be synced by one pod, most urgent first, and the highest priority among those that are due."""

    users: tuple[PlannedUser, ...]
    priority: Priority
    file_bytes: int
    """At most so many bytes does its JSON take."""


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """Batches to be claimed as one Job, in the order of its completion indexes."""

    batches: tuple[PlannedBatch, ...]
    probe: bool = False

    @property
    def priority(self) -> Priority:
        """The highest in it."""
        return min((batch.priority for batch in self.batches), key=lambda priority: priority.rank)


class Candidate(NamedTuple):
    """A user that may be put in a batch, with what the rules said."""

    case: Case
    decision: Decision


@dataclass(slots=True)
class _Open:
    """A batch that is being filled with at most `limit` users."""

    limit: int
    users: list[PlannedUser] = field(default_factory=list)
    priorities: list[Priority] = field(default_factory=list)
    size: int = _BATCH_BYTES

    @property
    def room(self) -> int:
        return self.limit - len(self.users)

    def add(self, candidate: Candidate) -> bool:
        """Whether the user was taken: a batch is full by number of users or by size of its file."""
        record = candidate.case.record
        tokens = tokens_to_sync(record, candidate.case.state)
        user = PlannedUser(record, tokens, candidate.decision.reason, _due_since(candidate))
        size = _bytes_of(user)
        if self.room <= 0 or (self.users and self.size + size > BATCH_FILE_LIMIT):
            return False
        self.users.append(user)
        self.size += size
        if candidate.decision.priority is not None:
            self.priorities.append(candidate.decision.priority)
        return True

    def close(self) -> PlannedBatch:
        priority = min(self.priorities, key=lambda priority: priority.rank, default=Priority.MEDIUM)
        return PlannedBatch(tuple(self.users), priority, self.size)


def fill(
    due: Sequence[Candidate], along: Sequence[Candidate], *, batches: int, users: int, tick: Tick
) -> tuple[PlannedBatch, ...]:
    """Put the most urgent of the due users into at most `batches` batches with at most `users` users together.

    Users of unexplained failures share batches only with others that failed so as often, in batches that halve each
    time. If the last batch of the others has room, users that come due soon go along, soonest first.
    """
    opened: list[_Open] = []
    filling: dict[int, _Open] = {}
    size = tick.spec.batch_size
    for candidate in _most_urgent(due, min(users, batches * size), tick):
        if users == 0:
            break
        level = min(candidate.case.state.unexplained, ISOLATED)
        if level not in filling or not filling[level].add(candidate):
            if len(opened) == batches:
                continue  # a user of another kind may still find room
            filling[level] = _Open(batch_limit(size, level))
            opened.append(filling[level])
            filling[level].add(candidate)
        users -= 1
    if 0 in filling:
        _take_along(filling[0], along, users)
    return tuple(batch.close() for batch in opened)


def _take_along(batch: _Open, along: Sequence[Candidate], users: int) -> None:
    room = min(batch.room, users)
    for candidate in nsmallest(room, along, key=lambda it: (it.case.due_at, it.case.record.user_id)):
        batch.add(candidate)


def _most_urgent(due: Sequence[Candidate], count: int, tick: Tick) -> list[Candidate]:
    """As many users of unexplained failures, and of the others, as could be taken, in the order of urgency."""
    keyed: tuple[list[tuple[tuple[int, int, int, str], Candidate]], ...] = ([], [])
    for candidate in due:
        keyed[candidate.case.state.unexplained > 0].append((urgency(candidate, tick), candidate))
    chosen = [entry for kind in keyed for entry in nsmallest(count, kind, key=itemgetter(0))]
    return [candidate for _, candidate in sorted(chosen, key=itemgetter(0))]


def urgency(candidate: Candidate, tick: Tick) -> tuple[int, int, int, str]:
    """Sorts first what is synced first: by priority; then requested, never synced, stalest."""
    case, decision = candidate
    last = case.state.last_synced
    priority = Priority.MEDIUM if decision.priority is None else decision.priority
    if decision.reason is Reason.DUE_REQUESTED:
        order = 0
    elif last is None or last > tick.now + CLOCK_SKEW:
        order, last = 1, None  # after the clock was set back, how old the data is nobody knows
    else:
        order = 2
    return priority.rank, order, -1 if last is None else last, case.record.user_id


def probe(candidates: Sequence[Candidate], *, users: int, tick: Tick) -> PlannedBatch | None:
    """The batch that tries whether a failing worker works again; None: nobody to try it with.

    Those with the fewest failures first, since they are least likely to be the cause; and since nobody is blamed for a
    probe, those of the last one only where there are no others: else one user that kills its worker could be in every
    probe. Where all were in it, half of them are left out.
    """
    fresh = [it for it in candidates if it.case.state.last_claim != tick.ledger.last_claim]
    count = min(users, tick.spec.batch_size)
    if not fresh:
        fresh = list(candidates)
        count = min(count, -(-len(fresh) // 2))
    chosen = sorted(fresh, key=lambda it: (_suspicion(it), urgency(it, tick)))
    if not chosen or count <= 0:
        return None
    level = min(chosen[0].case.state.unexplained, ISOLATED)
    batch = _Open(min(count, batch_limit(tick.spec.batch_size, level)))
    for candidate in chosen:
        if min(candidate.case.state.unexplained, ISOLATED) == level:
            batch.add(candidate)
    return batch.close()


def _suspicion(candidate: Candidate) -> tuple[int, int, int]:
    state = candidate.case.state
    return state.failures, state.unexplained, state.last_claim


def group(batches: Iterable[PlannedBatch], batches_per_job: int) -> tuple[PlannedJob, ...]:
    """Batches in their order as Jobs of at most so many, whose batch file stays below `BATCH_FILE_LIMIT`."""
    jobs: list[list[PlannedBatch]] = []
    size = 0
    for batch in batches:
        if not jobs or len(jobs[-1]) == batches_per_job or size + batch.file_bytes > BATCH_FILE_LIMIT:
            jobs.append([])
            size = 0
        jobs[-1].append(batch)
        size += batch.file_bytes
    return tuple(PlannedJob(tuple(job)) for job in jobs)


def _due_since(candidate: Candidate) -> int | None:
    """When its due time was, for one that is due by the clock.

    One that was never synced, or that was by a clock that has been set back since, only counts as due from now on.
    """
    case, decision = candidate
    last = case.state.last_synced
    is_by_clock = decision.reason in (Reason.DUE_REGULAR, Reason.DUE_STALE)
    return case.due_at if is_by_clock and last is not None and last < case.due_at else None


def _bytes_of(user: PlannedUser) -> int:
    record = user.record
    tokens = sum(len(encode_basestring_ascii(token)) + 2 for token in user.tokens)
    return _USER_BYTES + len(record.user_id) + len(encode_basestring_ascii(record.wallet)) + tokens
