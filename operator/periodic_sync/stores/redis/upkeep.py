"""Keeping the due index to the active users, and working off a request for many: a stretch at a time, by the activity.

Whoever was last active before the floor is not in the due index, so that they cost nothing. The floor follows the
threshold; what it passes is noted in the store and indexed anew, by this operator or the next.
"""

from collections.abc import Iterable, Sequence, Set

from periodic_sync.core.ledger import Scope
from periodic_sync.core.tick import Tick
from periodic_sync.stores.records import AHEAD
from periodic_sync.stores.redis.commands import Commands
from periodic_sync.stores.redis.keys import BROKEN, SEEN, Keys
from periodic_sync.stores.redis.keys import QUEUE as QUEUE_KEY
from periodic_sync.stores.redis.meta import Meta
from periodic_sync.stores.redis.questions import ALL, count, first
from periodic_sync.stores.redis.reading import pieces
from periodic_sync.stores.redis.scores import slice_of
from periodic_sync.stores.redis.scripts import FLOOR, INDEX, QUEUE, RELEASE, SET_ASIDE
from periodic_sync.stores.redis.stretches import INFINITE, STRETCH, stretch_down, stretch_up

MOST_STRETCHES = 10
"""In one turn: what is left then goes on in the next."""
QUEUED = 10_000
"""So many of a request for many are queued at most, since each takes memory."""
END = "end"


class Upkeep:
    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands, self._keys = commands, keys

    async def index(self, user_ids: Iterable[str]) -> None:
        """Put these users where they belong. Raises: StoreNotReady."""
        for ids in pieces(user_ids):
            args = [part for user_id in ids for part in (user_id, slice_of(user_id))]
            await self._commands.run(INDEX, (*self._keys.shared, *map(self._keys.user, ids)), ("", "", "", *args))

    async def follow_threshold(self, meta: Meta, active_since: int) -> int:
        """Move the floor, where that makes a difference. Returns: how many users are still to be indexed."""
        floor, span = meta.floor, meta.to_index
        if floor is None or active_since < floor or await self._seen(floor, active_since - 1):
            moved = await self._commands.run(FLOOR, self._keys.shared, ("" if floor is None else floor, active_since))
            floor, span = active_since, (int(moved[0]), float(moved[1])) if moved else None
        return await self._index_span(floor, *span) if span else 0

    async def _index_span(self, floor: int, low: int, high: float) -> int:
        """From the latest activity down, so that the busiest users come first. floor: by which they are put."""
        for _ in range(MOST_STRETCHES):
            found = await stretch_down(self._commands, self._keys, low, high)
            await self.index(user_id for _, user_id in found)
            done_from = "" if len(found) < STRETCH else f"{found[-1][0]:.0f}"
            if not await self._commands.run(INDEX, self._keys.shared, (floor, f"{high:.0f}", done_from)):
                break  # another operator has moved the floor meanwhile: the next turn sees what that leaves to do
            if not done_from:
                return 0
            high = found[-1][0]
        return await self._seen(low, high - 1)

    async def queue(self, meta: Meta, tick: Tick, ahead: Set[str]) -> int:
        """Queue whom a request for all or for the active still waits for.

        ahead: last active too far in the future, of no matter until then. Nobody waits for them.
        Returns: how many are not queued for lack of room, or not looked at yet.
        """
        request = tick.request
        if request is None or request.scope is Scope.NAMED:
            if meta.queue_token:
                await self._begin("", 0, END)
            return 0
        await self.unqueue(ahead)
        cursor = meta.queue_cursor
        if meta.queue_token != request.token:
            start = 0 if request.scope is Scope.ALL else tick.now - tick.spec.thresholds.active
            cursor = await self._begin(request.token, request.claim, str(start))
        for _ in range(MOST_STRETCHES):
            if cursor == END:
                return 0
            if await count(self._commands, self._keys, QUEUE_KEY, -INFINITE, INFINITE) >= QUEUED:
                break
            found = await stretch_up(self._commands, self._keys, int(cursor))
            after = END if len(found) < STRETCH else str(int(found[-1][0]) + 1)
            ids = [user_id for seen, user_id in found if seen <= tick.now + AHEAD]
            cursor = await self._enqueue(request.token, request.claim, cursor, after, ids)
        return 0 if cursor == END else await self._seen(int(cursor), tick.now + AHEAD)

    async def unwalked(self, token: str) -> int:
        """How many a request that nobody is queued for has not come to, by what the store says now.

        An operator with an older ledger may have dropped the queue since `queue`: then all. Raises: StoreNotReady.
        """
        command = ("HMGET", self._keys.meta, "queue:token", "queue:cursor")
        (state,) = await self._commands.read(self._keys.meta, [command])
        return 0 if state == [token.encode(), END.encode()] else await self._seen(-INFINITE, INFINITE)

    async def unqueue(self, user_ids: Iterable[str]) -> None:
        """Take these out of the queue. Raises: StoreNotReady."""
        await self._release(QUEUE_KEY, user_ids)

    async def restore(self, user_ids: Iterable[str]) -> None:
        """These can be read again. Raises: StoreNotReady."""
        await self._release(BROKEN, user_ids)

    async def set_aside(self, user_ids: Iterable[str], now: int) -> None:
        """These can't be read, and would be in the way of others. Raises: StoreNotReady."""
        for ids in pieces(user_ids):
            await self._commands.run(SET_ASIDE, (*self._keys.shared, *map(self._keys.user, ids)), (now, *ids))

    async def _release(self, key: int, user_ids: Iterable[str]) -> None:
        """Out of that sorted set, and to where they belong."""
        for ids in pieces(user_ids):
            args = [part for user_id in ids for part in (user_id, slice_of(user_id))]
            await self._commands.run(RELEASE, (*self._keys.shared, *map(self._keys.user, ids)), (key, *args))

    async def _begin(self, token: str, claim: int, start: str) -> str:
        """Forget whom an earlier request left in the queue."""
        left = await first(self._commands, self._keys, QUEUE_KEY, -INFINITE, INFINITE, ALL)
        cursor = await self._queue_script(token, claim, "", start, ())
        # Piece by piece, since they may be as many as were last active at one instant. Whom this leaves out, by a crash
        # or since another operator was queueing, is found on the shelf of the queued once there are none.
        await self.index(user_id for _, user_id in left)
        return cursor

    async def _enqueue(self, token: str, claim: int, before: str, after: str, user_ids: Sequence[str]) -> str:
        """Piece by piece, of which the last moves the cursor."""
        *first, last = list(pieces(user_ids)) or [()]
        for piece in first:
            await self._queue_script(token, claim, before, before, piece)
        return await self._queue_script(token, claim, before, after, last)

    async def _queue_script(self, token: str, claim: int, before: str, after: str, user_ids: Sequence[str]) -> str:
        args = [part for user_id in user_ids for part in (user_id, slice_of(user_id))]
        keys = (*self._keys.shared, *map(self._keys.user, user_ids))
        cursor = await self._commands.run(QUEUE, keys, (token, claim, before, after, *args))
        return (cursor or END.encode()).decode()

    async def _seen(self, low: float, high: float) -> int:
        """How many users were last active from the one instant up to the other."""
        return await count(self._commands, self._keys, SEEN, low, high)
