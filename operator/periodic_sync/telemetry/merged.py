"""A histogram of values that somebody else has sorted into its buckets, as prometheus_client's own takes none."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class MergedHistogram(Collector):
    """bounds: upper ones, in order; one bucket more is for what is beyond."""

    def __init__(self, name: str, about: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name, self._about, self._labels = name, about, tuple(labels)
        self._bounds = (*map(floatToGoString, bounds), "+Inf")
        self._series: dict[tuple[str, ...], tuple[list[int], float]] = {}

    def add(self, labels: Sequence[str], counts: Sequence[int], total: float) -> None:
        """counts: of each bucket by itself. total: of all the values."""
        before, already = self._series.get(tuple(labels), ([0] * len(self._bounds), 0.0))
        added = [one + other for one, other in zip(before, counts, strict=True)]
        self._series[tuple(labels)] = added, already + total

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """All series that have these."""
        for key in list(self._series):
            if labels.items() <= dict(zip(self._labels, key, strict=True)).items():
                del self._series[key]

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        for key, (counts, total) in list(self._series.items()):
            cumulative = [sum(counts[: at + 1]) for at in range(len(counts))]
            buckets = list(zip(self._bounds, map(float, cumulative), strict=True))
            family.add_metric(key, buckets=buckets, sum_value=total)
        yield family
