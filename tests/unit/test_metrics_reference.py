"""docs/reference/metrics.md is the one that the definitions make."""

import pytest

from cluster_support import ROOT
from periodic_sync.telemetry import api_definitions, definitions
from periodic_sync.telemetry.definitions import Definition
from periodic_sync.telemetry.reference import COMMAND, FILE, render


def test_the_file_is_the_one_that_the_definitions_make() -> None:
    assert (ROOT / FILE).read_text(encoding="utf-8") == render(), f"{FILE} is out of date: run `{COMMAND}`"


@pytest.mark.parametrize("definition", [*definitions.ALL, *api_definitions.ALL], ids=lambda definition: definition.name)
def test_every_metric_has_its_row(definition: Definition) -> None:
    assert f"| `{definition.name}` | {definition.kind} |" in render()
    assert definition.help in render()
