"""Events from the versions of a policy's objects: whoever takes up the history anywhere tells the same of the rest."""

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger_support import open_job
from periodic_sync.api.names import Role
from periodic_sync.core import objects
from periodic_sync.core.events import Event, PolicyChanged, UserSynced
from periodic_sync.core.ledger import Ledger, to_json
from periodic_sync.core.objects import PolicyRef, ledger_name
from periodic_sync.core.outcomes import Ending, apply
from periodic_sync.core.users import NEVER_SYNCED
from periodic_sync.kube.ledgers import KEY
from periodic_sync.server.events.versions import Versions
from periodic_sync.stores.base import Owner
from periodic_sync.stores.state_objects import GONE, StateObjects
from periodic_sync.stores.state_plan import JOURNAL, RECENT, Part, View, merge, plan_changes, plan_forgetting
from store_contract import outcome

POLICY = PolicyRef("shop", "portfolios", "uid-1")
STATES = StateObjects(POLICY.namespace, Owner(POLICY.name, POLICY.uid))
Change = tuple[str, dict[str, Any]]


@dataclass
class History:
    """What an operator wrote, change by change, as a watch tells it."""

    changes: list[Change] = field(default_factory=list)
    ledger: Ledger | None = None
    parts: dict[str, Part] = field(default_factory=dict)
    claim: int = 0

    def write_ledger(self, ledger: Ledger | None) -> None:
        body = objects.metadata(POLICY, ledger_name(POLICY.name, POLICY.uid), role=Role.LEDGER)
        data = {} if ledger is None else {KEY: to_json(ledger)}
        kind = "DELETED" if ledger is None else "MODIFIED" if self.ledger else "ADDED"
        self.ledger = ledger
        self._add(kind, {"metadata": body, "data": data})

    def apply(self, users: list[str], ending: Ending) -> None:
        self.claim += 1
        known = merge(part.users for part in self.parts.values())
        states = {user: apply(known.get(user, NEVER_SYNCED), outcome(user, ending, claim=self.claim)) for user in users}
        self._carry_out(plan_changes(View(self.parts), states))

    def forget(self, user: str) -> None:
        known = merge(part.users for part in self.parts.values())
        if user in known:
            self._carry_out(plan_forgetting(View(self.parts), {user: known[user].last_claim}))

    def _carry_out(self, writes: Any) -> None:
        for write in writes:
            there = write.part in self.parts
            if write.delete:
                self._add("DELETED", STATES.body(write.part, "", version=None))
                del self.parts[write.part]
                continue
            body = STATES.body(write.part, write.text, version=None, spent=write.spent)
            self._add("MODIFIED" if there else "ADDED", body)
            self.parts[write.part] = Part(write.users, str(len(self.changes)), len(write.text), write.spent)

    def _add(self, kind: str, body: dict[str, Any]) -> None:
        body["metadata"]["resourceVersion"] = str(len(self.changes) + 1)
        self.changes.append((kind, body))

    def told(self, since: int = 0) -> list[tuple[Event, ...]]:
        """By change, of the ones after so many."""
        versions = Versions(POLICY)
        there: dict[str, dict[str, Any]] = {}
        for kind, body in self.changes[:since]:
            there[body["metadata"]["name"]] = body
            if kind == "DELETED":
                del there[body["metadata"]["name"]]
        versions.load(there.values())
        return [versions.take(*change) for change in self.changes[since:]]


users = st.sampled_from([f"user-{number}" for number in range(6)])
steps = st.lists(
    st.tuples(st.just("apply"), st.lists(users, min_size=1, unique=True), st.sampled_from(Ending))
    | st.tuples(st.just("forget"), users)
    | st.tuples(st.sampled_from(["claim", "close", "edit", "lose"])),
    max_size=40,
)


def played(steps: list[Any]) -> History:
    history = History()
    history.write_ledger(Ledger(generation=1, enabled=True))
    for name, *arguments in steps:
        ledger = history.ledger or Ledger()
        match name:
            case "apply":
                history.apply(*arguments)
            case "forget":
                history.forget(*arguments)
            case "claim":
                number = len(history.changes)
                history.write_ledger(replace(ledger, jobs=(*ledger.jobs, open_job(f"job-{number}", sizes=(1, 1)))))
            case "close":
                history.write_ledger(replace(ledger, jobs=ledger.jobs[1:]))
            case "edit":
                history.write_ledger(replace(ledger, generation=ledger.generation + 1, enabled=not ledger.enabled))
            case "lose":
                history.write_ledger(None)
    return history


@given(steps)
def test_taken_up_anywhere_the_rest_is_told_alike(steps: list[Any]) -> None:
    history = played(steps)
    whole = history.told()
    for since in range(len(history.changes) + 1):
        assert history.told(since) == whole[since:]


@given(steps)
def test_each_result_is_told_once_however_states_are_moved_between_objects(steps: list[Any]) -> None:
    told = [event for events in played(steps).told() for event in events]
    synced = [(event.user, event.claim) for event in told if isinstance(event, UserSynced)]
    assert len(set(synced)) == len(synced)
    claim, wanted = 0, []
    for name, *arguments in steps:
        if name == "apply":
            claim += 1
            wanted += [(user, claim) for user in arguments[0] if arguments[1] is Ending.SYNCED]
    assert sorted(synced) == sorted(wanted)


def take(versions: Versions, part: str, text: str, change: str = "MODIFIED") -> tuple[Event, ...]:
    body = STATES.body(part, text, version=None)
    body["metadata"]["resourceVersion"] = "1"
    return versions.take(change, body)


def test_what_can_t_be_read_is_passed_over_and_so_is_who_left() -> None:
    versions = Versions(POLICY)
    assert take(versions, JOURNAL, '{"claim":1,"users":["ada"]}') == (UserSynced("ada", 1, 1),)
    assert take(versions, RECENT, "no JSON") == ()
    assert take(versions, GONE, '{"since":1,"users":["bob"]}') == ()
    assert take(versions, JOURNAL, "no JSON") == ()


def test_objects_of_a_policy_that_was_made_anew_are_none_of_this_one_s() -> None:
    other = PolicyRef(POLICY.namespace, POLICY.name, "uid-2")
    name = ledger_name(POLICY.name, POLICY.uid)
    ledger = {KEY: to_json(Ledger(generation=1, enabled=True))}
    body = {"metadata": objects.metadata(other, name, role=Role.LEDGER), "data": ledger}
    assert Versions(POLICY).take("ADDED", body) == ()
    body = {"metadata": objects.metadata(POLICY, name, role=Role.LEDGER), "data": ledger}
    assert Versions(POLICY).take("ADDED", body) == (PolicyChanged(1, True),)


def test_states_are_not_told_by_objects_that_only_take_over() -> None:
    versions = Versions(POLICY)
    assert take(versions, RECENT, '{"claim":1,"users":["ada"]}') == ()
    assert take(versions, JOURNAL, '{"claim":1,"users":["ada"]}') == ()
