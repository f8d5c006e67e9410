"""What a simulation assumes of everything that is not the operator: pods, the worker, the sync service."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from periodic_sync.api.durations import SECOND
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.batch_files import Batch, BatchFile
from periodic_sync.core.outcomes import FAILED_UNEXPLAINED, SUCCEEDED, Verdict, failed_users


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Durations in milliseconds. Every batch of the same size takes the same time."""

    sync: int = SECOND
    """One user's sync: one call of the sync service, retries included."""
    pod_start: int = 4 * SECOND
    """From the claim to the first call, and from the last to the operator's notice: the pod's start and its end."""
    concurrency: int | None = None
    """Syncs that one pod does at once. None: `worker.http.concurrency`; 1 with an image of one's own."""
    requests_per_second: int | None = None
    """Of one pod. None: `worker.http.requestsPerSecond`, which may be no limit."""
    failing: float = 0.0
    """The share of syncs that fail, 0 to 1; the worker says who."""
    rest: int = SECOND // 5
    """From one turn of the operator to the next, at least: what ends meanwhile shares a turn."""
    seed: int = 0
    """Other seeds make other users fail."""

    def __post_init__(self) -> None:
        if self.sync < 0 or self.pod_start < 0 or self.rest < 0:
            raise ValueError("durations must not be negative: write how long a sync and a pod's start take")
        if not 0 <= self.failing <= 1:
            raise ValueError(f"failing is a share from 0 to 1, not {self.failing}: write 0.05 for five in a hundred")
        for name, value in (("concurrency", self.concurrency), ("requests_per_second", self.requests_per_second)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")


def batch_time(size: int, spec: SyncPolicySpec, assumed: Assumptions) -> int:
    """From the claim of a batch of that many users to its end, were there no deadline, in milliseconds."""
    http = spec.worker.http
    at_once = assumed.concurrency or (http.concurrency if http is not None else 1)
    pace = assumed.requests_per_second or (http.requests_per_second if http is not None else None)
    calls = -(-size // at_once) * assumed.sync
    # The first call starts at once, each further one when the pace allows it.
    paced = 0 if pace is None else (size - 1) * SECOND // pace + assumed.sync
    return assumed.pod_start + max(calls, paced)


def is_too_long(size: int, spec: SyncPolicySpec, assumed: Assumptions) -> bool:
    """Whether a batch of that many users is ended by `jobs.deadline`."""
    return batch_time(size, spec, assumed) - assumed.pod_start > spec.jobs.deadline


def worker_of(
    spec: SyncPolicySpec, assumed: Assumptions
) -> tuple[Callable[[Batch], int], Callable[[BatchFile, int, int], Verdict]]:
    """How long each batch takes, and how it ends."""

    def work(batch: Batch) -> int:
        return min(batch_time(len(batch.users), spec, assumed), assumed.pod_start + spec.jobs.deadline)

    def fate(file: BatchFile, index: int, _now: int) -> Verdict:
        users = file.batches[index].users
        if is_too_long(len(users), spec, assumed):
            return FAILED_UNEXPLAINED
        if not assumed.failing:
            return SUCCEEDED
        ids = (user.user_id for user in users)
        failed = [each for each in ids if chance(assumed.seed, each, file.claim) < assumed.failing]
        return failed_users(failed) if failed else SUCCEEDED

    return work, fate


def chance(*of: object) -> float:
    """A number from 0 up to 1, by chance, and the same for the same words."""
    return int.from_bytes(blake2b(repr(of).encode(), digest_size=6).digest(), "big") / (1 << 48)
