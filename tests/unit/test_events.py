"""What events two versions of a ledger, or of a user's state, make."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_support import open_job
from periodic_sync.api.durations import MINUTE, SECOND
from periodic_sync.api.names import Priority
from periodic_sync.core.event_marks import WHOLE, Mark, id_of, read_id
from periodic_sync.core.events import (
    BatchScheduled,
    Event,
    PolicyChanged,
    UserFailed,
    UserSynced,
    of_ledgers,
    of_state,
    of_states,
)
from periodic_sync.core.ledger import Ledger, Phase
from periodic_sync.core.outcomes import ISOLATED, Ending, Outcome, apply
from periodic_sync.core.users import NEVER_SYNCED, UserState

BEFORE = UserState(last_synced=1_000, last_claim=5, last_outcome=5)


def outcome(ending: Ending, *, claim: int = 9, batch_size: int = 10) -> Outcome:
    return Outcome("u1", ending, claim, 9_000, 9_500, batch_size)


FAILING = replace(BEFORE, failures=1, failed_at=2_000, unexplained=2)

ENDED: dict[str, tuple[UserState, Outcome, Event | None]] = {
    "a success": (BEFORE, outcome(Ending.SYNCED), UserSynced("u1", 9_000, 9)),
    "a first success": (NEVER_SYNCED, outcome(Ending.SYNCED), UserSynced("u1", 9_000, 9)),
    "a success after failures": (FAILING, outcome(Ending.SYNCED), UserSynced("u1", 9_000, 9)),
    "a failure": (BEFORE, outcome(Ending.FAILED), UserFailed("u1", 1, 0, 9_500 + 30 * SECOND)),
    "another failure": (FAILING, outcome(Ending.FAILED), UserFailed("u1", 2, 0, 9_500 + MINUTE)),
    "an unexplained failure of many is due again at once": (
        BEFORE,
        outcome(Ending.UNEXPLAINED),
        UserFailed("u1", 0, 1, None),
    ),
    "an unexplained failure of one": (
        BEFORE,
        outcome(Ending.UNEXPLAINED, batch_size=1),
        UserFailed("u1", 1, ISOLATED, 9_500 + 30 * SECOND),
    ),
    "a return without blame is nothing": (BEFORE, outcome(Ending.RETURNED), None),
    "a return of one who has failed before is nothing": (FAILING, outcome(Ending.RETURNED), None),
    "a third return is a failure": (
        replace(BEFORE, returns=2),
        outcome(Ending.RETURNED),
        UserFailed("u1", 1, 0, 9_500 + 30 * SECOND),
    ),
    "a failed probe is nothing": (FAILING, outcome(Ending.UNBLAMED), None),
    "a result that came before is nothing": (BEFORE, outcome(Ending.SYNCED, claim=5), None),
}


@pytest.mark.parametrize(("before", "ended", "event"), ENDED.values(), ids=ENDED)
def test_a_user_s_state_tells_what_ended(before: UserState, ended: Outcome, event: Event | None) -> None:
    assert of_state("u1", before, apply(before, ended)) == event


def test_an_older_state_tells_nothing() -> None:
    assert of_state("u1", apply(BEFORE, outcome(Ending.SYNCED)), BEFORE) is None


def test_of_several_copies_the_latest_claim_counts() -> None:
    after = apply(BEFORE, outcome(Ending.SYNCED))
    assert of_states([{"u1": BEFORE}, {"u1": after}], {"u1": after}) == ()
    assert of_states([{"u1": BEFORE}, {}], {"u1": after, "u2": after}) == (
        UserSynced("u1", 9_000, 9),
        UserSynced("u2", 9_000, 9),
    )


LEDGER = Ledger(generation=2, enabled=True, jobs=(open_job("old"),))
NEW = replace(open_job("new", claim=11, sizes=(2, 1)), priorities=(Priority.HIGH, Priority.LOW), open=frozenset({0, 1}))

LEDGERS: dict[str, tuple[Ledger | None, Ledger, tuple[Event, ...]]] = {
    "equal ledgers": (LEDGER, LEDGER, ()),
    "a Job that is only marked as created": (
        LEDGER,
        replace(LEDGER, jobs=(replace(LEDGER.jobs[0], phase=Phase.ABANDONED),)),
        (),
    ),
    "a Job that is closed": (LEDGER, replace(LEDGER, jobs=()), ()),
    "a Job that is claimed, with two indexes": (
        LEDGER,
        replace(LEDGER, jobs=(*LEDGER.jobs, NEW)),
        (BatchScheduled("new", "new-0", 0, Priority.HIGH, 11), BatchScheduled("new", "new-1", 1, Priority.LOW, 11)),
    ),
    "another generation": (LEDGER, replace(LEDGER, generation=3), (PolicyChanged(3, True),)),
    "a policy that is paused": (LEDGER, replace(LEDGER, generation=3, enabled=False), (PolicyChanged(3, False),)),
    "a first ledger": (None, Ledger(generation=1, enabled=True), (PolicyChanged(1, True),)),
    "a ledger before the spec is acted on": (None, Ledger(), ()),
    "a ledger rebuilt, whose Jobs were claimed long ago": (None, LEDGER, (PolicyChanged(2, True),)),
}


@pytest.mark.parametrize(("before", "after", "events"), LEDGERS.values(), ids=LEDGERS)
def test_a_ledger_tells_what_was_claimed_and_acted_on(
    before: Ledger | None, after: Ledger, events: tuple[Event, ...]
) -> None:
    assert of_ledgers(before, after) == events


positions = st.tuples(st.integers(0, 2**63)) | st.tuples(st.integers(0, 2**45), st.integers(0, 2**20))
marks = st.builds(Mark, positions, st.integers(0, 10_000) | st.just(WHOLE))


@given(st.dictionaries(st.sampled_from("kr"), marks, min_size=1), st.data())
def test_an_id_leads_back_to_where_it_was_given(cursor: dict[str, Mark], data: st.DataObject) -> None:
    letter = data.draw(st.sampled_from(sorted(cursor)))
    assert read_id(id_of(letter, cursor[letter], cursor)) == cursor


@given(marks, marks, marks)
def test_the_beginning_of_an_id_is_the_same_wherever_the_other_source_is(mark: Mark, one: Mark, other: Mark) -> None:
    heads = {id_of("r", mark, {"k": elsewhere}).partition("~")[0] for elsewhere in (one, other)}
    assert heads == {id_of("r", mark, {})}


@pytest.mark.parametrize(
    "text",
    ["", "k", "12", "k1.", "k1~", "k1~k2", "k-1", "K1", "k1 ", "k1.0~r2-3-4", "k" + "1" * 300, "k١", f"k1~r{2**64}-0"],
)
def test_a_text_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_id(text)
