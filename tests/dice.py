"""Users, specs and ledgers by chance, for whatever is to plan as all users would."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.ledger import IntervalEdit, Intervals, Ledger, ManualRequest, RecentClaim, Scope
from periodic_sync.core.plan import User
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from scheduling import NOON, instant, ledger_of, policy

OPENING = instant("2026-11-25T09:00+00:00")


class Dice(random.Random):
    """Users, specs and ledgers by chance. Instants of syncs are whole tenths of a second, as the index has them."""

    def user(self, number: int, now: int) -> User:
        ages = [0, 23 * HOUR, DAY, DAY + 1, 3 * DAY]
        record = UserRecord(
            f"u{number}",
            wallet="0x1",
            last_active=now - self.choice(ages),
            interval=self.choice([None, None, None, 30 * SECOND, 7 * MINUTE, 2 * HOUR]),
            time_zone=self.choice([None, None, None, "Asia/Tokyo", "America/New_York"]),
            sync_requested_at=now - self.randrange(HOUR) if self.random() < 0.1 else None,
        )
        return record, self.state(now)

    def state(self, now: int) -> UserState:
        if self.random() < 0.2:
            return NEVER_SYNCED
        ago = self.choice([20 * MINUTE, 20 * MINUTE, 3 * HOUR])
        synced = None if self.random() < 0.1 else (now - self.randrange(-2 * MINUTE, ago)) // 100 * 100
        state = UserState(synced, last_claim=self.randint(1, 20), last_outcome=self.randint(0, 20))
        state = replace(state, request_served=self.choice([0, now]))
        if self.random() < 0.2:
            state = replace(state, failures=self.randint(1, 5), failed_at=now - self.randrange(HOUR))
        if self.random() < 0.1:
            state = replace(state, unexplained=self.randint(1, 3))
        return state

    def spec(self) -> SyncPolicySpec:
        market, off = self.choice([("5m", "15m"), ("15m", "5m"), ("30m", "30m"), ("1m", "2h")])
        return policy(
            intervals={"marketHours": market, "offHours": off},
            thresholds={"stale": self.choice(["31m", "1h", "3h"]), "active": "24h"},
            batchSize=self.choice([3, 10]),
            enabled=self.random() < 0.95,
            jobs={"maxConcurrentBatches": 200, "batchesPerJob": self.choice([1, 4])},
        )

    def ledger(self, spec: SyncPolicySpec, now: int) -> Ledger:
        edit = IntervalEdit(now - 3 * MINUTE, Intervals(40 * MINUTE, 50 * MINUTE))
        return ledger_of(
            spec,
            request=self.choice([None, None, *(ManualRequest("t", scope, self.randint(0, 20)) for scope in Scope)]),
            edit=edit if self.random() < 0.3 else None,
            cohorts=self.randint(1, 30),
            recent=(RecentClaim(now - 20 * SECOND, 5),),
            cohorts_at=self.choice([0, 10**13]),
        )

    def some(self, users: Iterable[User], share: float) -> list[str]:
        return [record.user_id for record, _ in users if self.random() < share]


def situations(count: int) -> Iterator[tuple[list[User], Tick]]:
    for seed in range(count):
        dice = Dice(seed)
        now = dice.choice([OPENING, NOON, instant("2026-11-25T17:00+00:00")]) + dice.randrange(-2 * MINUTE, 20 * MINUTE)
        users = [dice.user(number, now) for number in range(dice.choice([0, 5, 60, 200]))]
        spec = dice.spec()
        yield (
            users,
            Tick(
                spec,
                dice.ledger(spec, now),
                now,
                in_flight=dict.fromkeys(dice.some(users, 0.1), now - SECOND),
                named=frozenset([*dice.some(users, 0.1), "stranger"]),
            ),
        )
