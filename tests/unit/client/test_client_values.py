"""What applications hand over, by the rules of records: the client takes what the operator reads, and nothing else."""

import contextlib
import csv
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from periodic_sync.api.durations import HOUR, MINUTE
from periodic_sync.client import InvalidImportError, InvalidUserError
from periodic_sync.client.entries import Found, Register, fields_in, key_of, other_key_of, write
from periodic_sync.client.importing import COLUMNS, LineReader
from periodic_sync.client.users import moment, user_of
from periodic_sync.client.values import (
    LONGEST_INTERVAL,
    instant_of,
    interval_of,
    record_of_fields,
    threshold_of,
    tokens_of,
    user_ids_of,
)
from periodic_sync.core.users import UserRecord
from periodic_sync.stores.instants import format_instant, parse_instant
from periodic_sync.stores.records import AHEAD, parse_entry
from store_contract import NOW, WALLET

EARLIEST, LATEST = parse_instant("0000-01-01T00:00:00Z"), parse_instant("9999-12-31T23:59:59.999Z")
instants = st.integers(EARLIEST, LATEST)
past = st.integers(EARLIEST, NOW + AHEAD)
ids = st.from_regex(r"[A-Za-z0-9._:@-]{1,128}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)
zones = st.sampled_from(["Europe/Berlin", "Asia/Tokyo", "Etc/UTC"])
records = st.builds(
    UserRecord,
    ids,
    texts,
    past,
    st.none() | st.integers(0, LONGEST_INTERVAL),
    st.none() | zones,
    st.none() | past,
    st.dictionaries(texts, instants, max_size=5),
)
# What a field may hold in a file: good values, near misses, and anything else.
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=20),
    texts,
    ids,
    zones,
    st.sampled_from(["5m", "1h30m", "2026-01-31T09:30:00Z", "2099-01-31T09:30:00Z", "often", WALLET]),
    st.dictionaries(st.text(max_size=5), st.sampled_from(["2026-01-31T09:30:00Z", "x"]), max_size=3),
)
raw_records = st.fixed_dictionaries({}, optional=dict.fromkeys((*COLUMNS, "changedTokens", "more"), anything))


@given(instants)
@example(EARLIEST)
@example(LATEST)
@example(-62_135_596_800_000)
@example(-62_135_596_800_001)
def test_an_instant_written_is_the_instant_read(instant: int) -> None:
    assert parse_instant(format_instant(instant)) == instant


@pytest.mark.parametrize("instant", [EARLIEST - 1, LATEST + 1, -(10**18), 10**18])
def test_an_instant_that_has_no_year_is_not_written(instant: int) -> None:
    with pytest.raises(ValueError, match="no year"):
        format_instant(instant)


@given(records)
def test_a_record_registered_is_the_record_that_the_operator_reads(record: UserRecord) -> None:
    fields = Register(record, 0).edit(Found({}, None), NOW)
    text = write({**fields, "userId": record.user_id})
    assert parse_entry("name", key_of(record.user_id), text, NOW + 10**15).record == record
    assert record_of_fields(json.loads(text), 10**15) == record


@given(raw_records)
@example({"userId": "u1", "wallet": WALLET, "lastActive": "2026-01-31T09:30:00Z", "interval": WALLET})
@example({"userId": WALLET + "!", "wallet": WALLET, "lastActive": "2026-01-31T09:30:00Z"})
@example({"userId": "u1", "wallet": WALLET, "lastActive": WALLET})
@example({"userId": "u1", "wallet": WALLET, "lastActive": "2026-01-31T09:30:00Z", "timeZone": WALLET.lower()})
@example(
    {"userId": "u1", "wallet": "w", "lastActive": "2026-01-31T09:30:00Z", "syncRequestedAt": "2099-01-31T09:30:00Z"}
)
def test_the_client_takes_what_the_operator_reads_without_a_word(raw: dict[str, Any]) -> None:
    """Of an empty text, which CSV can't tell from nothing, the client says less."""
    present = {name: value for name, value in raw.items() if value != ""}
    text = json.dumps({"userId": "/"} | present if present.get("userId") is None else present)
    judged = parse_entry("name", "/", text, NOW)
    if not judged.problems:
        assert record_of_fields(raw, NOW) == judged.record
        return
    with pytest.raises(InvalidUserError) as raised:
        record_of_fields(raw, NOW)
    assert WALLET.lower() not in str(raised.value).lower()


@given(ids, ids)
def test_data_keys_are_allowed_and_tell_users_apart(one: str, other: str) -> None:
    for key in (key_of(one), other_key_of(one)):
        assert 0 < len(key) <= 253
        assert all(letter.isascii() and (letter.isalnum() or letter in "-._") for letter in key)
        assert key != "."
        assert not key.startswith("..")
    assert (key_of(one) == key_of(other)) == (one == other)


@pytest.mark.parametrize("raw", [None, "", "{", "[]", "5", '{"a": NaN}', "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_an_entry_that_is_no_object_has_no_fields(raw: object) -> None:
    assert fields_in(raw) == {}


class TestInstants:
    def test_datetimes_of_any_zone_and_texts_of_any_offset(self) -> None:
        berlin = timezone(timedelta(hours=1))
        assert instant_of(datetime(2026, 1, 31, 10, 30, tzinfo=berlin), "at", NOW) == NOW
        assert instant_of(datetime(2026, 1, 31, 9, 30, 0, 999, tzinfo=UTC), "at", NOW) == NOW
        assert instant_of("2026-01-31T10:30:00+01:00", "at", NOW) == NOW
        assert instant_of(None, "at", NOW) == NOW

    def test_five_minutes_ahead_are_fine_and_no_more(self) -> None:
        assert instant_of(moment(NOW + AHEAD), "at", NOW) == NOW + AHEAD
        with pytest.raises(InvalidUserError, match="more than 5 minutes ahead: check this machine's clock"):
            instant_of(moment(NOW + AHEAD + 1), "at", NOW)

    def test_before_the_first_year_there_is_nothing(self) -> None:
        with pytest.raises(InvalidUserError, match="before the year 0000"):
            instant_of("0000-01-01T00:00:00+01:00", "at", NOW)

    @pytest.mark.parametrize("value", [5, 1.5, b"2026-01-31T09:30:00Z", date(2026, 1, 31)])
    def test_other_things_are_no_instants(self, value: Any) -> None:
        with pytest.raises(InvalidUserError, match="at is not a text"):
            instant_of(value, "at", NOW)

    @pytest.mark.parametrize(("instant", "year"), [(EARLIEST, 1), (LATEST, 9999), (10**18, 9999), (NOW, 2026)])
    def test_years_that_python_lacks_are_shown_as_the_nearest(self, instant: int, year: int) -> None:
        assert moment(instant).year == year


class TestDurations:
    def test_texts_and_timedeltas(self) -> None:
        assert interval_of("1h30m") == interval_of(timedelta(minutes=90)) == 90 * MINUTE
        assert interval_of(timedelta(microseconds=1999)) == 1
        assert interval_of("0s") == 0
        assert interval_of(None) is None

    @pytest.mark.parametrize("value", ["", "5", "5 m", "5m\n", "-5m", 5, timedelta(days=10**6), "99999h99999h"])
    def test_others_are_refused(self, value: Any) -> None:
        with pytest.raises(InvalidUserError, match=r"^interval"):
            interval_of(value)

    def test_the_threshold_of_a_policy(self) -> None:
        assert threshold_of("24h") == threshold_of(timedelta(days=1)) == 24 * HOUR
        for wrong in ("0s", timedelta(0), "soon"):
            with pytest.raises(ValueError, match="write"):
                threshold_of(wrong)


def test_a_single_text_is_one_id_and_not_its_letters() -> None:
    assert user_ids_of("u17") == ["u17"]
    assert user_ids_of(["b", "a", "b"]) == ["b", "a"]
    assert tokens_of("0xt", NOW) == {"0xt": NOW}


def test_a_user_is_shown_without_the_wallet() -> None:
    assert WALLET not in repr(user_of(UserRecord("u1", WALLET, NOW), None))


class TestLines:
    @given(st.lists(records.filter(lambda it: not it.changed_tokens), max_size=5), st.permutations(COLUMNS))
    def test_csv_written_by_python_is_read(self, given_records: list[UserRecord], columns: list[str]) -> None:
        reader, found = LineReader(), []
        file = io.StringIO(newline="")
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        rows = [it for it in given_records if it.wallet.strip("\r\n") == it.wallet and "\n" not in it.wallet]
        rows = [it for it in rows if "\r" not in it.wallet]
        for record in rows:
            fields = Register(record, 0).edit(Found({}, None), NOW)
            writer.writerow({"userId": record.user_id, **fields})
        for line in file.getvalue().split("\n"):
            if (record := reader.read(line + "\n", 10**15)) is not None:
                found.append(record)
        assert found == rows

    @given(st.lists(st.binary(max_size=60) | st.text(max_size=60), max_size=8))
    def test_no_line_does_more_than_be_refused(self, lines: list[bytes | str]) -> None:
        for first in ([], ["userId,wallet,lastActive\n"], ['{"userId": "u1"}']):
            reader = LineReader()
            for line in (*first, *lines):
                with contextlib.suppress(InvalidUserError, InvalidImportError):
                    reader.read(line, NOW)

    @pytest.mark.parametrize(
        ("header", "told"),
        [
            (
                "userId;wallet;lastActive",
                "lacks userId, wallet, lastActive: write for example userId,wallet,lastActive",
            ),
            ("user,wallet,lastActive", "lacks userId"),
            ("userId,wallet,wallet,lastActive", "names wallet more than once"),
            ('userId,"wallet', "no header of a CSV file: the line is no row of CSV"),
        ],
    )
    def test_a_header_that_is_none_is_refused_as_a_whole(self, header: str, told: str) -> None:
        with pytest.raises(InvalidImportError, match=told):
            LineReader().read(header, NOW)

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("u1,w", "the line has 2 columns, and the header 4"),
            ("u1,w,2026-01-31T09:30:00Z,5m,6m", "the line has 5 columns, and the header 4"),
            ('u1,"w,2026-01-31T09:30:00Z,', "the line is no row of CSV"),
            (",w,2026-01-31T09:30:00Z,", "userId is missing"),
            ("u1,,2026-01-31T09:30:00Z,", "wallet is missing"),
            ("u1,w,,", "lastActive is missing"),
            (f"u1,{WALLET},{WALLET},", r"lastActive \(a text of 42 characters\) is not a time"),
            ("u1,w,2026-01-31T09:36:00Z,", "lastActive is more than 5 minutes ahead"),
            ("u1,w,2026-01-31T09:30:00Z,often", 'interval "often" is not a duration'),
        ],
    )
    def test_a_line_that_is_wrong_says_why(self, line: str, told: str) -> None:
        reader = LineReader()
        reader.read("userId,wallet,lastActive,interval\r\n", NOW)
        with pytest.raises(InvalidUserError, match=told):
            reader.read(line + "\r\n", NOW)
        assert reader.read("u1,w,2026-01-31T09:30:00Z,\r\n", NOW) == UserRecord("u1", "w", NOW)
