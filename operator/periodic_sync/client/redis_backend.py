"""Users in Redis, for the client: each call is one script, and activities that come together share one."""

import asyncio
import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from periodic_sync.api.durations import MINUTE
from periodic_sync.client.backend import Known, Page, Written, untold
from periodic_sync.client.users import Removal
from periodic_sync.core.due import TOKEN_OVERLAP
from periodic_sync.core.users import UserRecord
from periodic_sync.stores.redis.commands import Commands
from periodic_sync.stores.redis.reading import AT_ONCE
from periodic_sync.stores.redis.records import Place, RedisRecords

_SCRIPTS_AT_ONCE = 4
"""As many as there are connections to a server."""


class RedisBackend:
    """A `Backend`."""

    import_size = AT_ONCE * _SCRIPTS_AT_ONCE

    def __init__(self, commands: Commands, *, prefix: str, written: Written = untold) -> None:
        self._commands = commands
        self._records = RedisRecords(commands, prefix=prefix)
        self._activity = _Gathered(self._records, written)

    async def register(self, records: Sequence[UserRecord]) -> None:
        cuts = [records[start : start + AT_ONCE] for start in range(0, len(records), AT_ONCE)]
        for start in range(0, len(cuts), _SCRIPTS_AT_ONCE):
            await asyncio.gather(*map(self._records.register, cuts[start : start + _SCRIPTS_AT_ONCE]))
        asked = {it.user_id: it.sync_requested_at for it in records if it.sync_requested_at is not None}
        if asked:
            await self._records.request_sync(asked)
        for record in records:
            if record.changed_tokens:
                await self.mark_tokens_changed(record.user_id, record.changed_tokens)

    async def record_activity(self, times: Mapping[str, int]) -> set[str]:
        if len(times) > 1:
            return await self._records.record_activity(times)
        return {user_id for user_id, at in times.items() if not await self._activity.tell(user_id, at)}

    async def request_sync(self, times: Mapping[str, int]) -> set[str]:
        return await self._records.request_sync(times)

    async def mark_tokens_changed(self, user_id: str, tokens: Mapping[str, int]) -> bool:
        known = (await self._records.get([user_id])).get(user_id)
        synced = known.state.last_synced if known else None
        # What the operator won't ask for any more; a minute more, since this was read a moment ago.
        before = 0 if synced is None else synced - TOKEN_OVERLAP - MINUTE
        return await self._records.mark_tokens_changed(user_id, tokens, forget_before=before)

    async def remove(self, user_ids: Collection[str]) -> Removal:
        return Removal(frozenset(await self._records.remove(user_ids)), "")

    async def get(self, user_id: str) -> Known | None:
        found = (await self._records.get([user_id])).get(user_id)
        return Known(*found) if found else None

    async def users(self) -> AsyncIterator[Known]:
        async for user in self._records.users():
            yield Known(*user)

    async def page(self, after: str | None, limit: int) -> Page:
        place = None
        if after is not None:
            seen, _, user_id = after.partition(" ")
            place = Place(_number(seen), user_id.encode(errors="surrogateescape"))
        users, rest = await self._records.page(place, limit)
        told = None if rest is None else f"{rest.seen!r} {rest.user_id.decode(errors='surrogateescape')}"
        return Page([Known(*user) for user in users], told)

    async def close(self) -> None:
        await self._commands.close()


def _number(text: str) -> float:
    """Raises: ValueError."""
    number = float(text)
    if math.isnan(number):
        raise ValueError("not a number")
    return number


class _Gathered:
    """Activities of single users: those that come while a script is under way go together in the next."""

    def __init__(self, records: RedisRecords, written: Written) -> None:
        self._records, self._written = records, written
        self._waiting: dict[str, tuple[int, list[asyncio.Future[bool]]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def tell(self, user_id: str, at: int) -> bool:
        """Returns: whether the user is registered."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        latest, answers = self._waiting.get(user_id, (at, []))
        self._waiting[user_id] = (max(at, latest), [*answers, answer])
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            try:
                unknown = await self._records.record_activity({user: at for user, (at, _) in waiting.items()})
            except Exception as error:
                for answer in (each for _, answers in waiting.values() for each in answers):
                    if not answer.done():
                        answer.set_exception(error)
                continue
            self._written(sum(len(answers) for _, answers in waiting.values()))
            for user_id, (_, answers) in waiting.items():
                for answer in answers:
                    if not answer.done():
                        answer.set_result(user_id not in unknown)
