"""What can't matter any more is forgotten, and what is alike is put in order: fewer states for the same behaviour."""

from unit.model.minds import Minds, Operator
from unit.model.world import COMING, FORGOTTEN, UNUSED, Claim, State


class Tidiness:
    def __init__(self, minds: Minds) -> None:
        self._minds, self._functions = minds, minds.functions
        self._ranks: dict[Operator, int] = {}

    def tidy(self, state: State) -> State:
        claims = list(state.claims)
        for number, claim in enumerate(claims, 1):
            if not claim.is_claimed:
                claims[number - 1] = self._proposal(state, number, claim)
            else:
                claims[number - 1] = self._closed(state, number, self._without_evidence(state, number, claim))
        by_hand, hand_is_over = state.deleted_by_hand, False
        if by_hand > 0:
            hand_is_over = self._functions.entry(state.ledger, by_hand) is None
        return State(
            state.ledger,
            tuple(claims),
            tuple(self._user(state, claims, user, known) for user, known in enumerate(state.users)),
            state.operators,
            state.is_acknowledged,
            FORGOTTEN if hand_is_over else by_hand,
        )

    def in_order(self, state: State) -> State:
        """The operators are alike: which is which does not matter. The same goes for places without a proposal."""
        ranks = self._ranks
        operators = tuple(sorted(state.operators, key=lambda each: ranks.setdefault(each, len(ranks))))
        return state if operators == state.operators else state._replace(operators=operators)

    def _proposal(self, state: State, number: int, claim: Claim) -> Claim:
        """A batch file that nobody is about to claim, and that the next write of the ledger shows to be a leftover, is
        as good as swept: nothing ever looks at it."""
        is_leftover = not any(each.claim == number for each in state.operators)
        return UNUSED if is_leftover and self._functions.doomed(frozenset({number}), state.ledger) else claim

    def _without_evidence(self, state: State, number: int, claim: Claim) -> Claim:
        """How pods of a deleted Job ended matters to those only who saw it in time. And without a batch file no pod can
        start any more: those to come never do, and a second late POST does the same as the first."""
        if claim.worked and not any(each.claim == number for each in state.operators):
            claim = claim._replace(worked=frozenset())
        if claim.has_file or not (claim.strays or claim.posts):
            return claim
        strays = tuple(stray for stray in claim.strays if stray[1] != COMING)
        return claim._replace(strays=strays, posts=min(claim.posts, 1))

    def _closed(self, state: State, number: int, claim: Claim) -> Claim:
        """A closed claim without batch file, pods, and operators that have it in mind: Jobs that still land do so
        without a pod ever starting, and are deleted by whoever sees them. Nobody else takes notice."""
        if (
            claim.has_file
            or claim.strays
            or any(claim.runs())
            or self._functions.entry(state.ledger, number) is not None
            or not self._functions.parts.deletes_unmatched_jobs
            or any(self._minds.has_in_mind(each, number) for each in state.operators)
        ):
            return claim
        return Claim(claim.batches, is_claimed=True)

    def _user(self, state: State, claims: list[Claim], user: int, known: int) -> int:
        """Once a claim is closed nobody asks any more how it ended."""
        number = self._functions.last_claim(known)
        still_open = self._functions.open_indexes(state.ledger, number) if number else None
        if still_open and any(user in claims[number - 1].batches[index] for index in still_open):
            return known
        return self._functions.forget(known)
