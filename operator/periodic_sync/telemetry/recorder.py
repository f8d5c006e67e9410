"""Telemetry kept as Prometheus metrics, in a registry of its own."""

import time

from periodic_sync import __version__
from periodic_sync.core.objects import PolicyRef
from periodic_sync.core.plan import MOST_OPEN_JOBS
from periodic_sync.telemetry import definitions as d
from periodic_sync.telemetry.policy import PolicyMetrics
from periodic_sync.telemetry.registry import Registered


class Metrics(Registered):
    """All metrics of one operator. See `Telemetry` and, for what requests tell, `RequestObserver`."""

    def __init__(self) -> None:
        super().__init__(d.ALL)
        self._policies: dict[tuple[str, str], PolicyMetrics] = {}
        self._is_leading = False
        self.gauge(d.BUILD_INFO).labels(__version__).set(1)
        self.gauge(d.OPEN_JOBS_LIMIT).set(MOST_OPEN_JOBS)

    def leads(self, is_leading: bool) -> None:
        """See `Telemetry`."""
        if is_leading != self._is_leading:
            self.counter(d.LEADER_TRANSITIONS).inc()
        self._is_leading = is_leading
        self.gauge(d.LEADER).set(is_leading)

    def policy(self, policy: PolicyRef) -> PolicyMetrics:
        """See `Telemetry`."""
        name = policy.namespace, policy.name
        there = self._policies.get(name)
        if there is None or there.about.uid != policy.uid:
            if there is not None:
                there.close()  # it was deleted, and its loop has not ended yet
            self._policies[name] = PolicyMetrics(policy, self, self.forget, time.time)
        return self._policies[name]

    def forget(self, policy: PolicyRef) -> None:
        """All of its series go."""
        del self._policies[policy.namespace, policy.name]
        for definition in d.ALL:
            if definition.is_of_a_policy:
                labels = {"namespace": policy.namespace, "policy": policy.name}
                self.made[definition.name].remove_by_labels(labels)

    def request_ended(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """See `RequestObserver`."""
        code = f"{status // 100}xx" if status else "none"
        self.histogram(d.REQUEST_DURATION).labels(verb, resource, code).observe(seconds)
        if status == 409:
            self.counter(d.CONFLICTS).labels(verb, resource).inc()

    def woke_late(self, seconds: float) -> None:
        self.histogram(d.LOOP_LAG).observe(seconds)
