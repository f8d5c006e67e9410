"""The protocol, in every order of events that a small world allows; and that each of its steps is needed.

What the checks cover, and what they leave out, is written in `model.world`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from periodic_sync.core import outcomes, protocol, rebuild, transitions
from periodic_sync.core.batch_files import BatchFile
from periodic_sync.core.ledger import Ledger, OpenJob, Phase
from periodic_sync.core.protocol import Look, Step
from periodic_sync.core.users import UserState
from unit.model.checker import check
from unit.model.parts import Parts
from unit.model.world import Scope

ONE_JOB = (((0,),),)
ONE_AFTER_THE_OTHER = (((0,),), ((0, 1),))
SIDE_BY_SIDE = (((0,), (1,)), ((0,),))
"""The second can be claimed as soon as the first index of the first is closed."""

EVERYTHING = Scope(jobs=SIDE_BY_SIDE, may_fail=False)
"""Two operators, two users, two Jobs, one of them with two indexes; stale reads, late POSTs, crashes, a Job deleted by
hand, a disable."""

IN_TURN = Scope(jobs=ONE_AFTER_THE_OTHER, may_fail=False, may_disable=False)

OTHERS = {
    "one operator and pods that fail": (Scope(jobs=SIDE_BY_SIDE, operators=1), Parts()),
    "one Job and pods that fail": (Scope(jobs=ONE_JOB), Parts()),
    "a Job that is refused or runs into its deadline": (Scope(jobs=ONE_JOB, may_expire=True, may_refuse=True), Parts()),
    "Jobs that run into their deadline": (replace(IN_TURN, may_expire=True, may_delete_by_hand=False), Parts()),
    "a deletion in the foreground": (replace(IN_TURN, deletes_in_foreground=True), Parts()),
    "a ledger that is lost": (replace(IN_TURN, may_lose_ledger=True, may_delete_by_hand=False), Parts()),
    "a ledger that is lost, a policy that is turned off": (
        Scope(jobs=ONE_JOB, may_fail=False, may_lose_ledger=True),
        Parts(),
    ),
    "Jobs whose pods can't start": (IN_TURN, Parts(gives_up_what_has_not_started=True)),
    "pods that are on no node yet": (IN_TURN, Parts(shows_pods_to_come=True)),
}


def test_two_operators_with_every_fault_at_once(record_property: Callable[[str, object], None]) -> None:
    report = check(EVERYTHING)
    record_property("everything at once", str(report))
    assert not report.problem, str(report)


@pytest.mark.parametrize("name", OTHERS)
def test_what_else_may_happen(name: str, record_property: Callable[[str, object], None]) -> None:
    report = check(*OTHERS[name])
    record_property(name, str(report))
    assert not report.problem, str(report)


@dataclass(frozen=True)
class Mutation:
    """One piece of the protocol switched off, and what then goes wrong in which world."""

    name: str
    parts: Parts
    goes_wrong: str
    scope: Scope


NextStep = Callable[..., Step]


def _next_step(change: Callable[[Ledger, OpenJob, Look, Step], Step]) -> NextStep:
    """The real one, with another answer in some cases."""

    def next_step(ledger: Ledger, open_job: OpenJob, look: Look, *, now: int) -> Step:
        return change(ledger, open_job, look, protocol.next_step(ledger, open_job, look, now=now))

    return next_step


def _close_with_the_file_there(_ledger: Ledger, _job: OpenJob, _look: Look, step: Step) -> Step:
    return Step.CLOSE if step is Step.DELETE_FILE else step


def _close_while_pods_run(_ledger: Ledger, job: OpenJob, look: Look, step: Step) -> Step:
    return Step.CLOSE if step is Step.WAIT and not look.has_batch_file and look.job is None else step


def _create_what_was_abandoned(_ledger: Ledger, job: OpenJob, look: Look, step: Step) -> Step:
    gone = look.job is None and look.has_batch_file
    return Step.CREATE if gone and job.phase is Phase.ABANDONED else step


def _create_what_was_created(_ledger: Ledger, job: OpenJob, look: Look, step: Step) -> Step:
    gone = look.job is None and look.has_batch_file and not look.has_pods
    return Step.CREATE if gone and job.phase is Phase.CREATED else step


def _delete_the_file_when_only_pods_are_seen(_ledger: Ledger, job: OpenJob, look: Look, step: Step) -> Step:
    ended = look.job is None and look.has_pods and not look.has_unfinished_pods
    return Step.DELETE_FILE if ended and look.has_batch_file else step


def _delete_a_stuck_job_first(_ledger: Ledger, _job: OpenJob, look: Look, step: Step) -> Step:
    stuck = look.job is not None and not look.job.finished and look.job.failure_target_since is not None
    return Step.DELETE_JOB if stuck and step is Step.DELETE_FILE else step


def _settle_before_it_is_marked(ledger: Ledger, open_job: OpenJob, look: Look, *, now: int) -> Step:
    seen = open_job if look.job is None else replace(open_job, phase=Phase.CREATED)
    return protocol.next_step(ledger, seen if open_job.phase is Phase.CLAIMED else open_job, look, now=now)


def _settle_whatever_runs(ledger: Ledger, open_job: OpenJob, look: Look, *, now: int) -> Step:
    return protocol.next_step(ledger, open_job, replace(look, unfinished_indexes=frozenset()), now=now)


def _ended_whatever_runs(open_job: OpenJob, look: Look) -> frozenset[int]:
    return protocol.ended_indexes(open_job, replace(look, unfinished_indexes=frozenset()))


def _claim_by_any_generation(ledger: Ledger, jobs: list[OpenJob], *, generation: int, now: int) -> Ledger:
    lenient = replace(ledger, generation=generation, enabled=True)
    lenient = transitions.claim(lenient, jobs, generation=generation, now=now)
    return replace(lenient, generation=ledger.generation, enabled=ledger.enabled)


def _acknowledge_at_once(ledger: Ledger, generation: int) -> bool:
    return ledger.generation == generation


def _apply_in_any_order(state: UserState, outcome: outcomes.Outcome) -> UserState:
    return outcomes.apply(replace(state, last_claim=0), outcome)


def _sweep_nothing(_files: frozenset[str], _ledger: Ledger) -> frozenset[str]:
    return frozenset()


def _rebuild_without_pods(
    files: list[BatchFile], unreadable: object, jobs: object, _running: object, **more: object
) -> Ledger:
    return rebuild.rebuild(files, unreadable, jobs, (), **more)  # type: ignore[arg-type]


def _rebuild_to_create(*remains: object, **more: object) -> Ledger:
    made = rebuild.rebuild(*remains, **more)  # type: ignore[arg-type]
    again = (replace(job, phase=Phase.CLAIMED) if job.phase is Phase.ABANDONED else job for job in made.jobs)
    return replace(made, jobs=tuple(again))


RACES = replace(IN_TURN, checks_totals=False)
CALM = replace(RACES, may_delete_by_hand=False)
SINGLE = Scope(jobs=ONE_JOB, users=1, may_fail=False)
WIDE = Scope(jobs=SIDE_BY_SIDE, may_fail=False, may_disable=False)
LOSING = replace(RACES, may_lose_ledger=True)
TWICE = "is worked on by pods of"

MUTATIONS = (
    Mutation("no look after the batch file is deleted", Parts(looks_again_after_deleting_file=False), TWICE, RACES),
    Mutation(
        "an index is closed with the batch file there",
        Parts(next_step=_next_step(_close_with_the_file_there)),
        TWICE,
        RACES,
    ),
    Mutation("closed while pods of it run", Parts(next_step=_next_step(_close_while_pods_run)), TWICE, RACES),
    Mutation("pods are looked at first", Parts(look_order=("pods", "file", "job")), TWICE, RACES),
    Mutation("the batch file is looked at last", Parts(look_order=("job", "pods", "file")), TWICE, RACES),
    Mutation(
        "claims without compare-and-swap",
        Parts(claims_by_compare_and_swap=False, can_no_longer_be_claimed=_sweep_nothing),
        TWICE,
        CALM,
    ),
    Mutation("claims by an older generation", Parts(claim=_claim_by_any_generation), "claimed after", SINGLE),
    Mutation(
        "acknowledged before claims are created or abandoned",
        Parts(is_acknowledged=_acknowledge_at_once),
        "still to be created",
        SINGLE,
    ),
    Mutation(
        "abandoned claims are created",
        Parts(next_step=_next_step(_create_what_was_abandoned)),
        "about to be created, though",
        SINGLE,
    ),
    Mutation(
        "a Job that vanished is created again",
        Parts(next_step=_next_step(_create_what_was_created)),
        "created again",
        WIDE,
    ),
    Mutation("results of old claims are applied", Parts(apply=_apply_in_any_order), "is applied after", RACES),
    Mutation(
        "failures are not counted before the batch file goes",
        Parts(counts_before_deleting_file=False),
        "counts as returned, but the store says failed",
        replace(SINGLE, may_fail=True),
    ),
    Mutation("results are stored after the close", Parts(stores_results_first=False), "but the store says", WIDE),
    Mutation("Jobs that land late stay", Parts(deletes_unmatched_jobs=False), "can't be finished", SINGLE),
    Mutation("leftovers are not swept", Parts(can_no_longer_be_claimed=_sweep_nothing), "can't be finished", SINGLE),
    Mutation(
        "batch files are listed after the ledger is written", Parts(lists_files_before_writing=False), "swept", SINGLE
    ),
    Mutation("claims while a batch file is missing", Parts(needs_every_batch_file=False), TWICE, RACES),
    Mutation("no look at the ledger before a POST", Parts(reads_ledger_before_create=False), "created again", WIDE),
    Mutation(
        "an index is closed of a Job that is not marked", Parts(next_step=_settle_before_it_is_marked), TWICE, WIDE
    ),
    Mutation(
        "an index is closed though a pod of an earlier Job runs",
        Parts(next_step=_settle_whatever_runs, ended_indexes=_ended_whatever_runs),
        TWICE,
        WIDE,
    ),
    Mutation(
        "a claim of which only pods were seen is discarded",
        Parts(next_step=_next_step(_delete_the_file_when_only_pods_are_seen)),
        "but the store says",
        SINGLE,
    ),
    Mutation("a ledger is made anew without a look at pods", Parts(rebuild=_rebuild_without_pods), TWICE, LOSING),
    Mutation("a batch file without a Job is created", Parts(rebuild=_rebuild_to_create), TWICE, LOSING),
    Mutation("the known residue is let in", Parts(), TWICE, replace(WIDE, lets_residue_in=True)),
    Mutation(
        "a stuck Job is deleted before its batch file",
        Parts(next_step=_next_step(_delete_a_stuck_job_first)),
        TWICE,
        replace(SINGLE, may_expire=True),
    ),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_step_is_needed(mutation: Mutation) -> None:
    report = check(mutation.scope, mutation.parts)
    print(report)
    assert mutation.goes_wrong in report.problem, str(report)
