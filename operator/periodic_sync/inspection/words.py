"""A reason code as a sentence for people. docs/reference/reasons.md lists them."""

from periodic_sync.api.durations import SECOND, format_duration
from periodic_sync.api.names import Reason
from periodic_sync.core.due import Decision

SENTENCES = {
    Reason.POLICY_DISABLED: "The policy is disabled: spec.enabled is false, so nobody is synced",
    Reason.STORE_NOT_READY: "The policy's store can't be relied on now, so nothing is decided",
    Reason.IN_FLIGHT: "The user is in a batch that has not ended yet",
    Reason.DUE_REQUESTED: "A sync of this user was asked for; it is started with the next turn, ahead of others",
    Reason.DUE_BULK: "A sync of all, or of all active, users was asked for, and this one's turn has not come yet",
    Reason.INACTIVE: "The user was not seen within spec.thresholds.active; the next activity makes it due again",
    Reason.BACKING_OFF: "The last sync of this user failed, and the next try waits",
    Reason.DUE_STALE: "The data is older than spec.thresholds.stale, or was never synced; a sync is started at once",
    Reason.DUE_REGULAR: "The interval is over; a sync is started with the next turn",
    Reason.NOT_DUE: "The interval is not over yet",
    Reason.WORKER_FAILING: "Due, but the last batches failed altogether: only a probe is sent now and then",
    Reason.RATE_LIMITED: "Due, but spec.jobs.usersPerMinute is used up for now",
    Reason.WAITING_FOR_CAPACITY: "Due, but no further batch may start: as many run as spec.jobs.maxConcurrentBatches",
}


def sentence(decision: Decision, now: int, because: str = "") -> str:
    """because: what is known besides; now: milliseconds."""
    text = SENTENCES[decision.reason]
    if decision.until is not None and decision.until > now:
        text += f"; {format_duration(-(-(decision.until - now) // SECOND) * SECOND)} more"
    return f"{text}. {because}" if because else f"{text}."
