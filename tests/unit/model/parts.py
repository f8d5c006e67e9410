"""What is under check: the functions that the controller runs, and the habits of the controller they rely on."""

from collections.abc import Callable
from dataclasses import dataclass

from periodic_sync.core import outcomes, protocol, rebuild, status, transitions
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.protocol import Step
from periodic_sync.core.users import UserState


@dataclass(frozen=True, slots=True)
class Parts:
    """The mutation tests replace one of these at a time."""

    claim: Callable[..., Ledger] = transitions.claim
    mark_created: Callable[..., Ledger] = transitions.mark_created
    abandon: Callable[..., Ledger] = transitions.abandon
    count: Callable[..., Ledger] = transitions.count
    close: Callable[..., Ledger] = transitions.close
    follow_spec: Callable[..., Ledger] = transitions.follow_spec
    next_step: Callable[..., Step] = protocol.next_step
    ended_indexes: Callable[..., frozenset[int]] = protocol.ended_indexes
    can_no_longer_be_claimed: Callable[..., frozenset[str]] = protocol.can_no_longer_be_claimed
    is_acknowledged: Callable[..., bool] = status.is_acknowledged
    apply: Callable[..., UserState] = outcomes.apply
    rebuild: Callable[..., Ledger] = rebuild.rebuild
    look_order: tuple[str, str, str] = ("file", "job", "pods")
    claims_by_compare_and_swap: bool = True
    reads_ledger_before_create: bool = True
    looks_again_after_deleting_file: bool = True
    marks_created: bool = True
    stores_results_first: bool = True
    counts_before_deleting_file: bool = True
    deletes_unmatched_jobs: bool = True
    lists_files_before_writing: bool = True
    needs_every_batch_file: bool = True
    gives_up_what_has_not_started: bool = False
    """Whether a Job of which no pod has started counts as stuck. It may start in that very moment."""
    shows_pods_to_come: bool = False
    """Whether a pod that is on no node yet is among those that a look shows. Either may be: it may not be made yet."""
