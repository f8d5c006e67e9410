"""A manual sync: the user is registered if need be, counts as active, and is to be synced ahead of others."""

import asyncio
from datetime import datetime

from periodic_sync.client import Client, UnknownUserError
from periodic_sync.server.models import SyncRequest


async def request_sync(client: Client, user_id: str, body: SyncRequest, at: datetime) -> None:
    """Raises: UnknownUserError for one who is not registered and comes without a wallet; as `Client`."""
    if body.wallet is not None:
        known = await client.get(user_id)
        interval = body.interval if body.interval is not None or known is None else known.interval
        time_zone = body.time_zone if body.time_zone is not None or known is None else known.time_zone
        await client.register(user_id, body.wallet, interval=interval, time_zone=time_zone, last_active=at)
        unknown = await client.request_sync(user_id, at)
    else:
        # At once, so that a store which gathers writes makes them one.
        _, unknown = await asyncio.gather(client.record_activities({user_id: at}), client.request_sync(user_id, at))
    if unknown:
        raise UnknownUserError(user_id)
