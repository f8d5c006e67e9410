"""What can't matter any more is forgotten, so that fewer worlds do for the same behaviour."""

from periodic_sync.core.protocol import Step
from unit.model.functions import DISABLED, Functions
from unit.model.laws import check_acknowledgement
from unit.model.memory import Interest
from unit.model.world import COMING, FORGOTTEN, UNUSED, Claim, Scope, World

Interests = tuple[Interest, ...]


class Tidiness:
    def __init__(self, scope: Scope, functions: Functions) -> None:
        self._scope, self._functions = scope, functions

    def tidy(self, world: World, interests: Interests) -> World:
        """`interests`: of the operators."""
        claims = tuple(
            self._claimed(world, number, claim, interests)
            if claim.is_claimed
            else self._proposal(world, number, claim, interests)
            for number, claim in enumerate(world.claims, 1)
        )
        by_hand = world.deleted_by_hand
        if by_hand > 0 and self._functions.entry(world.ledger, by_hand) is None:
            by_hand = FORGOTTEN
        users = tuple(self._user(world, user, known) for user, known in enumerate(world.users))
        return World(world.ledger, claims, users, self._is_acknowledged(world), world.lost_ledger, by_hand)

    def _is_acknowledged(self, world: World) -> bool:
        """As soon as it can be: what must not happen after it must not happen after it any later either."""
        if world.is_acknowledged or not self._functions.is_acknowledged(world.ledger, DISABLED):
            return world.is_acknowledged
        check_acknowledgement(self._functions.ledger(world.ledger))
        return True

    def _proposal(self, world: World, number: int, claim: Claim, interests: Interests) -> Claim:
        """A batch file that nobody is about to claim, and that the next write of the ledger shows to be a leftover, is
        as good as swept: nothing ever looks at it."""
        is_leftover = not any(each.claim == number for each in interests)
        return UNUSED if is_leftover and self._functions.doomed(frozenset({number}), world.ledger) else claim

    def _claimed(self, world: World, number: int, claim: Claim, interests: Interests) -> Claim:
        is_open = self._functions.entry(world.ledger, number) is not None
        uids = {each.uid for each in interests if each.claim == number}
        if not is_open and self._is_dead(number, claim, interests):
            return Claim(claim.batches, is_claimed=True)
        if claim.job is None:
            claim = claim._replace(last_uid=max(uids, default=0))
        elif claim.job.uid not in uids:
            # One UID is as good as another that nobody has in mind.
            claim = claim._replace(job=claim.job._replace(uid=min({1, 2, 3} - uids)), last_uid=0)
        if not uids:
            # How pods of a deleted Job ended matters to those only who saw it in time.
            claim = claim._replace(worked=frozenset())
        if claim.posts > 1 and claim.job is not None and not self._may_lose_job(world, number):
            # All but one, which may land once the batch file is gone, find the Job there already.
            claim = claim._replace(posts=1)
        return claim if claim.has_file else _without_file(claim)

    def _may_lose_job(self, world: World, number: int) -> bool:
        """While its batch file is there."""
        by_hand = self._scope.may_delete_by_hand and not world.deleted_by_hand
        return by_hand or Step.DELETE_JOB in self._functions.steps_with_file(world.ledger, number)

    def _is_dead(self, number: int, claim: Claim, interests: Interests) -> bool:
        """Of a closed claim without batch file, pods, and operators that have it in mind nothing can come any more:
        Jobs that still land do so without a pod ever starting, and are deleted by whoever sees them."""
        return (
            not (claim.has_file or claim.strays or any(claim.runs()))
            and self._functions.parts.deletes_unmatched_jobs
            and not any(number == each.claim or number in each.remembered for each in interests)
        )

    def _user(self, world: World, user: int, known: int) -> int:
        """Once a claim is closed nobody asks any more how it ended."""
        number = self._functions.last_claim(known)
        still_open = self._functions.open_indexes(world.ledger, number) if number else None
        if still_open and any(user in world.claims[number - 1].batches[index] for index in still_open):
            return known
        return self._functions.forget(known)


def _without_file(claim: Claim) -> Claim:
    """No pod of it can start any more: those to come never do, and a second late POST does the same as the first."""
    strays = tuple(stray for stray in claim.strays if stray[1] != COMING)
    return claim._replace(strays=strays, posts=min(claim.posts, 1))
