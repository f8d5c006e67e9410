"""Metrics as their definitions say, in a registry of their own, beside those of the process."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase

from periodic_sync.telemetry.definitions import Definition, Kind
from periodic_sync.telemetry.merged import MergedHistogram

Expose = Callable[[str], tuple[bytes, str]]
"""From a scrape's Accept header to the answer and its content type."""

M = TypeVar("M", bound="MetricWrapperBase | MergedHistogram")


class Registered:
    """What is defined, ready to be counted."""

    def __init__(self, definitions: Iterable[Definition]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.made: dict[str, MetricWrapperBase | MergedHistogram] = {
            each.name: _make(each, self.registry) for each in definitions
        }

    def gauge(self, definition: Definition) -> Gauge:
        return self._get(definition, Gauge)

    def counter(self, definition: Definition) -> Counter:
        return self._get(definition, Counter)

    def histogram(self, definition: Definition) -> Histogram:
        return self._get(definition, Histogram)

    def merged(self, definition: Definition) -> MergedHistogram:
        return self._get(definition, MergedHistogram)

    def _get(self, definition: Definition, kind: type[M]) -> M:
        made = self.made[definition.name]
        if not isinstance(made, kind):
            raise TypeError(f"{definition.name} is a {definition.kind}")
        return made

    def expose(self, accept: str) -> tuple[bytes, str]:
        """What a scrape is answered. `accept`: its header. Returns: the text, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


def _make(definition: Definition, registry: CollectorRegistry) -> MetricWrapperBase | MergedHistogram:
    about = definition.name, definition.help, definition.labels
    if definition.is_merged:
        merged = MergedHistogram(*about, definition.buckets)
        registry.register(merged)
        return merged
    if definition.kind is Kind.HISTOGRAM:
        return Histogram(*about, buckets=definition.buckets, registry=registry)
    return (Counter if definition.kind is Kind.COUNTER else Gauge)(*about, registry=registry)
