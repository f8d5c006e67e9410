"""The Redis store: records that applications write through the client library, and the operator's state.

However many users there are, a turn reads those who are due, in flight or named, and a few next to them; the others are
counted by sorted sets that keep them in order. What is where: docs/reference/redis-store.md.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice

from periodic_sync.api.wallets import shown_id
from periodic_sync.core.due import examine, requested_in_bulk
from periodic_sync.core.ledger import Scope
from periodic_sync.core.limits import limits
from periodic_sync.core.outcomes import Outcome
from periodic_sync.core.outcomes import apply as fold
from periodic_sync.core.plan import Population
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserState
from periodic_sync.stores.base import Report, StoreNotReady
from periodic_sync.stores.records import AHEAD, active_ahead
from periodic_sync.stores.redis.census import take_census
from periodic_sync.stores.redis.commands import Argument, Commands
from periodic_sync.stores.redis.event_log import NONE, kind_of
from periodic_sync.stores.redis.following import Follower
from periodic_sync.stores.redis.index import Look, Room
from periodic_sync.stores.redis.keys import LAYOUT_VERSION, SEEN, Keys
from periodic_sync.stores.redis.meta import Meta, open_store
from periodic_sync.stores.redis.questions import Questions, count
from periodic_sync.stores.redis.reading import ReadUsers, pieces, read_users
from periodic_sync.stores.redis.schema import SEPARATOR, StoredUser, state_fields
from periodic_sync.stores.redis.scores import slice_of
from periodic_sync.stores.redis.scripts import APPLY
from periodic_sync.stores.redis.stretches import INFINITE
from periodic_sync.stores.redis.upkeep import Upkeep

MOST_DUE = 20_000
"""Users read for one plan. More of them wait for the next turn, which is not far when so many are due."""
PROBED = 4
"""A probe takes those least to blame of so many times as many."""
MOST_AHEAD = 10_000
"""Users who are skipped for now, as they were last active too far ahead, and are kept out of the way of others."""
_TOLD = 5
_LOOKS = 3
_ROUNDS = 8


class RedisStore:
    """A `Store`. One object serves one policy; several operators may each have their own."""

    def __init__(self, commands: Commands, *, prefix: str, owner: Callable[[], Awaitable[str]], name: str = "") -> None:
        """prefix: `spec.store.redis.keyPrefix`. owner: `<cluster>/<namespace>/<policy>`, which tells this policy from
        all others; an empty cluster is any. name: of the place that `commands` lead to."""
        self._commands = commands
        self._keys = Keys(prefix)
        self._owner = owner
        self._who: str | None = None
        self._name = name
        self._upkeep = Upkeep(commands, self._keys)
        self._meta: Meta | None = None
        self._follower: Follower | None = None
        self._unindexed = 0
        self._ahead: frozenset[str] = frozenset()
        self._lately: Mapping[str, UserState] = {}
        """States as last read. One that has changed since has another last claim, and then is not written."""

    async def read(self, now: int) -> Report:
        """See `Store`. Raises: StoreNotReady."""
        if self._who is None:
            self._who = await self._owner()
        self._meta = await open_store(self._commands, self._keys, self._who)
        found = await read_users(self._commands, self._keys, self._meta.first_broken)
        await self._upkeep.restore(found.users)
        broken = (f"{shown_id(user_id)}: {why}" for user_id, why in found.broken.items())
        ahead, names = await self._last_active_ahead(now)
        self._ahead = frozenset(names)
        return Report(
            identity=f"{self._name}/{self._keys.prefix}#{self._meta.id}",
            skipped=self._meta.broken - len(found.users) + ahead,
            problems=tuple(islice((*broken, *(active_ahead(shown_id(name)) for name in names)), _TOLD)),
            warnings=(f"{self._unindexed} users are still to be put in order",) if self._unindexed else (),
            highest_claim=self._meta.highest_claim,
        )

    async def states(self, user_ids: Collection[str]) -> Mapping[str, UserState]:
        """See `Store`."""
        found = await read_users(self._commands, self._keys, user_ids)
        self._lately = {user_id: user.state for user_id, user in found.users.items()}
        return self._lately

    async def active(self, since: int) -> int:
        """See `Store`."""
        return await count(self._commands, self._keys, SEEN, since, INFINITE)

    async def population(self, tick: Tick) -> Population:
        """See `Store`."""
        meta = self._opened
        self._unindexed = await self._upkeep.follow_threshold(meta, tick.now - tick.spec.thresholds.active)
        if self._unindexed and self._follower is not None:
            self._follower.wake()
        unqueued = await self._upkeep.queue(meta, tick, self._ahead)
        for _ in range(_LOOKS):
            look, found = await self._look(meta, tick)
            misplaced, unmeant = _inactive(look, found.users, tick), _unmeant(look, found.users, tick)
            if not (misplaced or unmeant or found.broken or look.stray):
                break
            await self._upkeep.index({*misplaced, *look.stray})
            await self._upkeep.unqueue(unmeant)
            await self._upkeep.set_aside(found.broken, tick.now)
        if tick.request is not None and tick.request.scope is not Scope.NAMED and not (look.tallies.queued or unqueued):
            unqueued = await self._upkeep.unwalked(tick.request.token)
        users = [user for user in found.users.values() if user.record.last_active <= tick.now + AHEAD]
        return Population(users, take_census(look, found.users, tick, unqueued=unqueued))

    async def apply(self, outcomes: Sequence[Outcome]) -> None:
        """See `Store`."""
        waiting = sorted(outcomes, key=lambda outcome: outcome.claim)
        for _ in range(_ROUNDS):
            if not waiting:
                return
            outdated = await self._apply(waiting)
            waiting = [outcome for outcome in waiting if outcome.user_id in outdated]
        raise StoreNotReady("Others keep writing the state of the same users in Redis: is another operator at work?")

    async def tidy(self, now: int) -> None:
        """See `Store`. Whoever leaves leaves nothing behind here."""

    def follow(self, wake: Callable[[], None]) -> None:
        """See `Store`."""
        self._follower = Follower(self._commands, self._keys, wake)

    async def close(self) -> None:
        """See `Store`."""
        if self._follower is not None:
            await self._follower.close()
        await self._commands.close()

    async def _last_active_ahead(self, now: int) -> tuple[int, list[str]]:
        """How many there are, and their ids, soonest to be right first."""
        counts, names = list[int](), list[str]()
        ask = Questions()
        ask.count(SEEN, now + AHEAD + 1, INFINITE, counts.append)
        ask.first(SEEN, now + AHEAD + 1, INFINITE, MOST_AHEAD, lambda found: names.extend(each for _, each in found))
        await ask.put(self._commands, self._keys)
        return sum(counts), names

    @property
    def _opened(self) -> Meta:
        if self._meta is None:
            raise AssertionError("the store has not been read")
        return self._meta

    async def _look(self, meta: Meta, tick: Tick) -> tuple[Look, ReadUsers]:
        look = Look(tick, meta.classes, _room(tick))
        for step in (look.begin, look.go_on, look.go_along):
            # Whoever is in flight stays where they were until their batch ends, in front of those who may be claimed.
            ask = Questions(tick.in_flight.keys() | self._ahead)
            step(ask)
            await ask.put(self._commands, self._keys)
        wanted = look.worth_reading() | tick.in_flight.keys() | tick.named | self._ahead
        return look, await read_users(self._commands, self._keys, wanted)

    async def _apply(self, outcomes: Sequence[Outcome]) -> set[str]:
        """Returns: the ids of those whose state has changed since it was read, so that nothing was written."""
        outdated: set[str] = set()
        for ids in pieces(dict.fromkeys(outcome.user_id for outcome in outcomes)):
            chosen = frozenset(ids)
            of_these = [outcome for outcome in outcomes if outcome.user_id in chosen]
            before = self._lately if self._lately.keys() >= chosen else await self.states(ids)
            after = _folded(before, of_these)
            if not after:
                continue
            args: list[Argument] = [LAYOUT_VERSION, max(outcome.claim for outcome in of_these)]
            for user_id, state in after.items():
                was = before.get(user_id, NEVER_SYNCED)
                args.append(state_text(user_id, was, state, kind_of(user_id, was, state)))
            keys = (*self._keys.shared, *map(self._keys.user, after))
            outdated |= {each.decode() for each in await self._commands.run(APPLY, keys, args)}
            self._lately = {**self._lately, **after}
        self._lately = {} if outdated else self._lately
        return outdated


def _room(tick: Tick) -> Room:
    allowed, size = limits(tick), tick.spec.batch_size
    due = min(allowed.batches * size, allowed.users, MOST_DUE)
    if allowed.is_probe:
        return Room(PROBED * due, along=0, backing_off=PROBED * due, latest=PROBED * due)
    return Room(due, along=min(due, size))


def _inactive(look: Look, users: Mapping[str, StoredUser], tick: Tick) -> list[str]:
    """Who is in the due index without being active: the floor passed them when an operator ended."""
    since = tick.now - tick.spec.thresholds.active
    found = {user_id for shelf in look.due for *_, user_id in shelf}
    found |= {user_id for shelf in (*look.later, *look.along) for _, user_id in shelf}
    ids = found | {user_id for _, user_id in look.spread} | look.doubtful | look.doubtfully_stale
    return [user_id for user_id in ids if user_id in users and users[user_id].record.last_active < since]


def _unmeant(look: Look, users: Mapping[str, StoredUser], tick: Tick) -> list[str]:
    """Who is in the queue of a request that does not mean them any more: they are active no longer."""
    return [
        user_id
        for user_id in look.queued
        if user_id in users and requested_in_bulk(examine(*users[user_id], tick), tick) is None
    ]


def _folded(before: Mapping[str, UserState], outcomes: Iterable[Outcome]) -> dict[str, UserState]:
    """The states that change."""
    after: dict[str, UserState] = {}
    for outcome in outcomes:
        if outcome.user_id not in before:
            continue  # gone from the store since it was claimed
        was = after.get(outcome.user_id, before[outcome.user_id])
        state = fold(was, outcome)
        if state is not was:
            after[outcome.user_id] = state
    return after


def state_text(user_id: str, before: UserState, state: UserState, kind: str = NONE) -> bytes:
    """What the script is told of one user whose state becomes another. kind: of the event that it is."""
    fields = state_fields(state)
    kept = [part for name, value in fields.items() if value for part in (name, value)]
    gone = [name for name, value in fields.items() if not value]
    about = (user_id, slice_of(user_id), before.last_claim, state.last_outcome, state.request_served, len(kept) // 2)
    return SEPARATOR.join(str(word).encode() for word in (*about, kind, *kept, *gone))
