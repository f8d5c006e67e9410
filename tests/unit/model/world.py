"""The world of the model: what the API server, the store and two operators remember, and what happens by itself.

A world is a tuple of tuples. A rule takes a world and yields moves: a sentence, the next world, and whether it was a
fault (something that nobody may count on happening).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from unit.model.functions import Functions, Remains

NOT_STARTED, RUNNING, SUCCEEDED, FAILED = "-RSF"
COMING = "C"
"""A pod of a deleted Job that the Job controller, not yet aware of the deletion, is about to create."""

MOST_POSTS = 2
"""POSTs of one Job on their way at once. A third one would only land like the second."""


class Job(NamedTuple):
    """A Job object. `pods` has the state of each index's pod."""

    uid: int
    pods: tuple[str, ...]
    is_failing: bool = False
    """FailureTarget: past its deadline, or a node is lost. Nothing of it starts any more."""
    is_deleting: bool = False
    """Deleted in the foreground: it stays until its pods are gone."""

    @property
    def is_finished(self) -> bool:
        return (self.is_failing or NOT_STARTED not in self.pods) and RUNNING not in self.pods


class Claim(NamedTuple):
    """Everything in the API server that has the name of one claim. `batches` are the users of each index."""

    batches: tuple[tuple[int, ...], ...] = ()
    is_claimed: bool = False
    has_file: bool = False
    posts: int = 0
    """POSTs of the Job that are on their way."""
    job: Job | None = None
    strays: tuple[tuple[int, str], ...] = ()
    """Pods that outlive their deleted Job: (index, state)."""
    last_uid: int = 0
    """Of a Job that is gone, while somebody still has it in mind."""
    worked: frozenset[int] = frozenset()
    """Indexes of which a pod of a deleted Job really ended well."""
    has_expired: bool = False
    """A Job of it ran into its deadline, or lost a node."""
    is_late: bool = False
    """Claimed after `enabled: false` was acknowledged."""

    def runs(self) -> Iterator[int]:
        """The index of every running pod."""
        if self.job:
            yield from (index for index, pod in enumerate(self.job.pods) if pod == RUNNING)
        yield from (index for index, pod in self.strays if pod == RUNNING)

    def has_worked(self, index: int) -> bool:
        """Whether a pod of that index really ended well."""
        return index in self.worked or (self.job is not None and self.job.pods[index] == SUCCEEDED)

    def without_job(self) -> "Claim":
        """The Job is deleted; its pods are left to the garbage collector."""
        if self.job is None:
            return self
        lingering = {RUNNING: RUNNING, NOT_STARTED: "" if self.job.is_failing else COMING}
        left = [(index, lingering[pod]) for index, pod in enumerate(self.job.pods) if lingering.get(pod)]
        worked = self.worked | {index for index, pod in enumerate(self.job.pods) if pod == SUCCEEDED}
        strays = tuple(sorted([*self.strays, *left]))
        return self._replace(job=None, last_uid=self.job.uid, strays=strays, worked=worked)

    def without_file(self) -> "Claim":
        return self._replace(has_file=False) if self.is_claimed else UNUSED


UNUSED = Claim()

FORGOTTEN = -1


class World(NamedTuple):
    """A state of everything but the operators' minds."""

    ledger: int
    """Which of the ledgers met so far: see `parts.Functions`."""
    claims: tuple[Claim, ...]
    """By number, from 1 on."""
    users: tuple[int, ...]
    """What the store knows of each user: which of the states met so far."""
    is_acknowledged: bool = False
    """`enabled: false` was acknowledged."""
    lost_ledger: bool = False
    deleted_by_hand: int = 0
    """The claim whose Job somebody deleted. -1: one that is closed by now."""

    def put(self, number: int, claim: Claim) -> "World":
        return self._replace(claims=(*self.claims[: number - 1], claim, *self.claims[number:]))


class Move(NamedTuple):
    sentence: str
    world: World
    is_fault: bool = False
    written: bool = False
    """The ledger was."""
    lost_posts: int = 0
    """Of this claim no POST that somebody means to send is ever sent."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What one run of the check lets happen."""

    jobs: tuple[tuple[tuple[int, ...], ...], ...] = (((0,), (1,)), ((0,),))
    """Each may be claimed once: for each index, its users."""
    users: int = 2
    operators: int = 2
    proposals: int = 3
    may_fail: bool = True
    """Pods may fail."""
    may_disable: bool = True
    may_delete_by_hand: bool = True
    deletes_in_foreground: bool = False
    """That deletion leaves the Job there until its pods are gone."""
    may_expire: bool = False
    """A Job may run into its deadline, or lose a node."""
    may_lose_ledger: bool = False
    """Once; it is then made anew of what is there."""
    may_refuse: bool = False
    """The API server may refuse a Job."""
    may_crash: bool = True
    lets_residue_in: bool = False
    """The one case that is otherwise left out: see `Nature`."""
    checks_totals: bool = True


Rule = Callable[[World], Iterator[Move]]


class Nature:
    """Everything that happens without an operator."""

    def __init__(self, scope: Scope, functions: Functions) -> None:
        self.scope = scope
        self.functions = functions
        self.open_indexes = functions.open_indexes
        self.rules: tuple[Rule, ...] = (
            self.a_post_lands,
            self.a_pod_starts,
            self.a_pod_ends,
            self.a_stray_moves_on,
            self.history_is_pruned,
            self.somebody_deletes_a_job,
            self.a_deleted_job_goes,
            self.a_job_expires,
            self.the_ledger_is_lost,
        )

    def a_post_lands(self, world: World) -> Iterator[Move]:
        for number, claim in enumerate(world.claims, 1):
            if not claim.posts:
                continue
            less = claim._replace(posts=claim.posts - 1)
            if claim.job:
                yield Move(f"A POST of Job {number} finds it there already.", world.put(number, less))
            else:
                # One worker of the Job controller serves one name: what it did for the old Job is done by now.
                strays = tuple(stray for stray in claim.strays if stray[1] != COMING)
                job = Job(claim.last_uid + 1, (NOT_STARTED,) * len(claim.batches))
                landed = less._replace(job=job, strays=strays)
                yield Move(f"A POST of Job {number} lands.", world.put(number, landed))

    def a_pod_starts(self, world: World) -> Iterator[Move]:
        for number, claim in enumerate(world.claims, 1):
            if not (claim.job and claim.has_file) or claim.job.is_failing:
                continue  # without its batch file a pod waits for ever
            for index, pod in enumerate(claim.job.pods):
                if pod == NOT_STARTED:
                    yield Move(
                        f"The pod of index {index} of Job {number} starts.",
                        world.put(number, _with_pod(claim, claim.job, index, RUNNING)),
                    )

    def a_pod_ends(self, world: World) -> Iterator[Move]:
        for number, claim in enumerate(world.claims, 1):
            if claim.job is None:
                continue
            for index, pod in enumerate(claim.job.pods):
                if pod != RUNNING:
                    continue
                ended = _with_pod(claim, claim.job, index, SUCCEEDED)
                yield Move(f"The pod of index {index} of Job {number} succeeds.", world.put(number, ended))
                if self.scope.may_fail or claim.job.is_failing:
                    ended = _with_pod(claim, claim.job, index, FAILED)
                    yield Move(f"The pod of index {index} of Job {number} fails.", world.put(number, ended))

    def a_stray_moves_on(self, world: World) -> Iterator[Move]:
        for number, claim in enumerate(world.claims, 1):
            for at, (index, pod) in enumerate(claim.strays):
                others = (*claim.strays[:at], *claim.strays[at + 1 :])
                gone = claim._replace(strays=others)
                which = f"The pod of index {index} of a deleted Job {number}"
                yield Move(f"{which} is gone.", world.put(number, gone))
                if pod == COMING and claim.has_file:
                    started = claim._replace(strays=tuple(sorted([*others, (index, RUNNING)])))
                    yield Move(f"{which} starts all the same.", world.put(number, started))

    def history_is_pruned(self, world: World) -> Iterator[Move]:
        for number, claim in enumerate(world.claims, 1):
            if claim.job and claim.job.is_finished and self.open_indexes(world.ledger, number) is None:
                pruned = world.put(number, claim.without_job())
                yield Move(f"Job {number} is history and is pruned.", pruned)

    def somebody_deletes_a_job(self, world: World) -> Iterator[Move]:
        if not self.scope.may_delete_by_hand or world.deleted_by_hand:
            return
        for number, claim in enumerate(world.claims, 1):
            if claim.job is None or self.open_indexes(world.ledger, number) is None:
                continue
            deleted = claim.without_job()
            if self.scope.deletes_in_foreground:
                deleted = claim._replace(job=claim.job._replace(is_deleting=True))
            after = world.put(number, deleted)._replace(deleted_by_hand=number)
            yield self._known_residue(Move(f"Somebody deletes Job {number}.", after, is_fault=True), claim, number)

    def a_deleted_job_goes(self, world: World) -> Iterator[Move]:
        for number, claim in enumerate(world.claims, 1):
            if claim.job and claim.job.is_deleting and RUNNING not in claim.job.pods:
                gone = Move(f"Job {number}, deleted before, is gone.", world.put(number, claim.without_job()))
                yield self._known_residue(gone, claim, number)

    def _known_residue(self, move: Move, claim: Claim, number: int) -> Move:
        """The one case that is left out: a second POST is on its way while a Job of several indexes is deleted by hand,
        and one of these has ended, so that it is closed or is just being closed. So no POST is on its way here. One
        that somebody decides on after the deletion is not left out."""
        pods = claim.job.pods if claim.job else ()
        still_open = self.open_indexes(move.world.ledger, number) or frozenset()
        has_ended = len(still_open) < len(claim.batches) or {SUCCEEDED, FAILED} & set(pods)
        if self.scope.lets_residue_in or len(claim.batches) == 1 or not has_ended:
            return move
        world = move.world.put(number, move.world.claims[number - 1]._replace(posts=0))
        return move._replace(world=world, lost_posts=number)

    def a_job_expires(self, world: World) -> Iterator[Move]:
        if not self.scope.may_expire:
            return
        for number, claim in enumerate(world.claims, 1):
            if claim.job and not claim.job.is_failing and not claim.job.is_finished:
                failing = claim._replace(job=claim.job._replace(is_failing=True), has_expired=True)
                yield Move(f"Job {number} runs into its deadline.", world.put(number, failing), is_fault=True)

    def the_ledger_is_lost(self, world: World) -> Iterator[Move]:
        """Whoever makes it anew reads files, Jobs and then the spec; what happens in between happens after it here: in
        a ledger that was just made nothing is claimed and nothing is to be created."""
        if not self.scope.may_lose_ledger or world.lost_ledger:
            return
        remains = tuple(
            Remains(
                number,
                claim.batches,
                has_file=claim.has_file,
                has_job=claim.job is not None,
                is_finished=claim.job is not None and claim.job.is_finished,
                runs=any(True for _ in claim.runs()),
            )
            for number, claim in enumerate(world.claims, 1)
            if claim.has_file or claim.job or claim.strays
        )
        claims = tuple(claim._replace(is_claimed=claim.is_claimed or claim.has_file) for claim in world.claims)
        ledger = self.functions.rebuilt(world.ledger, remains)
        after = world._replace(ledger=ledger, claims=claims, lost_ledger=True)
        yield Move("The ledger is lost, and made anew of what is there.", after, is_fault=True, written=True)


def _with_pod(claim: Claim, job: Job, index: int, pod: str) -> Claim:
    return claim._replace(job=job._replace(pods=(*job.pods[:index], pod, *job.pods[index + 1 :])))
