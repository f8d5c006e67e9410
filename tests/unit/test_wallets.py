"""Wallets in texts and ids, in all the ways in which they get there."""

import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from periodic_sync.api.wallets import hide_wallets, holds_wallet, shown_id

ETHEREUM = "0x52908400098527886E0F7030069857D2E4169EE7"
SOLANA = "7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV"
BITCOIN = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"
BECH32 = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
ODD = 'wällét/of "u1" & co'


@pytest.mark.parametrize("written", [str, str.lower, lambda wallet: quote(wallet, safe=""), quote, quote_plus])
@pytest.mark.parametrize("wallet", [ETHEREUM, SOLANA, ODD, "acct-0815", "a\\b\tc"])
def test_a_known_wallet_is_hidden_however_it_is_written(wallet: str, written: object) -> None:
    text = f"no such user: {written(wallet)}!"  # type: ignore[operator]
    assert hide_wallets([text], [wallet]) == ["no such user: (wallet)!"]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_known_wallet_is_hidden_in_json(ascii_only: bool) -> None:
    text = json.dumps({"wallet": ODD}, ensure_ascii=ascii_only)
    assert hide_wallets([text], [ODD]) == ['{"wallet": "(wallet)"}']


def test_a_hexadecimal_address_is_hidden_though_nobody_knows_it() -> None:
    told = hide_wallets([f"{ETHEREUM} is unknown", "0x1f is not one"], [])
    assert told == ["(wallet) is unknown", "0x1f is not one"]


@given(st.text(), st.lists(st.text(min_size=4), max_size=3))
@example("a(wallet)", ["(wallet)"])
def test_nothing_of_a_known_wallet_is_left(text: str, wallets: list[str]) -> None:
    [hidden] = (each.replace("(wallet)", "") for each in hide_wallets([text + "".join(wallets)], wallets))
    assert not any(wallet in hidden for wallet in wallets)


@pytest.mark.parametrize("wallet", ["0x{:040x}", "wal-let {:040x}"])
def test_a_full_batch_takes_milliseconds(wallet: str) -> None:
    wallets = [wallet.format(number * 7919) for number in range(1000)]
    reasons = [f"no {each}" for each in wallets[:100]] + ["rpc timeout"] * 900  # a message has 4 KiB
    began = time.process_time()
    told = hide_wallets(reasons, wallets)
    assert time.process_time() - began < 0.5  # the whole event loop waits for it
    assert set(told) == {"no (wallet)", "rpc timeout"}


@pytest.mark.parametrize(
    ("user_id", "wallet"),
    [
        (ETHEREUM, ETHEREUM),
        (ETHEREUM.lower(), ETHEREUM),
        (ETHEREUM.removeprefix("0x"), ETHEREUM),
        (f"user:{ETHEREUM}", ETHEREUM),
        ("acct-0815", "acct-0815"),
        (ETHEREUM, "another"),
        (ETHEREUM, None),
        (f"user:{ETHEREUM}@shop", None),
        (SOLANA, None),
        (BITCOIN, None),
        (BECH32, None),
        (ETHEREUM.removeprefix("0x"), None),
    ],
)
def test_an_id_that_gives_a_wallet_away_is_not_shown(user_id: str, wallet: str | None) -> None:
    assert holds_wallet(user_id, wallet)
    assert shown_id(user_id, wallet) == f"(an id of {len(user_id)} characters, like a wallet)"


@pytest.mark.parametrize(
    "user_id",
    [
        "u17",
        "auth0:u-1@moonx",
        "a.person@example.com",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "0f8fad5bd9cb469fa16570867728950e",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "xkT3a9QbLmZ0aYw2PpR8sD6fGh1j",
    ],
)
@pytest.mark.parametrize("wallet", [ETHEREUM, None])
def test_ids_of_other_kinds_are_shown(user_id: str, wallet: str | None) -> None:
    assert shown_id(user_id, wallet) == user_id


def test_a_short_id_that_a_wallet_happens_to_hold_is_shown() -> None:
    assert shown_id("5290", ETHEREUM) == "5290"


@pytest.mark.parametrize("change", [str.upper, str.lower, str])
def test_a_wallet_beyond_ascii_is_found_in_other_letters_also_where_it_is_escaped(change: Callable[[str], str]) -> None:
    wallet = "Cänary-7F3a"
    for text in (json.dumps(change(wallet)), json.dumps(change(wallet), ensure_ascii=False), quote(change(wallet))):
        assert "7f3a" not in hide_wallets([f"said {text}"], [wallet])[0].lower()
