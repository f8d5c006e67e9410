"""Single activities: taken without the framework, with the same answers, and none acknowledged that is not stored."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from redis_support import redis_server
from turns_support import until

from .conftest import POLICY, Place, on_redis
from .test_users import WALLET

USERS, POSTERS = 20, 3
"""Posters of each user."""
JSON = {"Content-Type": "application/json"}
CHUNKED = {"Content-Type": "application/json", "X-Chunked": "yes"}


async def post(place: Place, path: str, role: str, headers: Mapping[str, str], data: bytes | None) -> tuple[int, Any]:
    """The status, and the code and the detail of a problem."""
    url = URL(place.server.base + path, encoded=True)
    chunked = headers is CHUNKED or None
    given = CIMultiDict(headers)
    if role:
        given.add("Authorization", f"Bearer {place.tokens[role]}")
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=data, headers=given, chunked=chunked) as got,
    ):
        if got.status < 400:
            return got.status, await got.text()
        problem = await got.json(content_type=None)
        return got.status, (problem["code"], problem["detail"])


@pytest.mark.parametrize(
    ("role", "headers", "data"),
    [
        ("writer", {}, None),
        ("writer", JSON, b""),
        ("writer", JSON, b"null"),
        ("writer", JSON, b"{}"),
        ("writer", JSON, b'{"at": "2026-01-31T09:30:00Z"}'),
        ("writer", {"Content-Type": "application/json; charset=utf-8"}, b"{}"),
        ("writer", CHUNKED, b"{}"),
        ("writer", JSON, b'{"at": "\xff"}'),
        ("writer", JSON, b'{"at": "yesterday"}'),
        ("writer", JSON, b'{"at": 5}'),
        ("writer", JSON, b'{"when": "2026-01-31T09:30:00Z"}'),
        ("writer", JSON, b"[]"),
        ("writer", JSON, b"{"),
        ("writer", JSON, b"[" * 100_000),
        ("writer", JSON, b'{"at": ' + b"9" * 5_000 + b"}"),
        ("writer", {"Content-Type": "text/plain"}, b"{}"),
        ("writer", {}, b" " * 300_000),
        ("reader", {}, None),
        ("", {}, None),
        ("", {"Authorization": "Bearer nothing"}, None),
    ],
)
async def test_both_ways_to_the_route_give_the_same_answer(
    place: Place, role: str, headers: dict[str, str], data: bytes | None
) -> None:
    assert (await place.caller("manager")("PUT", "users/ada", {"wallet": WALLET})).status == 204
    fast = await post(place, f"{place.path}/users/ada/activity", role, headers, data)
    framework = await post(place, f"{place.path}/users/%61da/activity", role, headers, data)
    assert fast == framework


async def test_of_two_tokens_both_ways_take_the_first(place: Place) -> None:
    assert (await place.caller("manager")("PUT", "users/ada", {"wallet": WALLET})).status == 204
    for roles, status in ((("writer", "reader"), 204), (("reader", "writer"), 403)):
        tokens = CIMultiDict(("Authorization", f"Bearer {place.tokens[role]}") for role in roles)
        for user_id in ("ada", "%61da"):
            assert (await post(place, f"{place.path}/users/{user_id}/activity", "", tokens, None))[0] == status


@pytest.mark.parametrize("name", ["users/nobody/activity", f"../{POLICY}-2/users/ada/activity", "users/a,b/activity"])
async def test_who_and_what_is_not_there_is_told(place: Place, name: str) -> None:
    path = str(URL(place.path + "/").join(URL(name)))
    status, (code, _) = await post(place, path, "manager", {}, None)
    assert (status, code) in {(404, "UnknownUser"), (403, "Forbidden"), (404, "NoSuchPolicy"), (422, "Invalid")}


class Posts:
    """Posts of users' activity, each later than the one before of the same user."""

    def __init__(self, place: Place, session: aiohttp.ClientSession) -> None:
        self._place, self._session = place, session
        self._base = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        self.answers: Counter[int] = Counter()
        self.acknowledged: dict[str, datetime] = {}
        self._numbers: Counter[str] = Counter()
        self.is_over = False

    async def post_on(self, user: str) -> None:
        url = f"{self._place.server.base}{self._place.path}/users/{user}/activity"
        headers = {"Authorization": f"Bearer {self._place.tokens['writer']}"}
        while not self.is_over:
            self._numbers[user] += 1
            at = self._base + timedelta(milliseconds=self._numbers[user])
            async with self._session.post(url, json={"at": at.isoformat()}, headers=headers) as got:
                self.answers[got.status] += 1
                if got.status == 204:
                    self.acknowledged[user] = max(at, self.acknowledged.get(user, at))


async def test_a_redis_that_is_killed_under_load_loses_nothing_that_was_acknowledged(place: Place) -> None:
    async with redis_server(appendonly="yes", appendfsync="always") as redis:
        await on_redis(place, redis)
        manager = place.caller("manager")
        old = (datetime.now(UTC) - timedelta(days=2)).isoformat()
        users = [f"user-{number}" for number in range(USERS)]
        for user in users:
            assert (await manager("PUT", f"users/{user}", {"wallet": WALLET, "lastActive": old})).status == 204
        async with aiohttp.ClientSession() as session:
            posts = Posts(place, session)
            async with asyncio.TaskGroup() as group:
                for user in users * POSTERS:
                    group.create_task(posts.post_on(user))

                async def has(status: int, count: int) -> bool:
                    return posts.answers[status] >= count

                for _ in range(3):
                    acknowledged = posts.answers[204]
                    await until(lambda: has(204, acknowledged + 500))  # noqa: B023
                    refused = posts.answers[503]
                    redis.kill()
                    await until(lambda: has(503, refused + 10))  # noqa: B023
                    await redis.start()
                posts.is_over = True
        stored = {
            each["userId"]: datetime.fromisoformat(each["lastActive"])
            for each in (await manager("GET", "users?limit=1000")).json["users"]
        }
    assert set(posts.answers) <= {204, 429, 503}
    assert set(posts.acknowledged) == set(users)
    assert {user for user, at in posts.acknowledged.items() if stored[user] < at} == set()
