"""Whom a worker's termination message names, and what a message must not be."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_support import batch
from periodic_sync.core.batch_files import BatchUser
from periodic_sync.core.outcomes import FAILED_UNEXPLAINED
from periodic_sync.core.results import NO_REASON, End, UnreadableMessageError, judge, read_message
from result_support import USERS, exit_of, pod, said

NAMED: dict[str, tuple[str, dict[str, str]]] = {
    "an id with its reason": (said(failed={"u1": "rpc timeout"}), {"u1": "rpc timeout"}),
    "positions": (said(failedIndexes="0,2"), {"u0": NO_REASON, "u2": NO_REASON}),
    "both, which may overlap": (
        said(failed={"u2": "slow"}, failedIndexes="1-2"),
        {"u1": NO_REASON, "u2": "slow"},
    ),
    "everyone": (said(failedIndexes="0-2"), {"u0": NO_REASON, "u1": NO_REASON, "u2": NO_REASON}),
    "somebody of another batch beside one of this": (said(failed={"u1": "x", "u9": "x"}), {"u1": "x"}),
    "positions far beyond the batch": (said(failedIndexes="2-999999999"), {"u2": NO_REASON}),
    "an empty reason": (said(failed={"u1": ""}), {"u1": NO_REASON}),
    "a reason that is null": (said(failed={"u1": None}), {"u1": NO_REASON}),
    "a reason that is a number": (said(failed={"u1": 503}), {"u1": "503"}),
    "a reason that is an object": (said(failed={"u1": {"code": 503}}), {"u1": '{"code": 503}'}),
    "null for empty, as some languages write it": (said(failed=None, failedIndexes="1"), {"u1": NO_REASON}),
    "fields of later days": (said(failedIndexes="1", synced=2), {"u1": NO_REASON}),
    "a line break at the end": (said(failedIndexes="1") + "\n", {"u1": NO_REASON}),
    "control characters": (said(failed={"u1": "a\x1b[31mred\nb\x00"}), {"u1": "a [31mred b"}),
    "the user's wallet": (said(failed={"u1": "no such 0xWALLET-of-u1!"}), {"u1": "no such (wallet)!"}),
    "another user's wallet": (said(failed={"u1": "like 0xwallet-of-u2"}), {"u1": "like (wallet)"}),
    "what looks like a wallet": (said(failed={"u1": f"0x{'aB' * 20} is unknown"}), {"u1": "(wallet) is unknown"}),
    "a wallet in an object": (said(failed={"u1": {"w": "0xwallet-of-u1"}}), {"u1": '{"w": "(wallet)"}'}),
    "a reason without an end": (said(failed={"u1": "x" * 5000}), {"u1": "x" * 199 + "…"}),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_message_names(case: str) -> None:
    message, named = NAMED[case]
    assert read_message(message, USERS) == named


UNREADABLE: dict[str, tuple[str, str]] = {
    "nothing": ("", "no termination message"),
    "white space": (" \n", "no termination message"),
    "a log line": ("panic: runtime error", "not JSON"),
    "a message cut off by the kubelet": (said(failedIndexes="1")[:-3], "not JSON"),
    "two messages": (said(failedIndexes="1") * 2, "not JSON"),
    "JSON that is no object": ('["u1"]', "not of version 1"),
    "no version": ('{"failed":{"u1":"x"}}', "not of version 1"),
    "a version to come": ('{"version":2,"failed":{"u1":"x"}}', "not of version 1"),
    "a version in quotes": ('{"version":"1","failed":{"u1":"x"}}', "not of version 1"),
    "a version that is true": ('{"version":true,"failed":{"u1":"x"}}', "not of version 1"),
    "nobody": (said(), "names nobody"),
    "nobody, twice": (said(failed={}, failedIndexes=""), "names nobody"),
    "only users of other batches": (said(failed={"u9": "x"}, failedIndexes="3-7"), "names nobody"),
    "ids in a list": (said(failed=["u1"]), "failed is no object"),
    "a position as a number": (said(failedIndexes=1), "failedIndexes no string"),
    "positions in a list": (said(failedIndexes=[1]), "failedIndexes no string"),
    "a range that falls, beside one that doesn't": (said(failedIndexes="0,2-1"), "ends before it begins"),
    "positions that are none, beside a good id": (said(failed={"u1": "x"}, failedIndexes="all"), "wrong failedIndexes"),
    "nested beyond reason": ("[" * 60_000, "not JSON"),
    "a number beyond reason": ('{"version":' + "1" * 10_000 + "}", "not JSON"),
    "a message beyond reason": (said(failedIndexes="1", note="x" * 70_000), "far too long"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_message_that_nobody_is_judged_by(case: str) -> None:
    message, why = UNREADABLE[case]
    with pytest.raises(UnreadableMessageError, match=why):
        read_message(message, USERS)
    judgement = judge(USERS, End.FAILED, [pod(exit_of(1, message))])
    assert judgement.verdict == FAILED_UNEXPLAINED
    assert why in judgement.why


@given(st.text(st.characters(), min_size=1, max_size=12), st.text(max_size=20), st.text(max_size=20))
def test_no_reason_shows_a_wallet_of_the_batch(wallet: str, before: str, after: str) -> None:
    user = BatchUser("u1", wallet)
    named = read_message(json.dumps({"version": 1, "failed": {"u1": before + wallet.upper() + after}}), [user])
    hidden = named["u1"].replace("(wallet)", "")
    assert len(wallet.strip()) < 6 or wallet not in hidden


def test_who_has_a_wallet_for_an_id_is_told_by_position() -> None:
    users = [BatchUser("u0", "0x1f"), BatchUser("acct-0815", "ACCT-0815")]
    judgement = judge(users, End.FAILED, [pod(exit_of(1, said(failed={"acct-0815": "acct-0815 is gone", "u0": "x"})))])
    assert judgement.reasons == {"users[1]": "(wallet) is gone", "u0": "x"}
    assert judgement.verdict.failed == {"acct-0815", "u0"}


def test_a_full_batch_in_which_everyone_failed_can_be_told() -> None:
    everyone = batch(*(f"u{number}" for number in range(1000))).users
    assert len(read_message(said(failedIndexes="0-999"), everyone)) == 1000
