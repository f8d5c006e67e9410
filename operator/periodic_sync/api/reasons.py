"""The one-word causes that people and their alerts rely on: of conditions, and of Events on a SyncPolicy."""

from enum import StrEnum
from typing import NamedTuple

from periodic_sync.api.names import Condition


class ConditionReason(StrEnum):
    """`reason` of a status condition. An Event has the same when the condition turns."""

    SCHEDULING = "Scheduling"
    PAUSED = "Paused"
    STORE_NOT_READY = "StoreNotReady"
    WORKER_FAILING = "WorkerFailing"
    JOB_REFUSED = "JobRefused"
    REBUILDING_LEDGER = "RebuildingLedger"
    STALLED = "Stalled"
    READABLE = "Readable"
    NOT_READY = "NotReady"
    NOT_READ = "NotRead"
    UNKNOWN_TIME_ZONE = "UnknownTimeZone"
    POD_TEMPLATE_NOT_FOUND = "PodTemplateNotFound"
    WORKER_IMAGE_UNKNOWN = "WorkerImageUnknown"
    INVALID_SPEC = "InvalidSpec"
    REQUEST_REFUSED = "RequestRefused"


class EventReason(StrEnum):
    """`reason` of an Event that no condition has."""

    REQUEST_QUEUED = "RequestQueued"
    UNKNOWN_USERS = "UnknownUsers"
    REQUEST_DROPPED = "RequestDropped"
    REQUEST_COMPLETED = "RequestCompleted"
    SCHEDULING_INTERRUPTED = "SchedulingInterrupted"


class ConditionMeaning(NamedTuple):
    """What a condition says when it stands so."""

    type: Condition
    status: str
    reason: ConditionReason
    meaning: str


class EventMeaning(NamedTuple):
    """kind: Normal or Warning."""

    kind: str
    reason: EventReason
    meaning: str


CONDITION_MEANINGS = tuple(
    ConditionMeaning(*row)
    for row in (
        (Condition.READY, "True", ConditionReason.SCHEDULING, "users are synced as the spec says"),
        (
            Condition.READY,
            "True",
            ConditionReason.PAUSED,
            "`spec.enabled` is false: no batch starts, those claimed before run to their end",
        ),
        (
            Condition.READY,
            "False",
            ConditionReason.STALLED,
            "somebody has to correct something: the condition Stalled says what",
        ),
        (
            Condition.READY,
            "False",
            ConditionReason.REBUILDING_LEDGER,
            "the policy's ledger can't be read or made, or waits for what is left of a deleted policy of that name",
        ),
        (
            Condition.READY,
            "False",
            ConditionReason.STORE_NOT_READY,
            "the user records can't be relied on, so nothing is decided: see StoreReady",
        ),
        (
            Condition.READY,
            "False",
            ConditionReason.WORKER_FAILING,
            "three batches in a row synced nobody, so only a probe is sent every 30 s; or worker pods can't start",
        ),
        (
            Condition.READY,
            "False",
            ConditionReason.JOB_REFUSED,
            "the API server refuses Jobs, or gives no answer: tried again after 30 s, then ever later, up to 5 min",
        ),
        (
            Condition.STORE_READY,
            "True",
            ConditionReason.READABLE,
            "the records can be read; the message names what was skipped, and warns of limits that are near",
        ),
        (
            Condition.STORE_READY,
            "False",
            ConditionReason.NOT_READY,
            "they can't, and the message says why: a missing ConfigMap, a Redis that is away, a prefix in use",
        ),
        (Condition.STORE_READY, "Unknown", ConditionReason.NOT_READ, "nobody has tried yet"),
        (
            Condition.STALLED,
            "True",
            ConditionReason.UNKNOWN_TIME_ZONE,
            "`marketHours.timeZone` is no name of the IANA database",
        ),
        (
            Condition.STALLED,
            "True",
            ConditionReason.POD_TEMPLATE_NOT_FOUND,
            "`worker.podTemplate.name` names nothing in the policy's namespace",
        ),
        (
            Condition.STALLED,
            "True",
            ConditionReason.WORKER_IMAGE_UNKNOWN,
            "the operator was started without `WORKER_IMAGE`, and the spec names no image",
        ),
        (
            Condition.STALLED,
            "True",
            ConditionReason.INVALID_SPEC,
            "a spec from an older CRD, which this operator can't work with",
        ),
        (
            Condition.STALLED,
            "True",
            ConditionReason.REQUEST_REFUSED,
            "the API server refuses what the operator asks, such as for want of a right",
        ),
    )
)

EVENT_MEANINGS = (
    EventMeaning("Normal", EventReason.REQUEST_QUEUED, "a manual sync was taken up; its users are due"),
    EventMeaning("Normal", EventReason.REQUEST_COMPLETED, "each user of a manual sync was synced or failed"),
    EventMeaning("Warning", EventReason.UNKNOWN_USERS, "a manual sync names users that the store does not have"),
    EventMeaning(
        "Warning",
        EventReason.REQUEST_DROPPED,
        "a manual sync is over: the annotations that named its users changed",
    ),
    EventMeaning(
        "Warning",
        EventReason.SCHEDULING_INTERRUPTED,
        "for how long nothing was scheduled, and why: told once it is over, since it could not be told before",
    ),
)
