"""What `periodic-sync sync`, `export` and `purge` decide and write, apart from any cluster."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from periodic_sync.cli import main as cli
from periodic_sync.cli.errors import CommandError
from periodic_sync.cli.export import FIELDS, csv_line, json_line
from periodic_sync.cli.purge import check_policies
from periodic_sync.cli.sync import annotation
from periodic_sync.client.importing import LineReader
from periodic_sync.core.ledger import Scope
from periodic_sync.core.requests import read_request
from periodic_sync.core.users import UserRecord
from periodic_sync.stores.redis.purging import _pattern
from scheduling import NOON


@pytest.mark.parametrize(
    ("scope", "users", "asked"),
    [
        ("all", [], (Scope.ALL, set())),
        ("active", [], (Scope.ACTIVE, set())),
        ("named", ["u1"], (Scope.NAMED, {"u1"})),
        ("named", ["u1", "auth0:u2"], (Scope.NAMED, {"u1", "auth0:u2"})),
        ("named", ["all"], (Scope.NAMED, {"all"})),
        ("named", ["active"], (Scope.NAMED, {"active"})),
        ("named", ["all", "active"], (Scope.NAMED, {"all", "active"})),
    ],
)
def test_the_operator_reads_of_the_annotation_who_was_meant(scope: str, users: list[str], asked: object) -> None:
    text = annotation(scope, users)
    found = read_request({"sync.moonx.farm/sync-users": text, "sync.moonx.farm/requested-at": "t"})
    assert found is not None
    assert (found.scope, set(found.users)) == asked


def test_more_ids_than_an_annotation_holds_are_refused() -> None:
    with pytest.raises(CommandError, match="ask for fewer at a time, or --active"):
        annotation("named", ["u" * 128] * 2000)


wallets = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)
printable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1, max_size=128)
instants = st.integers(-(10**13), NOON)


def records(wallet: st.SearchStrategy[str]) -> st.SearchStrategy[UserRecord]:
    return st.builds(
        UserRecord,
        user_id=st.from_regex(r"[A-Za-z0-9._:@-]{1,128}", fullmatch=True),
        wallet=wallet,
        last_active=instants,
        interval=st.none() | st.integers(1, 10**9),
        time_zone=st.none() | st.sampled_from(["Asia/Tokyo", "Etc/UTC"]),
        sync_requested_at=st.none() | instants,
        changed_tokens=st.dictionaries(st.text("0x1", min_size=1, max_size=5), instants, max_size=3),
    )


@given(records(wallets))
@example(UserRecord("u1", "a\r\nb\u2028,\"'", NOON))
def test_a_line_of_ndjson_is_imported_as_what_it_was_made_of(record: UserRecord) -> None:
    line = json_line(record)
    assert line.count("\n") == 1
    assert LineReader().read(line.encode(), NOON) == record


@given(records(printable))
@example(UserRecord("u1", ' a"b,c ', NOON))
def test_a_row_of_csv_is_imported_as_what_it_was_made_of_without_tokens(record: UserRecord) -> None:
    reader, line = LineReader(), csv_line(record)
    assert reader.read(",".join(FIELDS) + "\n", NOON) is None
    found = reader.read(line.encode(), NOON)
    assert found == UserRecord(
        record.user_id,
        record.wallet,
        record.last_active,
        record.interval,
        record.time_zone,
        record.sync_requested_at,
    )


def test_a_wallet_that_csv_can_not_keep_is_told_without_it() -> None:
    with pytest.raises(CommandError, match="the wallet of user u1 has a line break") as told:
        csv_line(UserRecord("u1", "0xcanary\n", NOON))
    assert "canary" not in str(told.value)


def syncpolicy(spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    about = {"namespace": "shop", "name": "portfolios", "generation": 2}
    return {"metadata": about, "spec": {"store": {"redis": {"keyPrefix": "p:"}}, **spec}, "status": status}


ON, OFF = {"enabled": True}, {"enabled": False}
ACKNOWLEDGED: dict[str, Any] = {"enabled": False, "observedGeneration": 2}


@pytest.mark.parametrize(
    ("body", "owner", "may_be_there", "refused"),
    [
        (syncpolicy(ON), "shop/portfolios", True, "is enabled and uses 'p:'"),
        (syncpolicy(ON), "", True, "is enabled and uses 'p:'"),
        (syncpolicy({}), "", True, "is enabled"),
        (syncpolicy(ON), "shop/other", False, ""),
        (syncpolicy(OFF, **ACKNOWLEDGED), "", False, "with --yes its users are erased"),
        (syncpolicy(OFF, **ACKNOWLEDGED), "", True, ""),
        (syncpolicy(OFF, **ACKNOWLEDGED, activeJobs=1), "", True, "still at work"),
        (syncpolicy(OFF, enabled=True, observedGeneration=2), "", True, "still at work"),
        (syncpolicy(OFF, **ACKNOWLEDGED | {"observedGeneration": 1}), "", True, "still at work"),
        ({**syncpolicy(ON), "spec": {"store": {"configMap": {"name": "u"}}}}, "shop/portfolios", False, ""),
    ],
)
def test_users_of_a_policy_at_work_are_not_erased(
    body: dict[str, Any], owner: str, may_be_there: bool, refused: str
) -> None:
    if not refused:
        check_policies([body], owner, "p:", may_be_there=may_be_there)
        return
    with pytest.raises(CommandError, match=refused):
        check_policies([body], owner, "p:", may_be_there=may_be_there)


def test_a_prefix_is_matched_as_it_stands() -> None:
    assert _pattern("a[b]*?\\^:{5f0c}") == r"a\[b\]\*\?\\\^:{5f0c}*"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sync", "p"], "name users, or give one of --active and --all"),
        (["sync", "p", "u1", "--all"], "name users, or give one of --active and --all"),
        (["sync", "p", "--all", "--active"], "name users, or give one of --active and --all"),
        (["register", "p", "u1"], "give the wallet by one of --wallet-stdin and --wallet"),
        (["register", "p", "u1", "--wallet", "w", "--wallet-stdin"], "give the wallet by one of"),
        (["status", "p", "-A"], "give either POLICY or --all-namespaces"),
        (["status", "--watch", "-o", "json"], "--watch takes a terminal"),
        (["users", "p", "--stale", "--cursor", "c"], "--cursor goes with none of"),
        (["users", "p", "--reason", "Tired"], "'Tired' is not one of"),
        (["plan", "p", "--at", "noon"], "write RFC 3339, such as"),
        (["purge", "p:"], "say which Redis"),
    ],
)
def test_a_mistake_is_told_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert cli.main(arguments) == 2
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())
