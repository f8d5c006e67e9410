"""The one reason code of a user, as the API tells it: each of the design's, for a user who is in that state."""

from dataclasses import replace

import pytest

from periodic_sync.api.durations import HOUR, MINUTE, SECOND
from periodic_sync.api.names import Priority, Reason
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.client.backend import Known
from periodic_sync.core.calendar import UnknownTimeZoneError
from periodic_sync.core.due import Decision
from periodic_sync.core.ledger import Breaker, ManualRequest, OpenJob, RecentClaim, Refusal, Scope
from periodic_sync.core.users import UserState
from periodic_sync.inspection.why import Flight, Why, judge, without_store
from periodic_sync.inspection.words import sentence
from periodic_sync.server.shown import shown_why
from scheduling import NOON, ledger_of, policy, user

SYNCED = UserState(last_synced=NOON - MINUTE)
STALE = UserState(last_synced=NOON - 3 * HOUR)
DUE = UserState(last_synced=NOON - 6 * MINUTE)


def told(state: UserState = SYNCED, *, spec: object = None, record: object = None, **more: object) -> Why:
    chosen = policy(**(spec or {}))  # type: ignore[arg-type]
    annotations, body = more.pop("annotations", {}), more.pop("body", {})
    flying, doubt = more.pop("in_flight", {}), more.pop("doubt", "")
    found = SyncPolicy("portfolios", "shop", "uid", 1, chosen, annotations)  # type: ignore[arg-type]
    flight = Flight(ledger_of(chosen, **more), flying, doubt)  # type: ignore[arg-type]
    return judge(found, body, flight, Known(record or user(), state), NOON)  # type: ignore[arg-type]


def full(batches: int) -> tuple[OpenJob, ...]:
    return tuple(
        OpenJob(f"job-{n}", n + 1, NOON - SECOND, (Priority.HIGH,), (10,), frozenset({0})) for n in range(batches)
    )


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (Reason.POLICY_DISABLED, lambda: told(STALE, spec={"enabled": False})),
        (Reason.IN_FLIGHT, lambda: told(STALE, in_flight={"u1": NOON - SECOND})),
        (Reason.DUE_REQUESTED, lambda: told(record=user(sync_requested_at=NOON - SECOND))),
        (Reason.DUE_BULK, lambda: told(request=ManualRequest("t", Scope.ALL, 5))),
        (Reason.INACTIVE, lambda: told(STALE, record=user(last_active=NOON - 25 * HOUR))),
        (Reason.BACKING_OFF, lambda: told(replace(DUE, failures=1, failed_at=NOON - SECOND))),
        (Reason.DUE_STALE, lambda: told(UserState())),
        (Reason.DUE_STALE, lambda: told(STALE)),
        (Reason.DUE_REGULAR, lambda: told(DUE)),
        (Reason.NOT_DUE, lambda: told(SYNCED)),
        (Reason.WORKER_FAILING, lambda: told(STALE, breaker=Breaker(3, NOON - SECOND))),
        (
            Reason.RATE_LIMITED,
            lambda: told(STALE, spec={"jobs": {"usersPerMinute": 10}}, recent=(RecentClaim(NOON - SECOND, 10),)),
        ),
        (Reason.WAITING_FOR_CAPACITY, lambda: told(STALE, jobs=full(10))),
    ],
)
def test_a_user_in_that_state_has_that_reason(reason: Reason, why: object) -> None:
    found = why()  # type: ignore[operator]
    assert found.decision.reason is reason
    assert found.message.endswith(".")
    assert found.message == sentence(found.decision, NOON)


def test_a_store_that_the_operator_can_not_read_is_the_reason_of_everybody() -> None:
    conditions = [{"type": "StoreReady", "status": "False", "message": "Another policy has it"}]
    found = told(STALE, body={"status": {"conditions": conditions}})
    assert found.decision.reason is Reason.STORE_NOT_READY
    assert found.message.endswith("Another policy has it")


@pytest.mark.parametrize(("enabled", "reason"), [(True, Reason.STORE_NOT_READY), (False, Reason.POLICY_DISABLED)])
def test_a_store_that_the_api_can_not_read_hides_only_what_comes_after_it(enabled: bool, reason: Reason) -> None:
    found = SyncPolicy("portfolios", "shop", "uid", 1, policy(enabled=enabled))
    assert without_store(found, "Redis gives no answer", NOON).decision.reason is reason


@pytest.mark.parametrize(
    ("held", "more"),
    [
        (Reason.WORKER_FAILING, {"breaker": Breaker(3, 0)}),
        (Reason.WAITING_FOR_CAPACITY, {"jobs": full(10)}),
        (Reason.WAITING_FOR_CAPACITY, {"refusal": Refusal(1, NOON - SECOND, 1, "quota")}),
        (Reason.WAITING_FOR_CAPACITY, {"doubt": "Nothing is claimed until job-1 is closed"}),
    ],
)
@pytest.mark.parametrize(("state", "due"), [(STALE, Reason.DUE_STALE), (DUE, Reason.DUE_REGULAR)])
def test_who_is_due_and_held_keeps_the_due_code_beside(
    held: Reason, more: dict[str, object], state: UserState, due: Reason
) -> None:
    found = told(state, **more)
    assert (found.decision.reason, found.decision.held_from) == (held, due)
    assert str(more.get("doubt", "")) in found.message


def test_who_is_not_due_is_held_by_nothing() -> None:
    assert told(SYNCED, jobs=full(10)).decision == Decision(Reason.NOT_DUE, None, NOON + 4 * MINUTE, NOON + 4 * MINUTE)


def test_of_one_in_flight_it_is_told_when_it_is_due_next() -> None:
    assert told(STALE, in_flight={"u1": NOON - MINUTE}).decision.due_at == NOON + 4 * MINUTE


@pytest.mark.parametrize(("token", "reason"), [("t", Reason.DUE_REQUESTED), ("other", Reason.NOT_DUE)])
def test_a_request_by_annotation_counts_as_long_as_it_carries_the_ledgers_token(token: str, reason: Reason) -> None:
    annotations = {"sync.moonx.farm/sync-users": "u1", "sync.moonx.farm/requested-at": token}
    found = told(SYNCED, annotations=annotations, request=ManualRequest("t", Scope.NAMED, 5))
    assert found.decision.reason is reason


def test_a_policy_whose_time_zone_does_not_exist_is_told_as_such() -> None:
    with pytest.raises(UnknownTimeZoneError):
        told(DUE, spec={"marketHours": {"timeZone": "Mars/Olympus"}})


def test_the_answer_has_instants_and_the_sentence_says_how_long() -> None:
    shown = shown_why("u1", told(SYNCED)).model_dump(by_alias=True, mode="json")
    assert shown["dueAt"] == shown["until"] == "2026-11-25T12:04:00.000Z"
    assert shown["message"] == "The interval is not over yet; 4m more."
