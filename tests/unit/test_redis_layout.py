"""How users lie in Redis: their keys, their fields, and the order of the due index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.core.cutoffs import UserClass
from periodic_sync.core.spread import PLACES, place_of
from periodic_sync.core.users import NEVER_SYNCED, UserRecord, UserState
from periodic_sync.stores.redis.keys import Keys
from periodic_sync.stores.redis.schema import (
    FIELDS,
    SEPARATOR,
    class_name,
    class_of,
    read_user,
    record_fields,
    state_fields,
)
from periodic_sync.stores.redis.scores import SLICES, UNIT, UNITS, Kind, Shelf, places, possibly, slice_of, surely

LONG_AGO, FAR_AHEAD = 0, 4_000_000_000_000


class TestKeys:
    def test_they_begin_with_the_prefix_so_that_acls_and_scans_can_go_by_it(self) -> None:
        keys = Keys("portfolios:")
        assert all(key.startswith("portfolios:") for key in (*keys.shared, keys.user("u1")))

    def test_one_policy_s_share_a_hash_tag(self) -> None:
        keys = Keys("portfolios:")
        tags = {key[key.index("{") : key.index("}")] for key in (*keys.shared, keys.user("u{1}"))}
        assert len(tags) == 1

    def test_those_of_many_policies_spread(self) -> None:
        bases = {Keys(f"policy-{number}:").base.partition("{")[2] for number in range(100)}
        assert len(bases) > 90


records = st.builds(
    UserRecord,
    st.just("u1"),
    wallet=st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"]), min_size=1),
    last_active=st.integers(0, FAR_AHEAD),
    interval=st.none() | st.integers(1, FAR_AHEAD),
    time_zone=st.none() | st.sampled_from(["Asia/Tokyo", "Etc/UTC"]),
)
numbers = st.integers(0, FAR_AHEAD)
states = st.just(NEVER_SYNCED) | st.builds(
    UserState,
    last_synced=st.none() | st.integers(1, FAR_AHEAD),
    last_claim=st.integers(1, FAR_AHEAD),
    last_outcome=numbers,
    failures=numbers,
    failed_at=numbers,
    unexplained=numbers,
    returns=numbers,
    request_served=numbers,
)


@given(records, states)
def test_a_user_is_read_as_it_was_written(record: UserRecord, state: UserState) -> None:
    written = record_fields(record)
    fields = dict(zip(map(str, written[::2]), map(str, written[1::2]), strict=True))
    fields |= {name: str(value) for name, value in state_fields(state).items() if value}
    text = SEPARATOR.join([str(record.last_active).encode(), *(fields.get(name, "").encode() for name in FIELDS)])
    assert read_user("u1", text) == (record, state)


@pytest.mark.parametrize(
    ("wallet", "field", "value"), [("", "synced", "1"), ("0x1", "interval", "often"), ("0x1", "claim", "1e3")]
)
def test_a_field_that_is_not_as_it_is_written_is_an_error(wallet: str, field: str, value: str) -> None:
    fields = {"wallet": wallet, field: value, "claim": "1"} | {field: value}
    with pytest.raises(ValueError):
        read_user("u1", SEPARATOR.join([b"1", *(fields.get(name, "").encode() for name in FIELDS)]))


def test_a_wallet_that_could_not_be_read_again_is_refused() -> None:
    with pytest.raises(ValueError, match="control character"):
        record_fields(UserRecord("u1", "0x\x1f", 1))


@pytest.mark.parametrize("users", [UserClass(60_000), UserClass(zone="America/Argentina/Buenos_Aires")])
def test_a_class_is_told_by_its_name(users: UserClass) -> None:
    assert class_of(class_name(users.interval, users.zone)) == users


def test_an_interval_of_one_s_own_makes_the_zone_irrelevant() -> None:
    assert class_name(60_000, "Asia/Tokyo") == class_name(60_000, None)
    assert class_name(None, None) == ""


shelves = st.builds(Shelf, st.integers(0, 2047), st.sampled_from(Kind), st.integers(0, SLICES - 1))


@given(shelves, shelves, st.integers(0, UNITS - 1))
def test_scores_of_one_shelf_are_a_range_of_their_own_and_exact(one: Shelf, other: Shelf, unit: int) -> None:
    score = one.base + unit
    assert one.base <= score <= one.end
    assert one == other or not other.base <= score <= other.end
    assert int(float(score)) == score


@given(st.integers(LONG_AGO, FAR_AHEAD), st.integers(1, FAR_AHEAD))
def test_a_unit_is_surely_in_only_if_all_its_instants_are(instant: int, synced: int) -> None:
    unit = synced // UNIT
    if 0 < unit <= surely(instant):
        assert synced <= instant
    if unit > possibly(instant):
        assert synced > instant


@given(st.text())
def test_a_user_s_slice_holds_the_user_s_place(user_id: str) -> None:
    first, last = places(slice_of(user_id))
    assert first <= place_of(user_id) <= last


def test_slices_are_all_places() -> None:
    assert [places(0)[0], places(SLICES - 1)[1]] == [0, PLACES - 1]
    assert all(places(number)[1] + 1 == places(number + 1)[0] for number in range(SLICES - 1))
