"""A Redis store for tests, as applications and operators see it."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from periodic_sync.api.durations import MINUTE
from periodic_sync.core.plan import User
from periodic_sync.core.users import NEVER_SYNCED
from periodic_sync.stores.base import Store
from periodic_sync.stores.configmap import Snapshot
from periodic_sync.stores.records import parse_entry
from periodic_sync.stores.redis.commands import Commands
from periodic_sync.stores.redis.keys import LAYOUT_VERSION, Keys
from periodic_sync.stores.redis.records import RedisRecords
from periodic_sync.stores.redis.scripts import APPLY
from periodic_sync.stores.redis.store import RedisStore, state_text
from store_contract import NOW, record

OWNER = "cluster/namespace/portfolios"


@dataclass
class RedisBench:
    """A new store under a prefix of its own."""

    commands: Commands
    prefix: str = field(default_factory=lambda: f"test-{secrets.token_hex(4)}:")

    @property
    def records(self) -> RedisRecords:
        return RedisRecords(self.commands, prefix=self.prefix)

    @property
    def keys(self) -> Keys:
        return Keys(self.prefix)

    def open(self, owner: str = OWNER) -> RedisStore:
        async def who() -> str:
            return owner

        return RedisStore(self.commands, prefix=self.prefix, owner=who, name="redis")

    async def write(self, user_id: str, record: dict[str, Any] | str) -> None:
        text = record if isinstance(record, str) else json.dumps(record)
        found = parse_entry(user_id, user_id, text, NOW + 10 * MINUTE).record
        assert found is not None, f"no record: {text}"
        await self.records.register([found])
        if found.sync_requested_at is not None:
            await self.records.request_sync({user_id: found.sync_requested_at})
        if found.changed_tokens:
            await self.records.mark_tokens_changed(user_id, found.changed_tokens, forget_before=0)

    async def register(self, user_ids: Iterable[str]) -> None:
        found = (parse_entry(user_id, user_id, json.dumps(record()), NOW).record for user_id in user_ids)
        await self.records.register(each for each in found if each is not None)

    async def fill(self, users: Iterable[User]) -> None:
        """These users as they are, however that came about."""
        known = list(users)
        await self.records.register(user for user, _ in known)
        await self.records.request_sync(
            {user.user_id: user.sync_requested_at for user, _ in known if user.sync_requested_at}
        )
        for user_id, state in ((user.user_id, state) for user, state in known):
            if state != NEVER_SYNCED:
                args = (LAYOUT_VERSION, 0, state_text(user_id, NEVER_SYNCED, state))
                await self.commands.run(APPLY, (*self.keys.shared, self.keys.user(user_id)), args)

    async def remove(self, user_id: str) -> None:
        await self.records.remove([user_id])

    async def contents(self, store: Store, now: int) -> Snapshot:
        report = await store.read(now)
        users = {user.record.user_id: user async for user in self.records.users()}
        return Snapshot(
            report.skipped,
            report.problems,
            report.warnings,
            report.highest_claim,
            records={user_id: user.record for user_id, user in users.items()},
            states={user_id: user.state for user_id, user in users.items() if user.state != NEVER_SYNCED},
        )
