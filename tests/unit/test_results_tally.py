"""What the outcomes of a batch add to the ledger."""

import pytest

from job_support import batch, file_of
from periodic_sync.core.outcomes import FAILED_UNEXPLAINED, RETURNED, SUCCEEDED, Verdict, apply, failed_users
from periodic_sync.core.results import outcomes, tally
from periodic_sync.core.transitions import Tally
from periodic_sync.core.users import UserState

FAILED_BEFORE = UserState(last_synced=1, last_claim=5, last_outcome=5, failures=2)
FINE = UserState(last_synced=1, last_claim=5, last_outcome=5)
EVERYONE = ["u0", "u1", "u2"]

TALLIES: dict[str, tuple[list[str], bool, bool, Verdict, dict[str, UserState], Tally]] = {
    "all synced": (EVERYONE, False, False, SUCCEEDED, {}, Tally(synced=3, is_success=True)),
    "one of three failed": (
        EVERYONE,
        False,
        False,
        failed_users(["u1"]),
        {},
        Tally(synced=2, failed=1, is_success=True),
    ),
    "all three named": (EVERYONE, False, False, failed_users(EVERYONE), {}, Tally(failed=3, is_failure_evidence=True)),
    "an unexplained failure of many: all failed, though nobody is blamed": (
        EVERYONE,
        False,
        False,
        FAILED_UNEXPLAINED,
        {},
        Tally(failed=3, is_failure_evidence=True),
    ),
    "an unexplained failure of one is its own": (
        ["u0"],
        False,
        False,
        FAILED_UNEXPLAINED,
        {"u0": FINE},
        Tally(failed=1, is_failure_evidence=True),
    ),
    "alone and failed before: rather the user's than the worker's": (
        ["u0"],
        False,
        False,
        failed_users(["u0"]),
        {"u0": FAILED_BEFORE},
        Tally(failed=1),
    ),
    "alone, failed before, and the only active user there is": (
        ["u0"],
        True,
        False,
        failed_users(["u0"]),
        {"u0": FAILED_BEFORE},
        Tally(failed=1, is_failure_evidence=True),
    ),
    "two that failed before": (
        ["u0", "u1"],
        False,
        False,
        failed_users(["u0", "u1"]),
        {"u0": FAILED_BEFORE, "u1": FAILED_BEFORE},
        Tally(failed=2, is_failure_evidence=True),
    ),
    "never heard of before": (
        ["u0"],
        False,
        False,
        failed_users(["u0"]),
        {},
        Tally(failed=1, is_failure_evidence=True),
    ),
    "returned: neither total, no evidence": (EVERYONE, True, False, RETURNED, {}, Tally()),
    "a probe that failed": (EVERYONE, False, True, FAILED_UNEXPLAINED, {}, Tally(failed=3, is_failure_evidence=True)),
    "a probe that was returned": (EVERYONE, False, True, RETURNED, {}, Tally()),
    "a probe that synced somebody": (
        EVERYONE,
        False,
        True,
        failed_users(["u0"]),
        {},
        Tally(synced=2, failed=1, is_success=True),
    ),
}


@pytest.mark.parametrize("case", TALLIES)
def test_the_ledger_adds(case: str) -> None:
    ids, whole, probe, verdict, states, expected = TALLIES[case]
    file = file_of(batch(*ids, whole=whole), probe=probe)
    ended = outcomes(file, 0, verdict, ended_at=1)
    assert tally(file.batches[0], verdict, ended, states) == expected
    # A crash may have come between storing the outcomes and closing the index: the ledger adds the same.
    stored = {it.user_id: apply(states.get(it.user_id, UserState()), it) for it in ended}
    assert tally(file.batches[0], verdict, ended, stored) == expected
