"""Every metric of the HTTP API, as data: see `definitions`."""

from collections.abc import Mapping
from enum import StrEnum

from periodic_sync.core.events import TYPES, Bookmark
from periodic_sync.telemetry.definitions import Definition, Kind, counter, gauge, histogram


class Review(StrEnum):
    """What Kubernetes is asked of a caller."""

    TOKEN = "token"
    """TokenReview: whose it is."""
    ACCESS = "access"
    """SubjectAccessReview: whether that one may."""


class UserOperation(StrEnum):
    """What a store is asked by the API."""

    REGISTER = "register"
    ACTIVITY = "activity"
    SYNC = "sync"
    TOKENS = "tokens"
    REMOVE = "remove"
    GET = "get"
    PAGE = "page"


GONE = "gone"
"""In place of a close code: somebody left, or the server ended."""
_ENDS = (GONE, "1003", "1013", "4401", "4403", "4404", "4408", "4409")
_DENIALS = ("400", "401", "403", "404", "409", "422", "429", "500", "503")
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD", "other")
REFUSALS = ("NoToken", "TokenNotAccepted", "Forbidden", "TooManyRequests")

VALUES: Mapping[str, tuple[str, ...]] = {
    "method": METHODS,
    "kind": tuple(Review),
    "reason": REFUSALS,
    "store": ("configmap", "redis"),
    "operation": tuple(UserOperation),
    "answered": ("yes", "no"),
    "type": tuple(each.TYPE for each in TYPES if each is not Bookmark),
    "code": (*_ENDS, *_DENIALS, "other"),
}
"""All values of the labels that have a fixed list of them."""

_REQUESTS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_POSTS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)

BUILD_INFO = gauge("api_build_info", "Always 1; the label tells the version of the server.", "version")
REQUESTS = counter(
    "api_requests",
    "Requests that were answered, by the template of their route (none: there is no such address) and the status.",
    "route",
    "method",
    "status",
)
REQUEST_DURATION = histogram(
    "api_request_duration", _REQUESTS, "From a request's headers until the end of its answer.", "route", "method"
)
IN_FLIGHT = gauge("api_requests_in_flight", "Requests that are being answered.")
CONNECTIONS = gauge("api_connections", "Connections of callers that are open.")
REFUSED = counter("api_refused_requests", "Requests refused for who sent them, or for how many, by code.", "reason")
REVIEW_DURATION = histogram(
    "api_review_duration",
    _REQUESTS,
    "How long Kubernetes took to say who a token's owner is, or whether that one may. Answered no: it did not say.",
    "kind",
    "answered",
)
REVIEWS_KNOWN = counter(
    "api_reviews_known", "Such questions that an earlier answer served, or one that was under way.", "kind"
)
STORES = gauge("api_open_stores", "Stores of policies that are open.")
STORE_DURATION = histogram(
    "api_store_operation_duration",
    _REQUESTS,
    "How long stores took; what waits to be written together is part of it. Answered no: out of reach, or refused.",
    "store",
    "operation",
    "answered",
)
WRITTEN_TOGETHER = Definition(
    "periodic_sync_api_changes_per_write",
    Kind.HISTOGRAM,
    "Changes of users, such as single activities, that one write of a store took.",
    ("store",),
    _POSTS,
)
EVENT_READERS = gauge("api_event_readers", "Readers of live events who are connected, or about to be.")
EVENT_READERS_ENDED = counter(
    "api_event_readers_ended",
    "Readers who are not connected any more, by close code (gone: they left, or the server ended); and those who were "
    "refused, by status.",
    "code",
)
EVENT_HUBS = gauge("api_event_hubs", "Policies whose live events are followed for readers.")
EVENTS = counter("api_events", "Live events that came, by type; each reader of the policy is told of them.", "type")
EVENT_MESSAGES = counter("api_event_messages", "Messages that were sent to readers, of one or more live events.")
EVENT_CATCH_UPS = counter(
    "api_event_catch_ups", "Readers who came back from before what is kept in memory, and read from the source first."
)

ALL: tuple[Definition, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Definition))
"""In the order above."""
