"""User records as applications write them: what counts, what is skipped, and what people are told."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from periodic_sync.api.durations import HOUR, MINUTE, SECOND
from periodic_sync.core.users import UserRecord
from periodic_sync.stores.instants import parse_instant
from periodic_sync.stores.records import AHEAD, Parsed, parse_entry, read_entry
from periodic_sync.stores.shards import merge_shards, read_shard

NOW = 1_769_851_800_000  # 2026-01-31T09:30:00Z
ACTIVE = "2026-01-31T09:30:00Z"
WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
GOOD: dict[str, Any] = {"wallet": WALLET, "lastActive": ACTIVE}


def parse(raw: object, *, key: str = "u17", now: int = NOW) -> Parsed:
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return parse_entry(f"user-activity/{key}", key, text, now)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-31T09:30:00Z", NOW),
        ("2026-01-31t09:30:00z", NOW),
        ("2026-01-31T09:30:00+00:00", NOW),
        ("2026-01-31T09:30:00-00:00", NOW),
        ("2026-01-31T15:00:00+05:30", NOW),
        ("2026-01-30T23:30:00-10:00", NOW),
        ("2026-01-31T09:30:00.5Z", NOW + 500),
        ("2026-01-31T09:30:00.123999999Z", NOW + 123),
        ("2026-01-31T09:30:00.000000000000000001Z", NOW),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2017-01-01T00:59:60+01:00", 1_483_228_800_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("0000-12-31T00:00:00Z", -62_135_596_800_000 - 24 * HOUR),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000),
    ],
)
def test_times_are_rfc_3339_with_any_offset_and_any_decimals(text: str, instant: int) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-31",
        "2026-01-31T09:30:00",
        "2026-01-31 09:30:00Z",
        "2026-01-31T09:30Z",
        "2026-01-31T09:30:00.Z",
        "2026-01-31T09:30:00,5Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T09:60:00Z",
        "2026-01-31T09:30:60Z",
        "2026-01-31T23:59:61Z",
        "2026-13-01T09:30:00Z",
        "2025-02-29T09:30:00Z",
        "2026-00-31T09:30:00Z",
        "2026-01-31T09:30:00+0100",
        "2026-01-31T09:30:00+24:00",
        "2026-01-31T09:30:00+01:60",
        "20260131T093000Z",
        "2026-W05-6T09:30:00Z",
        "26-01-31T09:30:00Z",
        "٢٠٢٦-01-31T09:30:00Z",
        " 2026-01-31T09:30:00Z",
        "2026-01-31T09:30:00Z\n",
        "1769851800000",
        "Sat, 31 Jan 2026 09:30:00 GMT",
    ],
)
def test_other_spellings_of_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_instant(text)


@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.integers(0, 9),
)
def test_times_agree_with_the_standard_library(moment: datetime, offset: int, decimals: int) -> None:
    fraction = f"{moment.microsecond:06d}000"[:decimals]
    sign, size = ("-", -offset) if offset < 0 else ("+", offset)
    text = f"{moment:%H:%M:%S}{'.' + fraction if fraction else ''}{sign}{size // 60:02d}:{size % 60:02d}"
    whole = (moment - timedelta(minutes=offset)).replace(microsecond=0, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    expected = whole // timedelta(milliseconds=1) + int((fraction + "000")[:3])
    assert parse_instant(f"{moment.year:04d}-{moment:%m-%d}T{text}") == expected


def test_a_plain_record() -> None:
    assert parse(GOOD) == Parsed(UserRecord("u17", WALLET, NOW))


def test_a_full_record() -> None:
    full = GOOD | {
        "userId": "auth0|".replace("|", ":") + "u-1@moonx",
        "interval": "1h30m",
        "timeZone": "Europe/Berlin",
        "syncRequestedAt": "2026-01-31T09:29:00Z",
        "changedTokens": {"0xa": "2026-01-31T09:28:00Z"},
        "somethingNewer": {"is": "left alone"},
    }
    assert parse(full) == Parsed(
        UserRecord(
            "auth0:u-1@moonx", WALLET, NOW, 90 * MINUTE, "Europe/Berlin", NOW - MINUTE, {"0xa": NOW - 2 * MINUTE}
        )
    )


@pytest.mark.parametrize("field", ["userId", "interval", "timeZone", "syncRequestedAt", "changedTokens"])
def test_null_is_the_same_as_absent(field: str) -> None:
    assert parse(GOOD | {field: None}) == parse(GOOD)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("", "not JSON"),
        ("u17", "not JSON"),
        ("{", "not JSON"),
        ('{"wallet": NaN}', "not JSON"),
        ('{"x": Infinity}', "not JSON"),
        ('{"x": ' + "9" * 5000 + "}", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("17", "not a JSON object"),
        ('"u17"', "not a JSON object"),
        ("{}", "wallet is missing"),
        ({"lastActive": ACTIVE}, "wallet is missing"),
        (GOOD | {"wallet": None}, "wallet is missing"),
        (GOOD | {"wallet": 17}, "wallet is not a text"),
        (GOOD | {"wallet": True}, "wallet is not a text"),
        (GOOD | {"wallet": ""}, "wallet is not 1 to 128"),
        (GOOD | {"wallet": "x" * 129}, "wallet is not 1 to 128"),
        (GOOD | {"wallet": "\ud800"}, "wallet is not 1 to 128"),
        ({"wallet": WALLET}, "lastActive is missing"),
        (
            GOOD | {"lastActive": "yesterday"},
            'lastActive "yesterday" is not a time: write RFC 3339, such as 2026-01-31T',
        ),
        (GOOD | {"lastActive": 1_769_851_800_000}, "lastActive is not a text"),
        (GOOD | {"lastActive": True}, "lastActive is not a text"),
        (GOOD | {"lastActive": [ACTIVE]}, "lastActive is not a text"),
        (GOOD | {"userId": ""}, "userId is not 1 to 128 characters"),
        (GOOD | {"userId": "a b"}, "userId is not 1 to 128 characters"),
        (GOOD | {"userId": "u17\n"}, "userId is not 1 to 128 characters"),
        (GOOD | {"userId": "ü"}, "userId is not 1 to 128 characters"),
        (GOOD | {"userId": "u" * 129}, "userId is not 1 to 128 characters"),
        (GOOD | {"userId": 17}, "userId is not 1 to 128 characters"),
    ],
)
def test_malformed_entries_are_skipped_and_named(raw: object, told: str) -> None:
    parsed = parse(raw)
    assert parsed.record is None
    (problem,) = parsed.problems
    assert problem.startswith("user-activity/u17: ")
    assert told in problem


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("interval", "soon", 'interval "soon" is not a duration'),
        ("interval", "5m\n", "is not a duration"),
        ("interval", "-5m", "is not a duration"),
        ("interval", "1.5h", "is not a duration"),
        ("interval", "1h1m1s1ms1h", "is not a duration"),
        ("interval", "", "is not a duration"),
        ("interval", 300_000, "interval is not a duration"),
        ("interval", True, "interval is not a duration"),
        ("timeZone", "Mars/Olympus", 'timeZone "Mars/Olympus" is not a time zone'),
        ("timeZone", "europe/berlin", "is not a time zone"),
        ("timeZone", "../../etc/passwd", "is not a time zone"),
        ("timeZone", "/etc/localtime", "is not a time zone"),
        ("timeZone", "Europe", "is not a time zone"),
        ("timeZone", "localtime", "is not a time zone"),
        ("timeZone", "UTC+2", "is not a time zone"),
        ("timeZone", "", "is not a time zone"),
        ("timeZone", "\0", "is not a time zone"),
        ("timeZone", ["Europe/Berlin"], "is not a time zone"),
        ("syncRequestedAt", "now", 'syncRequestedAt "now" is not a time'),
        ("syncRequestedAt", 1, "syncRequestedAt is not a text"),
        ("changedTokens", ["0xa"], "changedTokens is not an object"),
        ("changedTokens", {"0xa": "now"}, "changedTokens has a time that is not RFC 3339"),
        ("changedTokens", {"0xa": 1}, "changedTokens has a time that is not a text"),
        ("changedTokens", {"": ACTIVE}, "changedTokens has a token"),
        ("changedTokens", {"\udcff": ACTIVE}, "changedTokens has a token"),
        ("changedTokens", {str(n): ACTIVE for n in range(101)}, "changedTokens has more than 100 entries"),
    ],
)
def test_a_bad_optional_field_is_left_out_and_named(field: str, value: object, told: str) -> None:
    parsed = parse(GOOD | {field: value})
    assert parsed.record == parse(GOOD).record
    (problem,) = parsed.problems
    assert problem.startswith("user-activity/u17: ")
    assert told in problem


def test_a_hundred_changed_tokens_count() -> None:
    record = parse(GOOD | {"changedTokens": {str(n): ACTIVE for n in range(100)}}).record
    assert record is not None
    assert len(record.changed_tokens) == 100


def test_two_bad_fields_are_two_problems_and_the_good_ones_count() -> None:
    parsed = parse(GOOD | {"interval": "x", "timeZone": "y", "syncRequestedAt": ACTIVE})
    assert len(parsed.problems) == 2
    assert parsed.record is not None
    assert parsed.record.sync_requested_at == NOW


def test_last_active_more_than_five_minutes_ahead_is_skipped_until_it_is_not() -> None:
    assert parse(GOOD, now=NOW - AHEAD).record is not None
    parsed = parse(GOOD, now=NOW - AHEAD - 1)
    assert parsed.record is None
    assert "more than 5 minutes ahead" in parsed.problems[0]


def test_a_request_more_than_five_minutes_ahead_does_not_count_until_it_does() -> None:
    raw = GOOD | {"syncRequestedAt": "2026-01-31T09:35:00.001Z"}
    early, later = parse(raw), parse(raw, now=NOW + 1)
    assert early.record == parse(GOOD).record
    assert "syncRequestedAt is more than 5 minutes ahead" in early.problems[0]
    assert later.problems == ()
    assert later.record is not None
    assert later.record.sync_requested_at == NOW + AHEAD + 1


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        ("u17", {"wallet": ACTIVE, "lastActive": WALLET}),
        ("u17", {"wallet": "short", "lastActive": "short"}),
        ("u17", GOOD | {"interval": WALLET}),
        ("u17", GOOD | {"timeZone": WALLET.lower()}),
        ("u17", GOOD | {"syncRequestedAt": WALLET}),
        ("u17", GOOD | {"userId": WALLET + "!"}),
        (WALLET, GOOD | {"userId": "u17", "interval": "x"}),
        (WALLET.lower(), GOOD | {"userId": "u17", "lastActive": "x"}),
        ("u17", GOOD | {"changedTokens": {WALLET: WALLET}}),
        (WALLET, GOOD | {"interval": "x"}),
        (WALLET, GOOD | {"userId": WALLET, "interval": "x"}),
        (WALLET, GOOD | {"userId": "not valid!"}),
        (WALLET, {"lastActive": ACTIVE}),
        (f"user.{WALLET}", GOOD | {"lastActive": "2126-01-31T09:30:00Z"}),
        ("u17", GOOD | {"interval": f"{WALLET} 5m"}),
        ("u17", {"wallet": "wal let", "lastActive": ACTIVE, "timeZone": "the wal let"}),
        ("u17", GOOD | {"timeZone": "wal let"}),
        ("u17", GOOD | {"syncRequestedAt": "wal let"}),
        ("u17", GOOD | {"interval": "wal/let"}),
        ("wal-let", {"walet": "wal-let", "lastActive": ACTIVE}),
        (WALLET, f"{{{WALLET}"),
    ],
)
def test_no_problem_ever_shows_a_wallet(key: str, raw: object) -> None:
    problems = parse(raw, key=key).problems
    assert problems
    for value in (WALLET, WALLET.lower(), "short", "wal let", "wal/let", "wal-let"):
        assert value not in "".join(problems)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("interval", "often"),
        ("interval", "5"),
        ("interval", "5 minutes"),
        ("interval", "2.5h"),
        ("timeZone", "Mars/Olympus"),
        ("timeZone", "UTC+2"),
        ("syncRequestedAt", "2026-01-31 09:30"),
        ("syncRequestedAt", "1769851800000"),
        ("syncRequestedAt", "31.1.2026"),
    ],
)
def test_a_value_that_is_like_what_was_meant_is_quoted(field: str, value: str) -> None:
    assert f'{field} "{value}" is not a' in parse(GOOD | {field: value}).problems[0]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([ACTIVE, WALLET, "5m"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = ("userId", "wallet", "lastActive", "interval", "timeZone", "syncRequestedAt", "changedTokens")
_RECORDS = st.fixed_dictionaries({}, optional=dict.fromkeys(_FIELDS, _JSON))


@given(st.text() | st.text(alphabet='{}[]":,0eE.-+ntf\\u \ud800'), st.text(), st.integers())
def test_no_text_makes_it_raise(raw: str, key: str, now: int) -> None:
    parsed = parse_entry(f"s/{key}", key, raw, now)
    assert parsed.record is not None or parsed.problems


@given(st.binary())
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    parsed = parse_entry("s/k", "k", raw.decode("utf-8", "replace"), NOW)
    assert parsed.record is not None or parsed.problems


@given(_RECORDS)
@example({"wallet": WALLET, "lastActive": ACTIVE, "changedTokens": {"a": []}})
def test_any_json_gives_a_valid_record_or_says_why_not(fields: dict[str, Any]) -> None:
    parsed = parse_entry("s/k", "k", json.dumps(fields), NOW)
    record = parsed.record
    assert record is not None or parsed.problems
    if record is not None:
        assert 0 < len(record.wallet) <= 128
        assert record.last_active <= NOW + AHEAD
        json.dumps(record.wallet, ensure_ascii=False).encode()


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(-400, 400), max_size=4), st.integers(-400, 400)
)
def test_shards_judged_anew_as_time_passes_agree_with_reading_afresh(seconds: dict[str, int], later: int) -> None:
    def time(offset: int) -> str:
        return datetime.fromtimestamp((NOW + offset * SECOND) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    data = {key: json.dumps(GOOD | {"lastActive": time(offset)}) for key, offset in seconds.items()}
    shard = read_shard({"metadata": {"name": "s"}, "data": data}, None)
    now = merge_shards("s", [shard], NOW)
    then = merge_shards("s", [shard], NOW + later * SECOND)
    assert now.holds_at(NOW)
    if now.holds_at(NOW + later * SECOND):
        assert now.records == then.records
    for key, raw in data.items():
        assert then.records.get(key) == parse_entry("s", key, raw, NOW + later * SECOND).record


def test_only_entries_whose_text_changed_are_read_again() -> None:
    before = read_shard({"metadata": {"name": "s"}, "data": {"a": json.dumps(GOOD), "b": "x"}}, None)
    after = read_shard({"metadata": {"name": "s"}, "data": {"a": json.dumps(GOOD), "b": "y", "c": "z"}}, before)
    assert after.entries["a"] is before.entries["a"]
    assert after.entries["b"][1] == read_entry("s/b", "b", "y")
    assert set(after.entries) == {"a", "b", "c"}


def test_binary_data_is_a_problem_of_its_own() -> None:
    users = merge_shards("s", [read_shard({"metadata": {"name": "s"}, "binaryData": {"b": "AAAA"}}, None)], NOW)
    assert users.problems == ("s/b: is under binaryData: write it as text under data",)
    assert users.skipped == 1


def test_of_a_user_written_twice_the_newest_counts_and_people_are_told() -> None:
    older = GOOD | {"userId": "u1", "lastActive": "2026-01-31T08:30:00Z"}
    one = read_shard({"metadata": {"name": "s"}, "data": {"u1": json.dumps(older)}}, None)
    two = read_shard({"metadata": {"name": "t"}, "data": {"u1": json.dumps(GOOD), "x": json.dumps(older)}}, None)
    users = merge_shards("s", [one, two], NOW)
    assert users.records["u1"].last_active == NOW
    assert users.skipped == 0
    assert users.warnings == (
        "1 user is there more than once, the entry with the newest lastActive counts (u1 in s/u1 and t/u1 and t/x): "
        "delete the others",
    )


def test_problems_are_counted_all_and_named_a_few() -> None:
    shard = read_shard({"metadata": {"name": "s"}, "data": {f"u{n}": "x" for n in range(9)}}, None)
    users = merge_shards("s", [shard], NOW)
    assert users.skipped == 9
    assert [problem.split(":")[0] for problem in users.problems] == ["s/u0", "s/u1", "s/u2", "s/u3", "s/u4"]


def test_people_are_warned_before_the_api_server_refuses_a_shard() -> None:
    def shard(size: int) -> dict[str, Any]:
        return {"metadata": {"name": "s-2"}, "data": {"u": " " * size}}

    assert merge_shards("s", [read_shard(shard(900 * 1024 - 1), None)], NOW).warnings == ()
    (warning,) = merge_shards("s", [read_shard(shard(900 * 1024), None)], NOW).warnings
    assert "ConfigMap s-2 holds 900 KiB" in warning
    assert "sync.moonx.farm/store=s" in warning


def test_more_than_ten_thousand_users_are_warned_of() -> None:
    data = {f"u{n}": json.dumps({"wallet": "0x0", "lastActive": ACTIVE}) for n in range(10_001)}
    (warning,) = merge_shards("s", [read_shard({"metadata": {"name": "s"}, "data": data}, None)], NOW).warnings
    assert "10001 users are more than the 10000" in warning
