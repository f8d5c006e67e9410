"""The batch file: what a worker sees, what settling gets back, and how large it is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_support import CLAIM, POLICY, batch, file_of
from periodic_sync.api.durations import DAY
from periodic_sync.api.names import Priority, Reason
from periodic_sync.core.batch_files import (
    Batch,
    BatchFile,
    BatchUser,
    batch_file,
    new_batch_file,
    planned,
    read_batch_file,
)
from periodic_sync.core.batches import PlannedBatch, PlannedUser
from periodic_sync.core.ledger import Phase
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.plan import plan as make_plan
from periodic_sync.core.users import UserRecord, UserState
from scheduling import NOON, tick_of

EMPTY_FILE_BYTES = 300
"""What a batch file takes beside its batches, at most: far less than their limit is below the API server's."""

user_ids = st.from_regex(r"[A-Za-z0-9._:@-]{1,128}", fullmatch=True)
wallets = st.text(st.characters(), max_size=128)  # half surrogate pairs too: JSON may hold them
instants = st.integers(min_value=0, max_value=4_102_444_800_000)
users = st.builds(
    BatchUser, user_ids, wallets, st.lists(st.text(max_size=42), max_size=3).map(tuple), st.none() | instants
)


@st.composite
def files(draw: st.DrawFn) -> BatchFile:
    everyone = draw(st.lists(users, min_size=1, max_size=12, unique_by=lambda user: user.user_id))
    cuts = sorted(draw(st.sets(st.integers(1, len(everyone) - 1), max_size=3))) if len(everyone) > 1 else []
    parts = [everyone[start:end] for start, end in zip([0, *cuts], [*cuts, len(everyone)], strict=True)]
    batches = [Batch(tuple(part), draw(st.sampled_from(Priority)), draw(st.booleans())) for part in parts]
    return new_batch_file(
        POLICY,
        batches,
        claim=draw(instants),
        claimed_at=draw(instants),
        generation=draw(st.integers(1, 10**6)),
        probe=draw(st.booleans()),
    )


@given(files())
def test_what_was_written_is_read_back(file: BatchFile) -> None:
    assert read_batch_file(json.loads(json.dumps(batch_file(POLICY, file))), POLICY) == file


@given(files())
def test_a_batch_file_can_always_be_sent(file: BatchFile) -> None:
    assert all(value.isascii() for value in batch_file(POLICY, file)["data"].values())


def test_a_worker_sees_the_contract_and_nothing_else() -> None:
    user = BatchUser("u1", "0xabc", ("0xtoken",), request=CLAIM)
    body = batch_file(POLICY, file_of(Batch((user,), Priority.HIGH, whole=True), batch("u2"), probe=True))
    assert sorted(body["data"]) == ["0", "1", "claim.json"]
    assert json.loads(body["data"]["0"]) == {
        "version": 1,
        "policy": "portfolios",
        "namespace": "shop",
        "batch": f"{body['metadata']['name']}-0",
        "priority": "high",
        "users": [{"id": "u1", "wallet": "0xabc", "tokens": ["0xtoken"]}],
    }
    assert body["immutable"] is True
    assert body["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "periodic-sync",
        "sync.moonx.farm/policy": "portfolios",
        "sync.moonx.farm/role": "batch",
    }


def test_a_wallet_is_only_in_the_batch() -> None:
    body = batch_file(POLICY, file_of(batch("u1", "u2")))
    for key in ("0",):
        del body["data"][key]
    assert "0xwallet-of" not in json.dumps(body)
    assert "0xwallet-of" not in repr(file_of(batch("u1", "u2")))


def test_the_ledgers_entry_can_be_made_from_the_file_alone() -> None:
    file = file_of(batch("u1", "u2", priority=Priority.LOW), batch("u3"), probe=True)
    entry = file.open_job(Phase.CREATED)
    assert (entry.name, entry.claim, entry.claimed_at) == (file.name, CLAIM, CLAIM)
    assert (entry.priorities, entry.sizes) == ((Priority.LOW, Priority.MEDIUM), (2, 1))
    assert (entry.open, entry.phase, entry.probe) == (frozenset({0, 1}), Phase.CREATED, True)


def test_users_of_some_indexes_only() -> None:
    file = file_of(batch("u1", "u2"), batch("u3"))
    assert file.user_ids({1}) == {"u3"}
    assert file.user_ids({0, 1, 7, -1}) == {"u1", "u2", "u3"}


def test_a_planned_batch_keeps_order_tokens_and_requests() -> None:
    first = UserRecord("u1", "0xa", last_active=1, sync_requested_at=77)
    second = UserRecord("u2", "0xb", last_active=1)
    plan = PlannedBatch(
        (PlannedUser(first, ("0xt",), Reason.DUE_REQUESTED), PlannedUser(second, (), Reason.DUE_STALE)),
        Priority.HIGH,
        file_bytes=500,
    )
    made = planned(plan, whole=True)
    assert made == Batch((BatchUser("u1", "0xa", ("0xt",), 77), BatchUser("u2", "0xb")), Priority.HIGH, whole=True)
    assert list(made.requests.items()) == [("u1", 77), ("u2", None)]


@given(
    ids=st.lists(user_ids, min_size=1, max_size=20, unique=True),
    wallet=wallets,
    tokens=st.lists(st.text(max_size=42), max_size=5),
)
def test_planning_never_takes_a_batch_for_smaller_than_it_is(ids: list[str], wallet: str, tokens: list[str]) -> None:
    changed = dict.fromkeys(tokens, NOON)
    state = UserState(last_synced=NOON - DAY, last_claim=1, last_outcome=1)
    records = [
        UserRecord(each, wallet, last_active=NOON, sync_requested_at=NOON, changed_tokens=changed) for each in ids
    ]
    plan = make_plan([(record, state) for record in records], tick_of())
    for job in plan.jobs:
        batches = [planned(each, whole=True) for each in job.batches]
        file = new_batch_file(POLICY, batches, claim=CLAIM, claimed_at=NOON, generation=10**6)
        data = batch_file(POLICY, file)["data"]
        size = sum(len(key.encode()) + len(value.encode()) for key, value in data.items())
        assert size <= EMPTY_FILE_BYTES + sum(each.file_bytes for each in job.batches)


def body_with(**data: str | None) -> dict[str, Any]:
    body = batch_file(POLICY, file_of(batch("u1"), batch("u2")))
    for key, value in data.items():
        name = {"claim": "claim.json"}.get(key, key.removeprefix("key_"))
        if value is None:
            del body["data"][name]
        else:
            body["data"][name] = value
    return body


def claim_with(**fields: object) -> str:
    kept = json.loads(batch_file(POLICY, file_of(batch("u1"), batch("u2")))["data"]["claim.json"])
    return json.dumps({**kept, **fields})


GARBLED: dict[str, tuple[dict[str, Any], str]] = {
    "an empty object": ({}, "no key claim.json"),
    "data that is no map": ({"data": []}, "no key claim.json"),
    "no claim": (body_with(claim=None), "no key claim.json"),
    "a claim that is not JSON": (body_with(claim="{"), "key claim.json is not JSON"),
    "a claim nested beyond reason": (body_with(claim="[" * 100_000), "key claim.json is not JSON"),
    "a claim of another version": (body_with(claim=claim_with(version=2)), "key claim.json is not of version 1"),
    "a claim of another policy": (body_with(claim=claim_with(policyUid="other")), "belongs to another SyncPolicy"),
    "a claim with another number": (body_with(claim=claim_with(claim=5)), "its name is not that of its claim"),
    "a claim with an impossible number": (body_with(claim=claim_with(claim=-5)), "claim number -5 is outside"),
    "a claim whose number is a flag": (body_with(claim=claim_with(claim=True)), "a field that holds int"),
    "a claim without batches": (body_with(claim=claim_with(batches=[])), "its keys are not"),
    "a claim of more batches than there are": (body_with(claim=claim_with(batches=[{}] * 3)), "its keys are not"),
    "a batch that is missing": (body_with(key_1=None), "its keys are not"),
    "one batch more": (body_with(key_2="{}"), "its keys are not"),
    "a batch that is not JSON": (body_with(key_0="nonsense"), "key 0 is not JSON"),
    "a batch without users": (
        body_with(key_0='{"version":1,"priority":"high","users":[]}'),
        "a batch has 1 to 1000 users",
    ),
    "a user without a wallet": (
        body_with(key_0='{"version":1,"priority":"high","users":[{"id":"u1","tokens":[]}]}'),
        "a field that holds str",
    ),
    "a priority that is none": (
        body_with(key_0='{"version":1,"priority":"urgent","users":[{"id":"u1","wallet":"","tokens":[]}]}'),
        "'urgent' is not a valid Priority",
    ),
    "a user twice": (
        body_with(key_0='{"version":1,"priority":"high","users":[{"id":"u2","wallet":"","tokens":[]}]}'),
        "it names a user twice",
    ),
}


@pytest.mark.parametrize("case", GARBLED)
def test_a_garbled_file_is_refused_with_a_sentence(case: str) -> None:
    body, sentence = GARBLED[case]
    with pytest.raises(ValueError, match=r"^ConfigMap .* is no batch file") as caught:
        read_batch_file(body, POLICY)
    assert sentence in str(caught.value)
    assert "0xwallet" not in str(caught.value)


def test_a_file_of_a_namesake_is_refused() -> None:
    namesake = PolicyRef(POLICY.namespace, POLICY.name, "another-uid")
    with pytest.raises(ValueError, match="belongs to another SyncPolicy"):
        read_batch_file(batch_file(POLICY, file_of(batch("u1"))), namesake)
