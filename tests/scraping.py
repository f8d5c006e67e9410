"""What a scrape of `/metrics` says, read by Prometheus' own parser."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Scrape:
    """One answer of `/metrics`."""

    text: str

    def series(self, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
        """Every series of that name with these labels, whatever others it has."""
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    yield sample.labels, sample.value

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the series with these labels; None: there is none."""
        values = [value for _, value in self.series(name, **labels)]
        return sum(values) if values else None

    def nonzero(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """By one label, without zeros."""
        return {found[label]: value for found, value in self.series(name, **labels) if value}

    @property
    def policies(self) -> set[tuple[str, str]]:
        """Namespace and name of every policy that has a series."""
        families = text_string_to_metric_families(self.text)
        labels = [sample.labels for family in families for sample in family.samples]
        return {(each["namespace"], each["policy"]) for each in labels if "policy" in each}
