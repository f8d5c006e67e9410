"""A look at the users from outside of the operator: the same questions as a turn's, and nothing is written.

What a turn would first put in its place (users whom the threshold has passed, a request that is being walked) is
counted as it stands, so the counts may be a little behind the operator's own.
"""

from periodic_sync.core.ledger import Scope
from periodic_sync.core.plan import Population
from periodic_sync.core.tick import Tick
from periodic_sync.stores.records import AHEAD
from periodic_sync.stores.redis.census import take_census
from periodic_sync.stores.redis.commands import Commands
from periodic_sync.stores.redis.index import INFINITE, Look, Room
from periodic_sync.stores.redis.keys import SEEN, Keys
from periodic_sync.stores.redis.meta import Meta, look_at_store
from periodic_sync.stores.redis.questions import Questions, count
from periodic_sync.stores.redis.reading import read_users
from periodic_sync.stores.redis.upkeep import END


async def peek(commands: Commands, keys: Keys, tick: Tick, *, most: int) -> Population | None:
    """most: how many of the due to read, the most urgent of each kind.

    Returns: None where no operator has put the users in order yet. Raises: StoreNotReady, UnknownTimeZoneError.
    """
    meta = await look_at_store(commands, keys)
    if meta.floor is None:
        return None
    look = Look(tick, meta.classes, Room(due=most, along=0))
    for step in (look.begin, look.go_on):
        ask = Questions(tick.in_flight.keys())
        step(ask)
        await ask.put(commands, keys)
    found = await read_users(commands, keys, look.worth_reading() | tick.in_flight.keys() | tick.named)
    census = take_census(look, found.users, tick, unqueued=await _not_walked(commands, keys, meta, tick))
    users = [user for user in found.users.values() if user.record.last_active <= tick.now + AHEAD]
    return Population(users, census)


async def _not_walked(commands: Commands, keys: Keys, meta: Meta, tick: Tick) -> int:
    """How many users a request for many has not come to yet."""
    request = tick.request
    if request is None or request.scope is Scope.NAMED:
        return 0
    is_begun = meta.queue_token == request.token
    if is_begun and meta.queue_cursor == END:
        return 0
    start = int(meta.queue_cursor) if is_begun else 0
    if request.scope is Scope.ACTIVE:
        start = max(start, tick.now - tick.spec.thresholds.active)
    return await count(commands, keys, SEEN, start or -INFINITE, tick.now + AHEAD)
