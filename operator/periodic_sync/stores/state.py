"""The state of a policy's users in ConfigMaps: carries out what `state_plan` plans, against the API server."""

from collections.abc import Callable, Mapping, Sequence

from periodic_sync.api.errors import AlreadyExistsError, ApiError, ConflictError, NotFoundError
from periodic_sync.core import outcomes as results
from periodic_sync.core.outcomes import Outcome
from periodic_sync.core.users import NEVER_SYNCED, UserState
from periodic_sync.stores.base import ConfigMaps, Owner
from periodic_sync.stores.mirror import Mirror, Object
from periodic_sync.stores.state_format import encode_marks
from periodic_sync.stores.state_objects import GONE, Marks, StateObjects
from periodic_sync.stores.state_plan import (
    LARGEST_PART,
    Part,
    View,
    Write,
    merge,
    pieces,
    plan_changes,
    plan_forgetting,
)

_ROUNDS = 8
_LOST_RACE = (ConflictError, AlreadyExistsError, NotFoundError)


class StateParts:
    """All state ConfigMaps of one policy. Not for several tasks at once: `ConfigMapStore` sees to that."""

    def __init__(self, maps: ConfigMaps, namespace: str, owner: Owner) -> None:
        self._maps = maps
        self._objects = StateObjects(namespace, owner)
        self._mirror: Mirror[Part | Marks] = Mirror(maps, self._objects.selection(), self._objects.read)
        self._merged: tuple[int, Mapping[str, UserState]] = (0, {})

    async def refresh(self) -> None:
        """Read what changed. Raises: StoreNotReady where a part can't be read, ApiError."""
        await self._mirror.refresh(rounds=_ROUNDS, strict=True)

    def states(self) -> Mapping[str, UserState]:
        """By user id, as last read or written; the same object as long as nothing changed."""
        if self._merged[0] != self._mirror.generation:
            merged = merge(part.users for part in self._view().parts.values())
            self._merged = (self._mirror.generation, self._merged[1] if merged == self._merged[1] else merged)
        return self._merged[1]

    def gone(self) -> Mapping[str, int]:
        """Since when users are gone, in milliseconds, as last read or written."""
        held = self._mirror.held.get(self._objects.name(GONE))
        return held.value.since if held and isinstance(held.value, Marks) else {}

    async def apply(self, outcomes: Sequence[Outcome]) -> None:
        """Fold outcomes into the states and write them. Raises: StoreNotReady, ApiError."""
        in_order = sorted(outcomes, key=lambda outcome: outcome.claim)
        # What is held may be old: the write compares the journal's version, and no state comes in but through it.
        if not self._mirror.settled:
            await self.refresh()
        for piece in pieces(self._changes(in_order)):
            users = piece.keys()
            of_piece = [outcome for outcome in in_order if outcome.user_id in users]
            await self._carry_out(lambda of_piece=of_piece: self._plan(of_piece))  # type: ignore[misc]

    async def forget(self, claims: Mapping[str, int]) -> None:
        """Forget users, as `plan_forgetting` says. Raises: StoreNotReady, ApiError."""
        await self._carry_out(lambda: plan_forgetting(self._view(), claims))

    async def note_gone(self, since: Mapping[str, int]) -> None:
        """Write since when users are gone. A race that is lost is left to the next call."""
        text = encode_marks(since)
        while len(text) > LARGEST_PART:  # those noted later are kept longer, no more
            since = dict(sorted(since.items(), key=lambda item: item[1])[: len(since) // 2])
            text = encode_marks(since)
        held = self._mirror.held.get(self._objects.name(GONE))
        version = held.version if held else None
        body = self._objects.body(GONE, text, version=version)
        try:
            self._take_over(await self._send(GONE, body, version), Marks(dict(since)))
        except _LOST_RACE:
            self._mirror.settled = False

    def _plan(self, in_order: Sequence[Outcome]) -> list[Write]:
        changes = self._changes(in_order)
        return plan_changes(self._view(), changes) if changes else []

    def _changes(self, in_order: Sequence[Outcome]) -> dict[str, UserState]:
        states, changes = self.states(), dict[str, UserState]()
        for outcome in in_order:
            user_id = outcome.user_id
            before = changes.get(user_id) or states.get(user_id, NEVER_SYNCED)
            after = results.apply(before, outcome)
            if after is not before:
                changes[user_id] = after
        return changes

    async def _carry_out(self, plan: Callable[[], Sequence[Write]]) -> None:
        """Make the writes of a plan in order; whenever somebody else wrote first, read and plan again."""
        lost: ApiError | None = None
        for _ in range(_ROUNDS):
            try:
                for write in plan():
                    await self._write(write)
                return
            except _LOST_RACE as error:
                lost = error
            self._mirror.settled = False
            await self.refresh()
        raise lost or AssertionError

    async def _write(self, write: Write) -> None:
        if write.delete:
            name = self._objects.name(write.part)
            await self._maps.delete(self._objects.namespace, name, resource_version=write.expected)
            self._mirror.drop(name)
            return
        body = self._objects.body(write.part, write.text, version=write.expected, spent=write.spent)
        stored = await self._send(write.part, body, write.expected)
        self._take_over(stored, Part(write.users, None, len(write.text), write.spent))

    async def _send(self, part: str, body: Object, expected: str | None) -> Object:
        namespace, name = self._objects.namespace, self._objects.name(part)
        if expected is not None:
            return await self._maps.replace(namespace, name, body)
        try:
            return await self._maps.create(namespace, body)
        except AlreadyExistsError:
            await self.refresh()
            if name not in self._mirror.held:
                raise self._objects.in_the_way(part) from None
            raise

    def _take_over(self, stored: Object, value: Part | Marks) -> None:
        self._mirror.put(stored, value)

    def _view(self) -> View:
        parts = {}
        for name, held in self._mirror.held.items():
            if isinstance(held.value, Part):
                part = held.value
                parts[self._objects.part(name)] = Part(part.users, held.version, part.size, part.spent)
        return View(parts)
