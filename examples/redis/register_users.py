#!/usr/bin/env python3
"""Registers the quickstart's 30 users in Redis, as an application would: six of them have not been seen for days.

Redis is where $REDIS_URL says. Doing it again does no harm: a user's last activity only grows.
"""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from periodic_sync.client import Client, StoreUnavailableError

KEY_PREFIX = "portfolios:"  # spec.store.redis.keyPrefix of the policy
ACTIVE = [f"user-{number:02d}" for number in range(1, 25)]
INACTIVE = [f"user-{number:02d}" for number in range(25, 31)]
WAIT_SECONDS = 60


def last_active(now: datetime) -> dict[str, datetime]:
    """When each user was last seen."""
    active = {user: now - timedelta(minutes=10 * place) for place, user in enumerate(ACTIVE)}
    return active | {user: now - timedelta(days=2 + place) for place, user in enumerate(INACTIVE)}


def wallet_of(user: str) -> str:
    return f"0x{sha256(user.encode()).hexdigest()[:40]}"


async def register_all() -> None:
    async with Client.for_redis(os.environ["REDIS_URL"], KEY_PREFIX) as client:
        for user, seen in last_active(datetime.now(UTC)).items():
            await client.register(user, wallet_of(user), last_active=seen)


async def main() -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            await register_all()
        except StoreUnavailableError as trouble:  # Redis is started at the same time
            if time.monotonic() > deadline:
                raise SystemExit(str(trouble)) from None
            await asyncio.sleep(0.5)
        else:
            break
    print(f"registered {len(ACTIVE)} active users and {len(INACTIVE)} inactive ones")


if __name__ == "__main__":
    asyncio.run(main())
