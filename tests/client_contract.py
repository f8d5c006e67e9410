"""What the client library does on every store: a test module subclasses `ClientContract` and gives `users`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from client_support import SetClock
from periodic_sync.client import (
    Client,
    InvalidImportError,
    InvalidUserError,
    SyncState,
    UnknownUserError,
    User,
)
from periodic_sync.core.outcomes import Ending
from periodic_sync.stores.base import Store
from store_contract import NOW, WALLET, outcome

MOMENT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
ODD_IDS = ("auth0:u18", "a@b.example", "..", ".", "..x", "-", "_", "A" * 128, "u1:" * 42)


class Place(Protocol):
    """A new store, that clients and an operator can open."""

    clock: SetClock

    def client(self) -> Client: ...

    def operator(self) -> Store: ...


async def all_users(client: Client) -> dict[str, User]:
    return {user.user_id: user async for user in client.users()}


class ClientContract:
    """The tests."""

    async def test_a_registered_user_is_there_as_written(self, place: Place) -> None:
        async with place.client() as client:
            assert await client.get("u1") is None
            await client.register("u1", WALLET, interval="2m", time_zone="Asia/Tokyo", last_active=MOMENT - HOUR)
            await client.register("u2", WALLET)
            found = await client.get("u1")
            assert found is not None
            assert (found.wallet, found.last_active) == (WALLET, MOMENT - HOUR)
            assert (found.interval, found.time_zone) == (timedelta(minutes=2), "Asia/Tokyo")
            assert (found.sync_requested_at, dict(found.changed_tokens)) == (None, {})
            assert (await all_users(client)).keys() == {"u1", "u2"}
            assert (await all_users(client))["u2"].last_active == MOMENT

    async def test_pages_show_each_user_once_also_where_all_are_of_one_instant(self, place: Place) -> None:
        async with place.client() as client:
            assert (await client.page()).users == ()
            ids = [f"u{number}" for number in range(5)]
            await asyncio.gather(*(client.register(user_id, WALLET, last_active=MOMENT) for user_id in ids))
            for limit, pages in ((1, 5), (2, 3), (5, 1), (100, 1)):
                seen, cursor, count = [], "", 0
                while cursor or not count:
                    page = await client.page(cursor, limit)
                    seen += [user.user_id for user in page.users]
                    cursor, count = page.cursor, count + 1
                assert (seen, count) == (ids, pages)
            first = await client.page(limit=2)
            await client.remove("u1")
            assert [user.user_id for user in (await client.page(first.cursor, 2)).users] == ["u2", "u3"]
            for bad in ("%", "YQ"):
                with pytest.raises(InvalidUserError):
                    await client.page(bad)
            with pytest.raises(InvalidUserError):
                await client.page(limit=0)

    async def test_it_is_seen_by_another_client_when_the_call_returns(self, place: Place) -> None:
        async with place.client() as one, place.client() as other:
            await one.register("u1", WALLET)
            assert await other.get("u1") is not None
            await other.record_activity("u1", MOMENT + timedelta(minutes=4))
            await one.request_sync("u1")
            assert (await other.get("u1")).sync_requested_at == MOMENT  # type: ignore[union-attr]
            await other.remove("u1")
            assert await one.get("u1") is None

    async def test_registering_again_updates_and_activity_only_grows(self, place: Place) -> None:
        async with place.client() as client:
            await client.register("u1", WALLET, interval=timedelta(minutes=2), time_zone="Asia/Tokyo")
            await client.mark_tokens_changed("u1", ["0xt"])
            await client.request_sync("u1")
            await client.register("u1", "another", last_active=MOMENT - HOUR)
            found = await client.get("u1")
            assert found is not None
            assert (found.wallet, found.last_active) == ("another", MOMENT)
            assert (found.interval, found.time_zone) == (None, None)
            assert (found.sync_requested_at, dict(found.changed_tokens)) == (MOMENT, {"0xt": MOMENT})

    async def test_activity_grows_and_never_shrinks(self, place: Place) -> None:
        async with place.client() as client:
            await client.register("u1", WALLET, last_active=MOMENT - 30 * HOUR)
            await client.record_activity("u1", MOMENT - 20 * HOUR)
            await client.record_activity("u1", MOMENT - 25 * HOUR)
            assert (await client.get("u1")).last_active == MOMENT - 20 * HOUR  # type: ignore[union-attr]
            await client.record_activity("u1")
            assert (await client.get("u1")).last_active == MOMENT  # type: ignore[union-attr]

    async def test_many_activities_at_once_tell_who_is_not_registered(self, place: Place) -> None:
        async with place.client() as client:
            await client.register("u1", WALLET, last_active=MOMENT - 30 * HOUR)
            await client.register("u2", WALLET, last_active=MOMENT - 30 * HOUR)
            told = await client.record_activities({"u1": None, "u2": "2026-01-31T08:30:00Z", "u3": MOMENT})
            assert told == {"u3"}
            assert {it.user_id: it.last_active for it in (await all_users(client)).values()} == {
                "u1": MOMENT,
                "u2": MOMENT - HOUR,
            }
            assert await client.record_activities(["u1", "u1", "u4"]) == {"u4"}

    async def test_whoever_is_not_registered_is_told(self, place: Place) -> None:
        async with place.client() as client:
            for call in (client.record_activity("u1"), client.mark_tokens_changed("u1", "0xt")):
                with pytest.raises(UnknownUserError, match="user u1 is not registered"):
                    await call
            assert await client.request_sync(["u1", "u2"]) == {"u1", "u2"}
            assert (await client.remove("u1")).removed == set()
            assert await all_users(client) == {}

    async def test_requests_count_by_the_latest(self, place: Place) -> None:
        async with place.client() as client:
            await client.register("u1", WALLET)
            await client.register("u2", WALLET)
            assert await client.request_sync(["u1", "u2", "u9"], MOMENT) == {"u9"}
            await client.request_sync("u1", MOMENT - HOUR)
            await client.request_sync("u2", MOMENT + timedelta(seconds=1))
            asked = {it.user_id: it.sync_requested_at for it in (await all_users(client)).values()}
            assert asked == {"u1": MOMENT, "u2": MOMENT + timedelta(seconds=1)}

    async def test_changed_tokens_are_gathered_the_newest_hundred(self, place: Place) -> None:
        async with place.client() as client:
            await client.register("u1", WALLET)
            await client.mark_tokens_changed("u1", ["a", "b"], MOMENT - HOUR)
            await client.mark_tokens_changed("u1", "b")
            await client.mark_tokens_changed("u1", ["a"], MOMENT - 2 * HOUR)
            await client.mark_tokens_changed("u1", [])
            assert (await client.get("u1")).changed_tokens == {"a": MOMENT - HOUR, "b": MOMENT}  # type: ignore[union-attr]
            await client.mark_tokens_changed("u1", [f"t{n}" for n in range(99)])
            held = (await client.get("u1")).changed_tokens  # type: ignore[union-attr]
            assert held.keys() == {"b", *(f"t{n}" for n in range(99))}

    async def test_ids_of_every_shape(self, place: Place) -> None:
        async with place.client() as client:
            for user_id in ODD_IDS:
                await client.register(user_id, f"w-{user_id}"[:128])
                await client.record_activity(user_id)
            await place.operator().read(NOW)
            assert (await all_users(client)).keys() == set(ODD_IDS)
            assert (await client.remove(ODD_IDS)).removed == set(ODD_IDS)
            assert await all_users(client) == {}

    async def test_removed_users_leave_nothing_and_come_back_as_new(self, place: Place) -> None:
        store = place.operator()
        async with place.client() as client:
            await client.register("u1", WALLET, interval="2m")
            await client.register("u2", WALLET)
            await store.read(NOW)
            await store.apply([outcome("u1"), outcome("u2")])
            removal = await client.remove(["u1", "u9"])
            assert (removal.removed, removal.remains) == ({"u1"}, "")
            other = place.operator()
            await other.read(NOW)
            assert (await other.states(["u1", "u2"])).keys() == {"u2"}
            assert (await all_users(client)).keys() == {"u2"}
            assert await client.record_activities(["u1"]) == {"u1"}
            await client.register("u1", WALLET)
            again = await client.get("u1")
            assert again is not None
            assert (again.interval, again.state) == (None, SyncState(None, 0, None, None))

    async def test_what_the_operator_knows_is_shown(self, place: Place) -> None:
        store = place.operator()
        async with place.client() as client:
            for user_id in ("u1", "u2", "u3"):
                await client.register(user_id, WALLET)
            await client.request_sync("u1", MOMENT - HOUR)
            await store.read(NOW)
            asked = NOW - 3_600_000
            await store.apply([outcome("u1", request=asked), outcome("u2", Ending.FAILED)])
            states = {it.user_id: it.state for it in (await all_users(client)).values()}
            assert states == {
                "u1": SyncState(MOMENT, 0, None, MOMENT - HOUR),
                "u2": SyncState(None, 1, MOMENT + timedelta(seconds=1), None),
                "u3": SyncState(None, 0, None, None),
            }
            assert (await client.get("u2")).state == states["u2"]  # type: ignore[union-attr]

    async def test_many_calls_at_once(self, place: Place) -> None:
        async with place.client() as one, place.client() as other:
            ids = [f"u{number}" for number in range(60)]
            await asyncio.gather(
                *(
                    (one, other)[number % 2].register(user_id, WALLET, last_active=MOMENT - 30 * HOUR)
                    for number, user_id in enumerate(ids)
                )
            )
            await asyncio.gather(*(client.record_activity(user_id) for user_id in ids for client in (one, other)))
            found = await all_users(one)
            assert {user_id: user.last_active for user_id, user in found.items()} == dict.fromkeys(ids, MOMENT)

    @pytest.mark.parametrize(
        ("call", "told"),
        [
            (lambda client: client.register("a b", WALLET), "userId is not 1 to 128 characters"),
            (lambda client: client.register("", WALLET), "userId is not 1 to 128 characters"),
            (lambda client: client.register("u1", ""), "wallet is not 1 to 128 characters"),
            (lambda client: client.register("u1", WALLET * 4), "wallet is not 1 to 128 characters"),
            (lambda client: client.register("u1", WALLET, interval="often"), 'interval "often" is not a duration'),
            (lambda client: client.register("u1", WALLET, interval=-HOUR), "interval is negative"),
            (lambda client: client.register("u1", WALLET, interval=timedelta(days=9999)), "interval is longer than"),
            (lambda client: client.register("u1", WALLET, time_zone="Mars"), 'timeZone "Mars" is not a time zone'),
            (lambda client: client.register("u1", WALLET, last_active="today"), 'lastActive "today" is not a time'),
            (
                lambda client: client.register("u1", WALLET, last_active=MOMENT + timedelta(minutes=5, seconds=1)),
                "lastActive is more than 5 minutes ahead",
            ),
            (lambda client: client.record_activity("u1", MOMENT + HOUR), "at is more than 5 minutes ahead"),
            (lambda client: client.record_activity("u1", MOMENT.replace(tzinfo=None)), "at has no time zone"),
            (lambda client: client.request_sync(["u1", "ü"]), "userId is not 1 to 128 characters"),
            (lambda client: client.request_sync(["u1"], MOMENT + HOUR), "at is more than 5 minutes ahead"),
            (lambda client: client.mark_tokens_changed("u1", [""]), "tokens has a token that is not 1 to 128"),
            (lambda client: client.mark_tokens_changed("u1", map(str, range(101))), "tokens has more than 100"),
            (lambda client: client.get("a/b"), "userId is not 1 to 128 characters"),
        ],
    )
    async def test_what_breaks_the_rules_is_refused_before_it_is_sent(
        self, place: Place, call: object, told: str
    ) -> None:
        async with place.client() as client:
            with pytest.raises(InvalidUserError) as raised:
                await call(client)  # type: ignore[operator]
            assert told in str(raised.value)
            assert WALLET not in str(raised.value)
            assert await all_users(client) == {}

    async def test_a_stream_is_imported_and_bad_lines_are_named(self, place: Place) -> None:
        lines = [
            "userId,wallet,lastActive,interval,note\n",
            f"u1,{WALLET},2026-01-31T09:30:00Z,2m,hello\n",
            "\n",
            f"u2,{WALLET},yesterday,,\n",
            f"u3,{WALLET}\n",
            'u4,"a ""b"", c",2026-01-31T09:30:00+01:00,,\n',
            f"u1,{WALLET},2026-01-31T08:00:00Z,3m,\n",
        ]
        seen = []
        async with place.client() as client:
            report = await client.import_users(lines, progress=seen.append)
            assert (report.imported, report.skipped) == (3, 2)
            assert [str(line) for line in report.bad_lines] == [
                'line 4: lastActive "yesterday" is not a time: write RFC 3339, such as 2026-01-31T09:30:00Z',
                "line 5: the line has 2 columns, and the header 5",
            ]
            found = await all_users(client)
            assert found["u1"].last_active == MOMENT
            assert found["u1"].interval == timedelta(minutes=3)
            assert (found["u4"].wallet, found["u4"].last_active) == ('a "b", c', MOMENT - HOUR)
        assert (seen[-1].lines, seen[-1].imported, seen[-1].skipped) == (7, 3, 2)
        assert seen[-1].size == sum(map(len, lines))

    async def test_ndjson_is_imported_with_all_fields(self, place: Place) -> None:
        async def lines() -> AsyncIterator[bytes]:
            yield b"\xef\xbb\xbf\r\n"
            yield (
                b'{"userId": "u1", "wallet": "w", "lastActive": "2026-01-31T09:30:00Z", "timeZone": "Asia/Tokyo", '
                b'"syncRequestedAt": "2026-01-31T09:00:00Z", "changedTokens": {"t": "2026-01-31T08:30:00Z"}, "x": 1}\n'
            )
            yield b'{"userId": "u2"\n'
            yield b"\xff\n"
            yield b'{"wallet": "w", "lastActive": "2026-01-31T09:30:00Z"}\n'
            yield b'{"userId": "u3", "wallet": "w", "lastActive": "2026-01-31T09:30:00Z", "interval": null}'

        async with place.client() as client:
            report = await client.import_users(lines())
            assert (report.imported, [line.number for line in report.bad_lines]) == (2, [3, 4, 5])
            found = await all_users(client)
            assert found["u1"].time_zone == "Asia/Tokyo"
            assert found["u1"].sync_requested_at == MOMENT - HOUR / 2
            assert found["u1"].changed_tokens == {"t": MOMENT - HOUR}
            assert found.keys() == {"u1", "u3"}

    async def test_a_header_without_a_column_is_refused_as_a_whole(self, place: Place) -> None:
        async with place.client() as client:
            with pytest.raises(InvalidImportError, match="lacks lastActive"):
                await client.import_users(["userId,wallet\n", "u1,w\n"])
            assert (await client.import_users([])).imported == 0

    async def test_a_long_stream(self, place: Place) -> None:
        count = 3_000
        lines = (f'{{"userId":"user-{n}","wallet":"w{n}","lastActive":"2026-01-31T09:30:00Z"}}' for n in range(count))
        async with place.client() as client:
            assert (await client.import_users(lines)).imported == count
            assert len(await all_users(client)) == count

    async def test_a_client_outside_its_block_says_so(self, place: Place) -> None:
        client = place.client()
        with pytest.raises(RuntimeError, match="async with"):
            await client.get("u1")
        async with client:
            await client.register("u1", WALLET)
        with pytest.raises(RuntimeError, match="async with"):
            await client.register("u1", WALLET)
