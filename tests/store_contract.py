"""What every store has to do, whatever holds it: a store's test module subclasses `StoreContract`, gives `bench`."""

import asyncio
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from periodic_sync.api.durations import MINUTE
from periodic_sync.core.outcomes import Ending, Outcome, apply
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.stores.base import Store

NOW = 1_769_851_800_000
"""2026-01-31T09:30:00Z"""
WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"


class Contents(Protocol):
    """All that a store holds; fields as in `Report`."""

    @property
    def records(self) -> Mapping[str, UserRecord]: ...
    @property
    def states(self) -> Mapping[str, UserState]: ...
    @property
    def skipped(self) -> int: ...
    @property
    def problems(self) -> tuple[str, ...]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def highest_claim(self) -> int: ...


class Bench(Protocol):
    """A new, empty store, as applications and operators see it."""

    def open(self) -> Store:
        """The store as one more operator opens it."""
        ...

    async def write(self, user_id: str, record: dict[str, Any] | str) -> None:
        """Write a record as an application does; a text as somebody who gets it wrong does."""
        ...

    async def register(self, user_ids: Iterable[str]) -> None:
        """Write a record for each of these, as an application does."""
        ...

    async def remove(self, user_id: str) -> None:
        """Remove a record as an application does."""
        ...

    async def contents(self, store: Store, now: int) -> Contents:
        """All that the store holds, as an operator reads it at that instant."""
        ...


def record(*, active: int = NOW, **fields: Any) -> dict[str, Any]:
    """A record as an application writes it, last active at that instant (milliseconds)."""
    return {"wallet": WALLET, "lastActive": rfc_3339(active), **fields}


def rfc_3339(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def outcome(user_id: str, ending: Ending = Ending.SYNCED, *, claim: int = NOW, request: int | None = None) -> Outcome:
    return Outcome(user_id, ending, claim, claim, claim + 1_000, 10, request)


def synced(claim: int = NOW) -> UserState:
    return UserState(last_synced=claim, last_claim=claim, last_outcome=claim)


def folded(outcomes: Iterable[Outcome]) -> dict[str, UserState]:
    """What outcomes come to by the pure rules, each applied once, in the order of their claims."""
    states: dict[str, UserState] = {}
    for one in sorted(outcomes, key=lambda one: one.claim):
        states[one.user_id] = apply(states.get(one.user_id, NEVER_SYNCED), one)
    return states


class StoreContract:
    """The tests. Each takes a `bench` of its own."""

    async def test_a_new_store_is_empty_and_ready(self, bench: Bench) -> None:
        snapshot = await bench.contents(bench.open(), NOW)
        assert (dict(snapshot.records), dict(snapshot.states)) == ({}, {})
        assert (snapshot.skipped, snapshot.problems, snapshot.warnings, snapshot.highest_claim) == (0, (), (), 0)

    async def test_records_come_and_change_and_go(self, bench: Bench) -> None:
        store = bench.open()
        await bench.write("u1", record())
        await bench.write("u2", record(interval="2m", timeZone="Asia/Tokyo"))
        assert (await bench.contents(store, NOW)).records == {
            "u1": UserRecord("u1", WALLET, NOW),
            "u2": UserRecord("u2", WALLET, NOW, 2 * MINUTE, "Asia/Tokyo"),
        }
        await bench.write("u1", record(active=NOW + 1_000))
        await bench.remove("u2")
        assert (await bench.contents(store, NOW)).records == {"u1": UserRecord("u1", WALLET, NOW + 1_000)}

    async def test_outcomes_are_durable_and_seen_by_every_operator(self, bench: Bench) -> None:
        store, other = bench.open(), bench.open()
        await bench.write("u1", record())
        assert (await bench.contents(other, NOW)).states == {}
        await store.apply([outcome("u1")])
        for reader in (store, other, bench.open()):
            snapshot = await bench.contents(reader, NOW)
            assert snapshot.states == {"u1": synced()}
            assert snapshot.highest_claim == NOW

    async def test_outcomes_apply_once_and_never_backwards(self, bench: Bench) -> None:
        store, frozen = bench.open(), bench.open()
        first, second = outcome("u1", Ending.FAILED), outcome("u1", Ending.FAILED, claim=NOW + 1)
        await bench.register(["u1"])
        await frozen.read(NOW)
        for applier, outcomes in [(store, [first]), (store, [second]), (store, [first]), (frozen, [first, second])]:
            await applier.apply(outcomes)
        assert (await bench.contents(bench.open(), NOW)).states == folded([first, second])
        assert (await bench.contents(store, NOW)).states["u1"].failures == 2

    async def test_two_outcomes_of_a_user_in_one_call_apply_in_the_order_of_their_claims(self, bench: Bench) -> None:
        store = bench.open()
        outcomes = [outcome("u1", Ending.FAILED, claim=NOW + 1), outcome("u1", Ending.FAILED)]
        await bench.register(["u1"])
        await store.apply(outcomes)
        assert (await bench.contents(store, NOW)).states == folded(outcomes)

    async def test_nothing_to_apply_is_fine(self, bench: Bench) -> None:
        store = bench.open()
        await store.apply([])
        assert (await bench.contents(store, NOW)).states == {}

    async def test_every_field_of_a_state_survives(self, bench: Bench) -> None:
        outcomes = [outcome(f"user.{ending}:x@y-z", ending, request=NOW - 5) for ending in Ending]
        outcomes += [outcome(one.user_id, Ending.RETURNED, claim=NOW + 7) for one in outcomes]
        await bench.register(one.user_id for one in outcomes)
        await bench.open().apply(outcomes)
        assert (await bench.contents(bench.open(), NOW)).states == folded(outcomes)

    async def test_operators_that_apply_at_once_lose_nothing(self, bench: Bench) -> None:
        operators, history = [bench.open() for _ in range(3)], []
        await bench.register(f"u{number}" for number in range(40))
        for claim in range(NOW, NOW + 12, 3):
            batches = [
                [outcome(f"u{n}", Ending.FAILED, claim=claim + index) for n in range(index, 40, 3)]
                for index in range(3)
            ]
            # Each applies what another applies too, as after a takeover.
            await asyncio.gather(*(operator.apply(batches[i] + batches[i - 1]) for i, operator in enumerate(operators)))
            history += [one for batch in batches for one in batch]
        for operator in (*operators, bench.open()):
            assert (await bench.contents(operator, NOW)).states == folded(history)

    async def test_a_long_history_comes_to_what_the_rules_say(self, bench: Bench) -> None:
        dice = random.Random(4)
        stores, history = [bench.open(), bench.open()], []
        await bench.register(f"user-{number}" for number in range(300))
        for turn in range(60):
            users = dice.sample(range(300), dice.choice([1, 10, 40, 200]))
            batch = [outcome(f"user-{n}", dice.choice(list(Ending)), claim=NOW + turn) for n in users]
            await dice.choice(stores).apply(batch)
            history += batch
        expected = folded(history)
        for store in (*stores, bench.open()):
            snapshot = await bench.contents(store, NOW)
            assert snapshot.states == expected
            assert snapshot.highest_claim == NOW + 59

    @pytest.mark.parametrize("count", [1_000])
    async def test_many_outcomes_at_once(self, bench: Bench, count: int) -> None:
        await bench.register(f"user-{number}" for number in range(count))
        await bench.open().apply([outcome(f"user-{number}") for number in range(count)])
        assert len((await bench.contents(bench.open(), NOW)).states) == count
