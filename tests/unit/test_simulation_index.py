"""A plan made from the simulation's index is the plan that all users would make, whatever has happened to them."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dice import OPENING, Dice, situations
from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.core.ledger import Breaker, IntervalEdit, Intervals, Ledger
from periodic_sync.core.outcomes import Ending, Outcome, apply
from periodic_sync.core.plan import Plan, User, plan, plan_for, with_cohorts
from periodic_sync.core.tick import Tick
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.simulation.index import UserIndex
from scheduling import NOON, ledger_of, policy, tick_of, told


def planned(index: UserIndex, tick: Tick, *, with_flying: bool = True) -> Plan:
    tick, cohorts = with_cohorts(tick, index.active(tick.now - tick.spec.thresholds.active))
    return plan_for(index.population(tick, with_flying=with_flying), tick, cohorts)


def difference(index: UserIndex, tick: Tick) -> dict[str, object]:
    """What is planned otherwise than all users would make it; without those in flight two counts may be."""
    expected = told(plan(index.everyone(), tick))
    found, quick = told(planned(index, tick)), told(planned(index, tick, with_flying=False))
    wrong: dict[str, object] = {key: (found[key], expected[key]) for key in found if found[key] != expected[key]}
    same = ("jobs", "order", "reasons", "hold", "cohorts")
    return wrong | {f"quick {key}": (quick[key], expected[key]) for key in same if quick[key] != expected[key]}


def test_it_is_the_plan_that_all_users_make() -> None:
    for number, (users, tick) in enumerate(situations(300)):
        index = UserIndex(users)
        index.take_off(tick.in_flight, tick.now - SECOND)
        assert not difference(index, tick), f"seed {number}"


class History:
    """Users to whom all sorts of things happen, by chance."""

    def __init__(self, seed: int) -> None:
        self.dice = Dice(seed)
        self.now = self.dice.choice([OPENING, OPENING + 8 * HOUR]) - 20 * MINUTE
        self.claim = 100
        self.spec = self.dice.spec()
        self.cohorts = 15
        self.edit: IntervalEdit | None = None
        self.index = UserIndex(self.dice.user(number, self.now) for number in range(40))
        self.ids = [f"u{number}" for number in range(60)]

    def goes_on(self) -> Tick:
        """Something happens, and time passes. Returns: the tick to plan on."""
        dice, some = self.dice, self.dice.sample(self.ids, self.dice.choice([1, 5, 20]))
        self.now += dice.choice([100, SECOND, 20 * SECOND, 2 * MINUTE, 2 * MINUTE, 9 * MINUTE])
        match dice.choice(["active", "register", "remove", "claim", "claim", "end", "end", "policy", "policy"]):
            case "active":
                self._note_activity(some)
            case "register":
                for user_id in some:
                    self.index.put(dice.user(int(user_id[1:]), self.now)[0])
            case "remove":
                for user_id in self.index.records.keys() & set(some[:2]):
                    self.index.remove(user_id)
            case "claim":
                made = planned(self.index, self._tick())
                self.index.take_off(made.claimed, self.now)
            case "end":
                self._end(dice.sample(sorted(self.index.in_flight), len(self.index.in_flight) // 2))
            case "policy":
                self._change_policy()
        return self._tick()

    def _change_policy(self) -> None:
        dice = self.dice
        match dice.choice(["thresholds", "edit", "drop"]):
            case "thresholds":
                thresholds = self.spec.thresholds.model_copy(update={"active": dice.choice([6 * HOUR, DAY, 2 * DAY])})
                self.spec = self.spec.model_copy(update={"thresholds": thresholds})
            case "edit":
                self.edit = IntervalEdit(self.now, Intervals(dice.choice([MINUTE, HOUR]), dice.choice([MINUTE, HOUR])))
            case "drop":
                self.cohorts = dice.randint(1, 30)

    def _note_activity(self, user_ids: list[str]) -> None:
        for user_id in self.index.records.keys() & set(user_ids):
            seen = self.now - self.dice.choice([0, HOUR, 2 * DAY])
            self.index.put(replace(self.index.records[user_id], last_active=seen))

    def _end(self, user_ids: list[str]) -> None:
        self.claim += 1
        ended = {}
        for user_id in user_ids:
            ending, at = self.dice.choice(list(Ending)), self.index.in_flight[user_id]
            outcome = Outcome(user_id, ending, self.claim, at, self.now, 4, self.now)
            ended[user_id] = apply(self.index.states.get(user_id, NEVER_SYNCED), outcome)
        self.index.land(ended)

    def _tick(self) -> Tick:
        failing = Breaker(self.dice.choice([0, 0, 0, 3]), self.now - MINUTE)
        ledger: Ledger = ledger_of(self.spec, cohorts=self.cohorts, breaker=failing, edit=self.edit)
        return Tick(self.spec, ledger, self.now, self.index.in_flight, cohorts=self.cohorts)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9))
def test_it_stays_so_whatever_happens_to_the_users(seed: int) -> None:
    history = History(seed)
    for step in range(40):
        tick = history.goes_on()
        assert not (found := difference(history.index, tick)), f"step {step}: {found}"


def test_of_many_users_few_are_looked_at() -> None:
    users: list[User] = [
        (UserRecord(f"u{number}", "0x1", NOON), UserState(NOON - number * 100, 5, 5)) for number in range(10_000)
    ]
    index = UserIndex(users)
    shown = index.population(tick_of(policy(jobs={"maxConcurrentBatches": 3})))
    assert shown.census is not None
    assert shown.census.due == 7_000
    assert len(shown.users) == 40
