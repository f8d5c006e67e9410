"""How often the API server is written to, by what a turn of the operator does: the steps of the protocol, counted.

docs/explanation/architecture.md has the steps, and docs/reference/scale.md what was measured: 2.4 to 2.5 writes for
each user synced in batches of ten, of which 0.5 are the operator's own.
"""

from dataclasses import dataclass, fields

from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.pace import COUNTERS_EVERY

POD_WRITES = 15.5
"""Of each pod, by the cluster: 6 events, 5 or 6 changes of status, made, bound, released, deleted."""
JOB_WRITES = 4
"""Changes of each Job's status by the Job controller."""

_STATE_BYTES = 70
"""Of one user in a state ConfigMap, among others of its batch."""
_OVERHEAD = 700
_SMALLEST_FOLD = 4 * 1024
_SMALLEST_RECENT = 32 * 1024
_LARGEST_PART = 512 * 1024
_AIM_OF_BASE = 128 * 1024


@dataclass(slots=True)
class Writes:
    """Successful POST, PUT, PATCH and DELETE requests, by what they write."""

    jobs: int = 0
    """Created and, past `jobs.history`, deleted."""
    batch_files: int = 0
    """Created and deleted."""
    ledger: int = 0
    status: int = 0
    state: int = 0
    """Of the state ConfigMaps; none with a Redis store."""
    cluster: int = 0
    """By Kubernetes itself for the pods and Jobs."""

    @property
    def operator(self) -> int:
        return self.jobs + self.batch_files + self.ledger + self.status + self.state

    @property
    def total(self) -> int:
        return self.operator + self.cluster

    def __add__(self, other: "Writes") -> "Writes":
        return Writes(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


class WriteCounter:
    """What each turn of one policy writes."""

    def __init__(self, spec: SyncPolicySpec, users: int) -> None:
        self._history = spec.jobs.history
        self._kept = {True: 0, False: 0}
        self._states = StateParts(users) if spec.store.config_map is not None else None
        self._status_at = -COUNTERS_EVERY
        """Of the last write, which may be still to come."""
        self._cluster = 0.0

    def settled(self, to: Writes, *, users: int, closed: tuple[int, int], has_doubt: bool) -> None:
        """Results of so many users are stored, and so many Jobs ended with that: well, and otherwise.

        has_doubt: one of these failed in part, which is noted in the ledger before its batch file goes.
        """
        to.ledger += 2 if has_doubt else 1
        if self._states is not None:
            to.state += self._states.writes(users)
        for is_success, count, limit in (
            (True, closed[0], self._history.succeeded),
            (False, closed[1], self._history.failed),
        ):
            to.batch_files += count
            kept = min(count, limit - self._kept[is_success])
            self._kept[is_success] += kept
            to.jobs += count - kept
            self._by_cluster(to, count * JOB_WRITES)

    def claimed(self, to: Writes, *, jobs: int, batches: int) -> None:
        """So many Jobs are claimed in one turn: their batch files, the claim, the Jobs, and that they were created."""
        to.batch_files += jobs
        to.jobs += jobs
        to.ledger += 2 if jobs else 1  # without Jobs only K was fixed
        self._by_cluster(to, batches * POD_WRITES)

    def status_changed(self, to: Writes, now: int) -> None:
        """Counters are written together: now, or once the last write is long enough ago."""
        if now > self._status_at:
            self._status_at = max(now, self._status_at + COUNTERS_EVERY)
            to.status += 1

    def _by_cluster(self, to: Writes, count: float) -> None:
        self._cluster += count
        to.cluster += int(self._cluster)
        self._cluster -= int(self._cluster)


class StateParts:
    """How many writes the states of a ConfigMap store take: `stores/state_plan.py` with sizes in place of states."""

    def __init__(self, users: int) -> None:
        self._everyone = users * _STATE_BYTES
        self._journal = self._spent = self._recent = self._base = 0

    def writes(self, users: int) -> int:
        """Results of so many users are stored at once."""
        self._journal += users * _STATE_BYTES
        self._spent += self._journal + _OVERHEAD
        if self._journal <= _LARGEST_PART and self._spent <= max(_SMALLEST_FOLD, self._recent + _OVERHEAD):
            return 1
        self._recent = min(self._recent + self._journal - users * _STATE_BYTES, self._everyone)
        self._journal = users * _STATE_BYTES
        self._spent = self._journal + _OVERHEAD
        if self._recent <= min(_LARGEST_PART, max(_SMALLEST_RECENT, self._base // 2)):
            return 2
        self._base, self._recent = min(self._base + self._recent, self._everyone), 0
        return 2 + -(-self._base // _AIM_OF_BASE)
