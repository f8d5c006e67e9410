"""Names that users, manifests and other programs rely on: the resource, labels, annotations and reason codes."""

from enum import StrEnum

GROUP = "sync.moonx.farm"
VERSION = "v1alpha1"
KIND = "SyncPolicy"
PLURAL = "syncpolicies"
API_VERSION = f"{GROUP}/{VERSION}"

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "periodic-sync"
POLICY_LABEL = f"{GROUP}/policy"
PRIORITY_LABEL = f"{GROUP}/priority"
STORE_LABEL = f"{GROUP}/store"
ROLE_LABEL = f"{GROUP}/role"

SYNC_USERS_ANNOTATION = f"{GROUP}/sync-users"
REQUESTED_AT_ANNOTATION = f"{GROUP}/requested-at"

WORKER_CONTAINER = "worker"


class Role(StrEnum):
    """What an owned ConfigMap holds: the value of `ROLE_LABEL`."""

    LEDGER = "ledger"
    BATCH = "batch"
    STATE = "state"


class Priority(StrEnum):
    """How urgent a user's or a Job's sync is; `rank` orders them, most urgent lowest."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        return ("high", "medium", "low").index(self.value)


class Reason(StrEnum):
    """Why a user is, or is not, synced now. Every user has exactly one: the first that matches, in this order."""

    POLICY_DISABLED = "PolicyDisabled"
    STORE_NOT_READY = "StoreNotReady"
    IN_FLIGHT = "InFlight"
    DUE_REQUESTED = "DueRequested"
    DUE_BULK = "DueBulk"
    INACTIVE = "Inactive"
    BACKING_OFF = "BackingOff"
    DUE_STALE = "DueStale"
    DUE_REGULAR = "DueRegular"
    NOT_DUE = "NotDue"
    WORKER_FAILING = "WorkerFailing"
    RATE_LIMITED = "RateLimited"
    WAITING_FOR_CAPACITY = "WaitingForCapacity"


class Condition(StrEnum):
    """Types of status conditions."""

    READY = "Ready"
    STORE_READY = "StoreReady"
    STALLED = "Stalled"
