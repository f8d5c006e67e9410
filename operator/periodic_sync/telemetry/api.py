"""What the HTTP API tells as it happens, and Prometheus metrics behind it."""

from collections.abc import Callable, Iterable
from typing import Protocol

from prometheus_client import Counter, Histogram

from periodic_sync import __version__
from periodic_sync.core.events import Event
from periodic_sync.telemetry import api_definitions as d
from periodic_sync.telemetry.api_definitions import Review, UserOperation
from periodic_sync.telemetry.registry import Registered


class ApiTelemetry(Protocol):
    """The server as a process. Nothing told here names a user, a caller or a policy."""

    def request_began(self) -> None: ...

    def request_ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """route: the template of the path, never the path."""
        ...

    def refused(self, code: str) -> None: ...

    def review_ended(self, kind: Review, seconds: float, is_answered: bool) -> None: ...

    def review_known(self, kind: Review) -> None: ...

    def store_asked(self, store: str, operation: UserOperation, seconds: float, is_answered: bool) -> None: ...

    def written(self, store: str, changes: int) -> None:
        """One write of a store took so many changes."""
        ...


class EventTelemetry(Protocol):
    """Readers of live events. Nothing told here names a user, a reader or a policy."""

    def events_came(self, events: Iterable[Event]) -> None: ...

    def message_sent(self) -> None: ...

    def catch_up_began(self) -> None: ...

    def reader_ended(self, code: str) -> None: ...


class ApiMetrics(Registered):
    """An `ApiTelemetry` and `EventTelemetry`, to be scraped. There are as many series as the application has routes."""

    def __init__(self) -> None:
        super().__init__(d.ALL)
        self._in_flight = 0
        self._requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._asked: dict[tuple[str, str, bool], Histogram] = {}
        self.gauge(d.BUILD_INFO).labels(__version__).set(1)
        self.gauge(d.IN_FLIGHT).set_function(lambda: self._in_flight)
        self._known = {kind: self.counter(d.REVIEWS_KNOWN).labels(kind) for kind in Review}
        self._refused = {code: self.counter(d.REFUSED).labels(code) for code in d.REFUSALS}
        self._written = {store: self.histogram(d.WRITTEN_TOGETHER).labels(store) for store in d.VALUES["store"]}
        self._events = {each: self.counter(d.EVENTS).labels(each) for each in d.VALUES["type"]}
        self._ended = {code: self.counter(d.EVENT_READERS_ENDED).labels(code) for code in d.VALUES["code"]}
        self._messages, self._catch_ups = self.counter(d.EVENT_MESSAGES), self.counter(d.EVENT_CATCH_UPS)

    def look_at(self, *, stores: Callable[[], int], connections: Callable[[], int]) -> None:
        """Whom to ask, at each scrape, how many are open."""
        self.gauge(d.STORES).set_function(stores)
        self.gauge(d.CONNECTIONS).set_function(connections)

    def look_at_events(self, *, readers: Callable[[], int], hubs: Callable[[], int]) -> None:
        """The same of live events."""
        self.gauge(d.EVENT_READERS).set_function(readers)
        self.gauge(d.EVENT_HUBS).set_function(hubs)

    def request_began(self) -> None:
        self._in_flight += 1

    def request_ended(self, route: str, method: str, status: int, seconds: float) -> None:
        self._in_flight -= 1
        method = method if method in d.METHODS else "other"
        counters = self._requests.get((route, method, status))
        if counters is None:
            counters = self._requests[route, method, status] = (
                self.counter(d.REQUESTS).labels(route, method, str(status)),
                self.histogram(d.REQUEST_DURATION).labels(route, method),
            )
        counters[0].inc()
        counters[1].observe(seconds)

    def refused(self, code: str) -> None:
        self._refused[code].inc()

    def review_ended(self, kind: Review, seconds: float, is_answered: bool) -> None:
        self.histogram(d.REVIEW_DURATION).labels(kind, "yes" if is_answered else "no").observe(seconds)

    def review_known(self, kind: Review) -> None:
        self._known[kind].inc()

    def store_asked(self, store: str, operation: UserOperation, seconds: float, is_answered: bool) -> None:
        key = store, operation, is_answered
        if key not in self._asked:
            self._asked[key] = self.histogram(d.STORE_DURATION).labels(*key[:2], "yes" if is_answered else "no")
        self._asked[key].observe(seconds)

    def written(self, store: str, changes: int) -> None:
        self._written[store].observe(changes)

    def events_came(self, events: Iterable[Event]) -> None:
        for event in events:
            self._events[event.TYPE].inc()

    def message_sent(self) -> None:
        self._messages.inc()

    def catch_up_began(self) -> None:
        self._catch_ups.inc()

    def reader_ended(self, code: str) -> None:
        self._ended.get(code, self._ended["other"]).inc()
