"""State spread over ConfigMaps: its text, and that no interleaving of writers, crashes and late writes loses any."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.core.outcomes import Ending, Outcome, apply
from periodic_sync.core.users import NEVER_SYNCED, UserState
from periodic_sync.stores import state_plan
from periodic_sync.stores.state_format import decode, decode_marks, encode, encode_marks
from periodic_sync.stores.state_plan import Part, View, Write, is_part, merge, pieces, plan_changes, plan_forgetting

CLAIM = 1_769_851_800_000

_whole = st.integers(0, 2**45)
_states = st.builds(
    UserState,
    last_synced=st.none() | _whole,
    last_claim=_whole,
    last_outcome=_whole,
    failures=_whole,
    failed_at=_whole,
    unexplained=_whole,
    returns=_whole,
    request_served=st.integers(-(2**45), 2**45),
)
_user_ids = st.text("abc.:@-_", min_size=1, max_size=8)


@given(st.dictionaries(_user_ids, _states))
def test_states_are_read_as_they_were_written(states: dict[str, UserState]) -> None:
    assert decode(encode(states)) == states


@given(st.dictionaries(_user_ids, _whole))
def test_marks_are_read_as_they_were_written(marks: dict[str, int]) -> None:
    assert decode_marks(encode_marks(marks)) == marks


def test_the_text_is_for_people_too() -> None:
    synced = UserState(last_synced=CLAIM, last_claim=CLAIM, last_outcome=CLAIM)
    failed = UserState(None, CLAIM + 9, CLAIM + 9, failures=2, failed_at=CLAIM + 99)
    assert encode({"u2": synced, "u3": failed, "u1": synced}) == (
        '{"claim":1769851800000,"users":["u1","u2"]}\n'
        '{"claim":1769851800009,"synced":null,"failures":2,"failedAt":1769851800099,"users":["u3"]}\n'
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("claim: 1", "line 1 is not JSON"),
        ('{"claim":1,"users":["a"]}\n[]', "line 2 is not a JSON object"),
        ('{"claim":"1","users":["a"]}', "line 1 has no whole number as claim"),
        ('{"claim":true,"users":["a"]}', "line 1 has no whole number as claim"),
        ('{"users":["a"]}', "line 1 has no whole number as claim"),
        ('{"claim":1}', "line 1 has no list of user ids under users"),
        ('{"claim":1,"users":[1]}', "line 1 has no list of user ids under users"),
        ('{"claim":1,"failures":null,"users":["a"]}', "line 1 has no whole number as failures"),
        ('{"claim":1,"learned":5,"users":["a"]}', "line 1 has a field that this release doesn't know: learned"),
        ("[" * 100_000, "line 1 is not JSON"),
    ],
)
def test_text_changed_by_hand_is_refused_with_the_line(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        decode(text)


@given(st.text() | st.text('{}[]":,claimusers10 \n'))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    with suppress(ValueError):
        decode(text)


@given(st.lists(st.dictionaries(_user_ids, _states), max_size=4))
def test_the_highest_claim_wins_in_any_order(parts: list[dict[str, UserState]]) -> None:
    merged = merge(parts)
    assert merged.keys() == {user_id for part in parts for user_id in part}
    for user_id, state in merged.items():
        assert state.last_claim == max(part[user_id].last_claim for part in parts if user_id in part)
    assert {u: s.last_claim for u, s in merge(parts[::-1]).items()} == {u: s.last_claim for u, s in merged.items()}


def test_changes_are_one_piece_until_they_outgrow_a_part() -> None:
    few = {f"user-{n}": UserState(last_claim=CLAIM) for n in range(10_000)}
    assert list(pieces(few)) == [few]
    many = {f"user-{n}": UserState(last_claim=CLAIM + n) for n in range(20_000)}
    cut = list(pieces(many))
    assert len(cut) > 1
    assert merge(cut) == many
    assert all(len(encode(piece)) <= state_plan.LARGEST_PART for piece in cut)


@pytest.mark.parametrize(
    ("name", "ours"),
    [("journal", True), ("recent", True), ("b1-0", True), ("b16-15", True)]
    + [(name, False) for name in ("", "gone", "b", "b1", "b1-0-0", "bx-0", "journal-1", "other")],
)
def test_part_names(name: str, ours: bool) -> None:
    assert is_part(name) is ours


def performed(view: View, writes: Iterable[Write]) -> View:
    """The view after writes that nobody disturbed."""
    parts = dict(view.parts)
    for number, write in enumerate(writes):
        assert write.expected == view.part(write.part).version
        if write.delete:
            del parts[write.part]
        else:
            parts[write.part] = Part(write.users, f"{len(parts)}.{number}.{id(write)}", len(write.text), write.spent)
    return View(parts)


def test_the_base_grows_into_more_parts_and_the_old_cut_goes() -> None:
    view, everyone = View({}), {}
    for start in range(0, 20_000, 500):
        chunk = {f"user-{n:032d}": UserState(last_claim=CLAIM + n) for n in range(start, start + 500)}
        everyone |= chunk
        view = performed(view, plan_changes(view, chunk))
    counts = {name[1:].split("-")[0] for name in view.base()}
    assert len(counts) == 1
    assert len(view.base()) == int(counts.pop()) > 1
    assert merge(part.users for part in view.parts.values()) == everyone
    assert max(part.size for part in view.parts.values()) <= state_plan.LARGEST_PART


def test_most_applications_of_a_batch_are_one_write_of_a_few_kilobytes() -> None:
    view = performed(
        View({}), plan_changes(View({}), {f"u{n:05d}": UserState(last_claim=CLAIM) for n in range(10_000)})
    )
    writes, size, synced = 0, 0, 0
    for batch in range(1_000):
        users = [f"u{(batch * 10 + n) % 2_000:05d}" for n in range(10)]
        state = UserState(CLAIM + batch + 1, CLAIM + batch + 1, CLAIM + batch + 1)
        plan = plan_changes(view, dict.fromkeys(users, state))
        writes += len(plan)
        size += sum(len(write.text) + state_plan.OVERHEAD for write in plan)
        synced += len(users)
        view = performed(view, plan)
    assert writes <= 1.2 * 1_000
    assert size / synced <= 500


Planner = Callable[[View, Mapping[str, UserState]], list[Write]]


@dataclass
class Operator:
    """One operator: an old view perhaps, and writes it is about to make, perhaps after a long while."""

    view: View | None = None
    writes: list[Write] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


class Interleaving:
    """Operators fold, compact and forget at once, crash and freeze anywhere, and apply old outcomes again.

    As in the protocol a user is claimed again only once the last outcome is durable.
    """

    USERS = ("u1", "u2", "u3", "u4", "u5", "u6")

    def __init__(self, seed: int, planner: Planner = plan_changes) -> None:
        self.random = Random(seed)
        self.planner = planner
        self.operators = [Operator() for _ in range(3)]
        self.parts: dict[str, Part] = {}
        self.versions = 0
        self.made: dict[str, list[Outcome]] = {}
        self.applied: dict[str, UserState] = {}
        self.left: set[str] = set()
        self.seen: Counter[str] = Counter()

    def run(self, steps: int) -> None:
        actions = [self.read, self.crash, self.plan, self.plan, self.forget, self.write, self.write, self.write]
        small = {"OVERHEAD": 0, "SMALLEST_FOLD": 60, "SMALLEST_RECENT": 90}
        base = {"_AIM_OF_BASE": 150, "_LARGEST_BASE": 250, "_SMALLEST_BASE": 60}
        with patch.multiple(state_plan, **small, **base):
            for _ in range(steps):
                self.batch_ends(self.random.choice(self.USERS))
                self.random.choice(actions)(self.random.choice(self.operators))
                self.check()

    def batch_ends(self, user: str) -> None:
        outcomes = self.made.setdefault(user, [])
        state = self.applied.get(user, NEVER_SYNCED)
        if user not in self.left and (not outcomes or state.last_claim >= outcomes[-1].claim):
            claim = CLAIM + sum(map(len, self.made.values()))
            outcomes.append(Outcome(user, self.random.choice(list(Ending)), claim, claim, claim, 10))

    def read(self, operator: Operator) -> None:
        if not operator.writes:
            operator.view = View(dict(self.parts))

    def crash(self, operator: Operator) -> None:
        operator.view, operator.writes, operator.outcomes = None, [], []

    def plan(self, operator: Operator) -> None:
        """Apply some users' newest outcome, or all that they ever had."""
        if operator.view is None or operator.writes:
            return
        users = self.random.sample(self.USERS, self.random.randint(1, 3))
        newest = self.random.random() < 0.8
        mine = [outcome for user in users for outcome in self.made.get(user, [])[-1 if newest else 0 :]]
        states, changes = merge(part.users for part in operator.view.parts.values()), dict[str, UserState]()
        for outcome in sorted(mine, key=lambda outcome: outcome.claim):
            before = changes.get(outcome.user_id) or states.get(outcome.user_id, NEVER_SYNCED)
            if (after := apply(before, outcome)) is not before:
                changes[outcome.user_id] = after
        if changes:
            operator.writes, operator.outcomes = self.planner(operator.view, changes), mine

    def forget(self, operator: Operator) -> None:
        """Somebody who left for good, on the strength of a view that may be old."""
        states = merge(part.users for part in operator.view.parts.values()) if operator.view else {}
        if operator.view and not operator.writes and len(self.left) < 2 and states and self.random.random() < 0.02:
            user = self.random.choice(sorted(states))
            self.left.add(user)
            operator.writes = plan_forgetting(operator.view, {user: states[user].last_claim})

    def write(self, operator: Operator) -> None:
        if not operator.writes:
            return
        write = operator.writes.pop(0)
        there = self.parts.get(write.part)
        if (there.version if there else None) != write.expected:
            self.seen["lost race"] += 1
            self.crash(operator)
            return
        self.perform(operator, write)
        if not operator.writes:
            for outcome in sorted(operator.outcomes, key=lambda outcome: outcome.claim):
                before = self.applied.get(outcome.user_id, NEVER_SYNCED)
                self.applied[outcome.user_id] = apply(before, outcome)
            operator.outcomes = []

    def perform(self, operator: Operator, write: Write) -> None:
        assert operator.view is not None
        kind = write.part if write.part in ("journal", "recent") else "base"
        self.seen[kind + " deleted" * write.delete] += 1
        self.versions += 1
        parts = dict(operator.view.parts)
        if write.delete:
            del self.parts[write.part], parts[write.part]
        else:
            part = Part(write.users, str(self.versions), len(write.text), write.spent)
            self.parts[write.part] = parts[write.part] = part
        operator.view = View(parts)

    def check(self) -> None:
        """Everything durable is there, and each outcome was folded in exactly once."""
        states = merge(part.users for part in self.parts.values())
        for user, applied in self.applied.items():
            assert user in self.left or states.get(user) == applied, f"{user} lost something"


@pytest.mark.parametrize("seed", range(8))
def test_no_interleaving_of_writers_and_crashes_loses_or_repeats_an_outcome(seed: int) -> None:
    interleaving = Interleaving(seed)
    interleaving.run(4_000)
    assert interleaving.seen.keys() == {"journal", "recent", "base", "base deleted", "lost race"}


def journal_first(view: View, changes: Mapping[str, UserState]) -> list[Write]:
    return plan_changes(view, changes)[::-1]


def old_cut_goes_first(view: View, changes: Mapping[str, UserState]) -> list[Write]:
    return sorted(plan_changes(view, changes), key=lambda write: not write.delete)


def recent_is_emptied_first(view: View, changes: Mapping[str, UserState]) -> list[Write]:
    return sorted(plan_changes(view, changes), key=lambda write: write.part != "recent" or bool(write.users))


@pytest.mark.parametrize("planner", [journal_first, old_cut_goes_first, recent_is_emptied_first])
def test_the_order_of_the_writes_is_needed(planner: Planner) -> None:
    with pytest.raises(AssertionError, match="lost something"):
        Interleaving(0, planner).run(30_000)


def test_an_old_view_whose_journal_is_unchanged_misses_nothing() -> None:
    """The reason why applying needs no read before it: the journal's version vouches for everything."""
    first = {"u1": UserState(last_claim=CLAIM, failures=1)}
    view = performed(View({}), plan_changes(View({}), first))
    with patch.multiple(state_plan, SMALLEST_FOLD=0, OVERHEAD=0):
        fold = plan_changes(view, {"u2": UserState(last_claim=CLAIM + 1)})
        assert [write.part for write in fold] == ["recent", "journal"]
        half_way = performed(view, fold[:1])
        # Another operator with the view from before the fold: its write passes, and the fold's last one won't.
        other = plan_changes(view, {"u1": UserState(last_claim=CLAIM + 2, failures=2)})[-1]
    assert other.expected == half_way.part("journal").version == fold[-1].expected
